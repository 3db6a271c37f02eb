#include <fmt/core.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_set>

#include "cli/commands.hpp"
#include "cli/progress.hpp"
#include "cli/text_blocks.hpp"
#include "cli/usage.hpp"
#include "models/evaluate.hpp"
#include "models/generate.hpp"
#include "models/kinds.hpp"
#include "models/ngram/ngram.hpp"
#include "models/run/defaults.hpp"
#include "models/run/text.hpp"
#include "tensor/support/parallel.hpp"
#include "tensor/support/write_file.hpp"
#include "text/load.hpp"
#include "text/synthetic.hpp"
#include "text/tokenizer.hpp"

namespace gradus::cli {

namespace {

struct DemoOptions {
  std::string text;
  std::string unit = "auto";
  std::string out = "gradus-demo";
  std::uint64_t seed = 1;
  std::int64_t tokens = 1'000'000, epochs = 0;
  int threads = 0;
  int sample = 40;
  bool skip_marks = false, json = false;
  CLI::Option* tokens_given = nullptr;
};

/// One row of the final table.
struct Row {
  std::string model;
  std::int64_t parameters = 0;
  double seconds = 0, tokens_per_second = 0;
  models::Evaluation result;
  std::string sample;
};

struct Demo {
  DemoOptions options;
  Corpus corpus;
  std::optional<double> floor;     // perplexity that no model can beat on the test part
  std::vector<std::int32_t> test;  // begun by a line end as context
  std::vector<Row> rows;

  /// What a person reads; with --json the table is JSON on stdout and this goes to stderr.
  template <class... Args>
  void say(fmt::format_string<Args...> format, Args&&... args) const {
    fmt::print(options.json ? stderr : stdout, format, std::forward<Args>(args)...);
    std::fflush(options.json ? stderr : stdout);
  }
};

/// Words for texts in which words recur often enough to be learned, else characters.
Unit sensible_unit(const std::string& text) {
  std::unordered_set<std::string> types;
  std::int64_t words = 0;
  for_tokens(Unit::word, text, "the text", [&](std::string_view word) {
    ++words;
    types.emplace(word);
  });
  return words >= 25 * static_cast<std::int64_t>(types.size()) ? Unit::word : Unit::character;
}

Demo prepare(const DemoOptions& options) {
  Demo demo;
  demo.options = options;
  demo.options.json |= is_standard_output(options.out);
  if (given(options.tokens_given) && !options.text.empty())
    misuse("--tokens is the size of the synthetic corpus, and a text is given");
  if (options.skip_marks && options.text.empty()) misuse("--skip-marks is of a text, and none is given");
  if (options.unit != "auto") require_marks_of_words(options.skip_marks, unit_of(options.unit));
  std::string text, name = "the synthetic corpus";
  SyntheticText synthetic;
  if (options.text.empty()) {
    synthetic = synthetic_corpus(options.seed, options.tokens);
    text = std::move(synthetic.text);
    if (options.unit == "auto") demo.options.unit = "word";
  } else {
    name = text_name(options.text);
    const bool any_bytes = options.unit == "byte" || options.unit == "bpe";
    text = load_text(options.text, {.unit = any_bytes ? unit_of(options.unit) : Unit::character,
                                    .skip_marks = options.skip_marks});
  }
  const Unit unit = demo.options.unit == "auto" ? sensible_unit(text) : unit_of(demo.options.unit);
  demo.corpus =
      make_corpus(text, {.unit = unit, .split = {.train = 0.9, .valid = 0}, .vocabulary = {}}, name);
  const Corpus& c = demo.corpus;
  const std::int32_t line_end = c.vocabulary.line_end();
  models::require_batch(c.train, c.vocabulary.unit(), name);
  // The last token before the test part is what it follows.
  demo.test = c.test.tokens;
  demo.test.insert(demo.test.begin(), unit == Unit::word ? line_end : c.train.tokens.back());
  if (options.text.empty() && unit == Unit::word)
    demo.floor = synthetic.perplexity(synthetic.log_probs.size() - c.test.tokens.size());
  demo.say("{}: {} {}s to train on, {} to test on, {} different ones", name, c.train.tokens.size(),
           name_of(unit), c.test.tokens.size(), c.vocabulary.size());
  if (demo.floor) demo.say("; no model can have a perplexity below {:.4f}", *demo.floor);
  demo.say("\n\n");
  return demo;
}

std::string perplexity_text(double perplexity) {
  return std::isinf(perplexity) ? "infinite" : fmt::format("{:.4f}", perplexity);
}

template <class M>
void finish(Demo& demo, Row row, const M& model) {
  const Corpus& c = demo.corpus;
  {
    Progress progress("testing " + row.model);
    row.result = models::evaluate(model, demo.test, c.test.characters, c.vocabulary.unknown(),
                                  progress.reporter(demo.test.size()));
  }
  models::GenerateOptions how{
      .max_tokens = demo.options.sample, .temperature = 0.9, .seed = demo.options.seed};
  if (c.vocabulary.unit() != Unit::word) how.max_tokens *= 5;
  if (c.vocabulary.unknown() >= 0) how.banned.push_back(c.vocabulary.unknown());
  const std::vector<std::int32_t> prompt{c.vocabulary.line_end() >= 0 ? c.vocabulary.line_end() : 0};
  row.sample = decode(c.vocabulary, models::generate(model, prompt, how));
  demo.say("  {:<28} perplexity {:>10}   {:.1f} s\n", row.model, perplexity_text(row.result.perplexity()),
           row.seconds);
  demo.rows.push_back(std::move(row));
}

void add_ngram(Demo& demo, const std::string& name, models::NgramOptions options) {
  const Corpus& c = demo.corpus;
  if (c.vocabulary.unit() == Unit::word) options.sentence_end = c.vocabulary.line_end();
  const Progress progress(name);
  const models::NgramModel model(c.train.tokens, static_cast<std::int32_t>(c.vocabulary.size()), options);
  Row row{.model = name, .seconds = progress.seconds(), .result = {}, .sample = {}};
  for (const std::int64_t count : model.counts()) row.parameters += count;
  row.tokens_per_second = static_cast<double>(c.train.tokens.size()) / row.seconds;
  finish(demo, std::move(row), model);
}

void add_neural(Demo& demo, const models::NetworkKind& kind) {
  const models::Recipe made =
      models::recipe(kind, demo.corpus.vocabulary, std::ssize(demo.corpus.train.tokens));
  Rng rng(demo.options.seed);
  const auto network = kind.make(rng, made.network);
  Row row{.model = fmt::format("{} ({})", kind.name, made.network.width),
          .parameters = network->parameters(),
          .result = {},
          .sample = {}};
  models::TrainOptions how = made.train;
  how.seed = demo.options.seed;
  if (demo.options.epochs > 0) how.epochs = demo.options.epochs;
  Progress progress(row.model);
  const models::TrainProgress done =
      network->train(demo.corpus.train.tokens, how, [&](const models::TrainProgress& p) {
        progress.update(p.step, p.steps, fmt::format("perplexity {:.2f}", std::exp(p.loss)));
      });
  row.seconds = progress.seconds();
  row.tokens_per_second = static_cast<double>(done.tokens) / row.seconds;
  finish(demo, std::move(row), network->model());
}

void print_table(const Demo& demo) {
  const bool words = demo.corpus.vocabulary.unit() == Unit::word;
  demo.say("\n{:<28} {:>12} {:>9} {:>12} {:>12} {:>10} {:>10} {:>10}\n", "model", "parameters", "seconds",
           "tokens/s", "perplexity", "nats/token", "bits/char", demo.floor ? "over floor" : "");
  for (const Row& row : demo.rows) {
    const double perplexity = row.result.perplexity();
    demo.say("{:<28} {:>12} {:>9.1f} {:>12.0f} {:>12} {:>10.4f} {:>10.4f} {:>10}\n", row.model,
             row.parameters, row.seconds, row.tokens_per_second, perplexity_text(perplexity),
             row.result.nats_per_token(), row.result.bits_per_character(),
             demo.floor && !std::isinf(perplexity) ? fmt::format("{:.3f}x", perplexity / *demo.floor) : "");
  }
  const models::Evaluation& any = demo.rows.front().result;
  demo.say(
      "\nTest part: {} tokens predicted, {}{} of them unknown; {}.\n", any.tokens,
      words ? "line ends counted, " : "", any.unknown,
      words ? "n-grams begin anew at each line, networks carry their state" : "state carried throughout");
  const Vocabulary& v = demo.corpus.vocabulary;
  if (any.unknown > 0 && v.count(v.unknown()) == 0)
    demo.say(
        "No model saw <unk> in training: n-grams give it a share, and what networks say of it is chance.\n");
  const auto best = std::min_element(demo.rows.begin(), demo.rows.end(), [](const Row& a, const Row& b) {
    return a.result.perplexity() < b.result.perplexity();
  });
  demo.say("Best: {}.\n", best->model);
}

nlohmann::json results(const Demo& demo) {
  nlohmann::json out{{"text", demo.options.text.empty() ? "synthetic" : demo.options.text},
                     {"unit", name_of(demo.corpus.vocabulary.unit())},
                     {"seed", demo.options.seed},
                     {"threads", threads()},
                     {"vocabulary", demo.corpus.vocabulary.size()},
                     {"train_tokens", demo.corpus.train.tokens.size()},
                     {"test_tokens", demo.rows.front().result.tokens},
                     {"models", nlohmann::json::array()}};
  if (demo.floor) out["floor_perplexity"] = *demo.floor;
  for (const Row& row : demo.rows) {
    const double perplexity = row.result.perplexity();
    nlohmann::json entry{{"model", row.model},
                         {"parameters", row.parameters},
                         {"seconds", row.seconds},
                         {"tokens_per_second", row.tokens_per_second},
                         {"bits_per_character", row.result.bits_per_character()},
                         {"nats_per_token", row.result.nats_per_token()},
                         {"perplexity", perplexity},  // JSON has no infinity: null
                         {"sample", row.sample}};
    if (demo.floor) entry["over_floor"] = perplexity / *demo.floor;
    out["models"].push_back(std::move(entry));
  }
  return out;
}

void run(const DemoOptions& options) {
  set_threads(options.threads);
  Demo demo = prepare(options);
  const bool to_stdout = is_standard_output(options.out);
  const std::filesystem::path file = std::filesystem::path(options.out) / "results.json";
  if (!to_stdout) {
    std::error_code ignored;  // require_writable says what is wrong
    std::filesystem::create_directories(options.out, ignored);
    require_writable(file);
  }

  demo.say(
      "Counting. Maximum likelihood gives a probability of 0 to every n-gram that it has not seen, and "
      "most of those\nto come are unseen (sparse data):\n");
  add_ngram(demo, "3-gram, max. likelihood", {.order = 3, .method = models::NgramMethod::maximum_likelihood});
  demo.say("Adding to every count mends that, badly; Kneser-Ney smoothing mends it well:\n");
  add_ngram(demo, "3-gram, add 0.1", {.order = 3, .method = models::NgramMethod::add_k, .k = 0.1});
  for (int order = 1; order <= 6; ++order)
    add_ngram(demo, fmt::format("{}-gram, Kneser-Ney", order), {.order = order});
  for (const models::NetworkKind& kind : models::network_kinds()) {
    demo.say("{}:\n", kind.about);
    add_neural(demo, kind);
  }

  print_table(demo);
  for (const Row& row : demo.rows) demo.say("\n--- {}\n{}\n", row.model, row.sample);

  const std::string text = json_text(results(demo)) + "\n";
  if (!to_stdout) {
    write_file(file, text);
    demo.say("\nWritten: {}\n", file.string());
  }
  if (demo.options.json) fmt::print("{}", text);
}

}  // namespace

void add_demo(CLI::App& app) {
  const auto [c, options] = subcommand<DemoOptions>(
      app, "demo", &run, "Train n-gram models and a network of each kind on a text, and compare them",
      "Examples:\n  gradus demo\n  gradus demo shakespeare.txt --unit character --out run1");
  c->add_option(
      "text", options->text,
      "A file (plain, .gz or .zst), a folder, or - for standard input; without it, a synthetic corpus");
  c->add_option("--unit", options->unit, "What a token is: word, character, byte, bpe (subwords), or auto")
      ->check(CLI::IsMember({"auto", "word", "character", "byte", "bpe"}));
  c->add_option("--out", options->out,
                "The folder that results.json is written to; - writes it to standard output, as --json does");
  c->add_option("--seed", options->seed, "Seed of the synthetic corpus, the weights and the samples")
      ->check(whole_number());
  options->tokens_given = c->add_option("--tokens", options->tokens, "Size of the synthetic corpus")
                              ->check(CLI::Range(2000, 100'000'000));
  c->add_option("--epochs", options->epochs, "Times each network reads the text; 0: chosen by its size")
      ->check(CLI::Range(0, 100000));
  add_skip_marks(c, options->skip_marks);
  add_threads(c, options->threads);
  c->add_flag("--json", options->json, "Print results.json on stdout, the rest on stderr");
}

}  // namespace gradus::cli
