#include <fmt/core.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/progress.hpp"
#include "cli/recipe.hpp"
#include "cli/text_blocks.hpp"
#include "cli/tokens.hpp"
#include "cli/unknown_option.hpp"
#include "cli/usage.hpp"
#include "models/checkpoint.hpp"
#include "models/evaluate.hpp"
#include "models/generate.hpp"
#include "tensor/support/parallel.hpp"
#include "tensor/support/write_file.hpp"
#include "text/load.hpp"
#include "text/tokenizer.hpp"

// The commands that make a model and use it: train, eval, generate, score.
namespace gradus::cli {

namespace {

using models::TrainedModel;

struct TrainCommand {
  std::string text, out, kind = "lstm", unit = "word";
  int order = 5, threads = 0;
  std::int64_t epochs = 0, min_count = 1, width = 0;
  double lr = 0;
  std::uint64_t seed = 1;

  void run() const;
  template <class Network>
  void train_network(const Corpus& corpus) const;
};

template <class Network>
void TrainCommand::train_network(const Corpus& corpus) const {
  Recipe made = recipe(kind, corpus);
  if (epochs > 0) made.train.epochs = epochs;
  if (lr > 0) made.train.lr = lr;
  if (width > 0) made.network.width = width;
  made.train.seed = seed;
  Rng rng(seed);
  Network network(rng, made.network);
  Progress progress(kind);
  const models::TrainProgress done =
      models::train(network, corpus.train.tokens, made.train, [&](const models::TrainProgress& p) {
        progress.update(p.step, p.steps, fmt::format("perplexity {:.2f}", std::exp(p.loss)));
      });
  models::save_network(out, kind, network, corpus.vocabulary);
  fmt::print("{}: {} parameters, {} tokens in {:.1f} s, training perplexity {:.4f}\n", kind,
             count_parameters(network), done.tokens, progress.seconds(), std::exp(done.loss));
}

void TrainCommand::run() const {
  set_threads(threads);
  require_writable(out);
  std::error_code missing;
  if (std::filesystem::equivalent(text, out, missing))
    fail<ArgumentError>("--out {} is the text itself, which the model would replace; name another file", out);
  const Unit chosen = unit_named(unit);
  const std::string loaded = chosen == Unit::byte ? load_text(text, {.unit = chosen}) : read_text(text);
  Corpus corpus;
  corpus.vocabulary = Vocabulary::build(chosen, loaded, {.min_count = min_count}, text);
  corpus.train = encode_part(corpus.vocabulary, loaded, text);
  require_choice(corpus.vocabulary, text);
  if (kind != "ngram") require_batch(corpus, text);
  if (kind == "feed-forward") return train_network<models::FeedForwardNetwork>(corpus);
  if (kind == "rnn") return train_network<models::RnnNetwork>(corpus);
  if (kind == "gru") return train_network<models::GruNetwork>(corpus);
  if (kind == "lstm") return train_network<models::LstmNetwork>(corpus);
  const models::NgramModel model(
      corpus.train.tokens, static_cast<std::int32_t>(corpus.vocabulary.size()),
      {.order = order, .sentence_end = chosen == Unit::word ? corpus.vocabulary.line_end() : -1});
  models::save_ngram(out, model, corpus.vocabulary);
  const std::vector<std::int64_t> counts = model.counts();
  for (std::size_t n = 0; n < counts.size(); ++n) {
    const models::Discounts& d = model.discounts()[n];
    fmt::print("order {}: {} n-grams, discounts {:.6g}{}\n", n + 1, counts[n], fmt::join(d.amount, " "),
               d.fallback ? " (fallback: too few counts of counts)" : "");
  }
}

struct UseCommand {
  std::string model, text, prompt;
  models::GenerateOptions how;
  std::int64_t lines = 5;
  UnknownOption unknown;
  bool json = false, allow_unknown = false;

  void evaluate() const;
  void generate();
  void score() const;
  models::Evaluation evaluate(const TrainedModel& trained, TextBlocks& blocks) const;
  void print_score(const TrainedModel& trained, std::span<const std::int32_t> line) const;
};

/// An n-gram model reads a text piece by piece, a network the whole.
models::Evaluation UseCommand::evaluate(const TrainedModel& trained, TextBlocks& blocks) const {
  Progress progress("evaluating");
  const Vocabulary& v = trained.vocabulary;
  std::vector<std::int32_t> tokens = with_context(v, {}), ids;
  const auto* ngrams = std::get_if<models::NgramModel>(&trained.model);
  if (ngrams == nullptr) {
    while (blocks.next(ids)) tokens.insert(tokens.end(), ids.begin(), ids.end());
    return std::visit(
        [&](const auto& m) {
          return models::evaluate(m, tokens, blocks.characters(), v.unknown(),
                                  progress.reporter(tokens.size()));
        },
        trained.model);
  }
  // No id ends a context but, when they are left out, that of the unknown words.
  const models::UnknownEndsContext ended(*ngrams, unknown.skipped() ? v.unknown() : -1);
  models::NgramState state = ended.after(ended.start(), tokens.front());
  models::Evaluation out;
  progress.phase("reading", true);
  while (blocks.next(ids)) {
    for (const std::int32_t id : ids) out.add(ended.advance(state, id), id == v.unknown(), out.tokens + 1);
    progress.update(blocks.done(), blocks.total());
  }
  out.characters = blocks.characters();
  return out;
}

void UseCommand::evaluate() const {
  const TrainedModel trained = models::load_model(model);
  const Vocabulary& v = trained.vocabulary;
  TextBlocks blocks(text, v);
  const models::Evaluation e = evaluate(trained, blocks);
  const Perplexities p(e, unknown.skipped());
  const auto* ngrams = std::get_if<models::NgramModel>(&trained.model);
  const bool scores = ngrams != nullptr && gives_scores(ngrams->description());
  // What is left out counts for nothing.
  const double log_prob = unknown.skipped() ? e.log_prob_known : e.log_prob;
  const auto counted = static_cast<double>(unknown.skipped() ? e.tokens - e.unknown : e.tokens);
  const double bits = -log_prob / std::log(2.0) / static_cast<double>(e.characters);
  if (json) {
    const nlohmann::json out{{"perplexity", unknown.skipped() ? p.without_unknown : p.with_unknown},
                             {"perplexity_with_unknown", p.with_unknown},
                             {"perplexity_without_unknown", p.without_unknown},
                             {"bits_per_character", bits},
                             {"nats_per_token", -log_prob / counted},
                             {"tokens", e.tokens},
                             {"unknown", e.unknown},
                             {"unknown_words", unknown.convention},
                             {"probabilities", !scores},
                             {"log_prob", log_prob}};
    fmt::print("{}\n", out.dump(2));
    return;
  }
  if (scores) {
    fmt::print(
        "stupid backoff gives scores, not probabilities: this is no perplexity, and compares with none\n");
  }
  fmt::print("{} {} with unknown {}s, {} without; {} {}s, {}{} of them unknown{}\n",
             scores ? "of the scores:" : "perplexity", number_text(p.with_unknown), name_of(v.unit()),
             number_text(p.without_unknown), e.tokens, name_of(v.unit()),
             v.unit() == Unit::word ? "line ends counted, " : "", e.unknown,
             unknown.skipped() ? " and left out" : "");
  fmt::print("{} nats a token, {} bits a character; {}\n", number_text(-log_prob / counted),
             number_text(bits),
             ngrams != nullptr && v.unit() == Unit::word ? "context begun anew at each line"
                                                         : "state carried throughout");
}

void UseCommand::generate() {
  const TrainedModel trained = models::load_model(model);
  const Vocabulary& v = trained.vocabulary;
  if (!allow_unknown && v.unknown() >= 0) how.banned = {v.unknown()};
  how.stop = v.line_end();
  how.stop_count = lines;
  std::vector<std::int32_t> start = with_context(v, {});
  if (!prompt.empty()) {
    std::vector<std::int32_t> ids = encode(v, prompt, "the prompt");
    if (v.unit() == Unit::word) ids.pop_back();  // the prompt's line goes on
    start.insert(start.end(), ids.begin(), ids.end());
  }
  const std::vector<std::int32_t> tokens =
      std::visit([&](const auto& m) { return models::generate(m, start, how); }, trained.model);
  const std::string out = decode(v, tokens);
  if (json) {
    fmt::print(
        "{}\n",
        nlohmann::json{{"prompt", prompt}, {"text", out}, {"tokens", tokens.size()}, {"seed", how.seed}}.dump(
            2, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    fmt::print("{}{}{}{}", prompt, prompt.empty() || v.unit() != Unit::word ? "" : " ", out,
               out.ends_with('\n') ? "" : "\n");
  }
}

void UseCommand::print_score(const TrainedModel& trained, std::span<const std::int32_t> line) const {
  const Vocabulary& v = trained.vocabulary;
  const auto evaluated = [&](const auto& m) { return models::evaluate(m, line, 1, v.unknown()); };
  const auto* ngrams = std::get_if<models::NgramModel>(&trained.model);
  const models::Evaluation e =
      ngrams != nullptr ? evaluated(models::UnknownEndsContext(*ngrams, unknown.skipped() ? v.unknown() : -1))
                        : std::visit(evaluated, trained.model);
  const double ln10 = std::log(10.0);
  const double known = e.log_prob_known / ln10, all = unknown.skipped() && e.unknown > 0
                                                          ? -std::numeric_limits<double>::infinity()
                                                          : e.log_prob / ln10;
  if (json) {
    const Perplexities p(e, unknown.skipped());
    fmt::print("{}\n", nlohmann::json{{"log10", all},
                                      {"log10_without_unknown", known},
                                      {"tokens", e.tokens},
                                      {"unknown", e.unknown},
                                      {"perplexity_with_unknown", p.with_unknown},
                                      {"perplexity_without_unknown", p.without_unknown}}
                           .dump());
  } else {
    fmt::print("{:.6f}\t{}\t{}\t{:.6f}\n", all, e.tokens, e.unknown, known);
  }
}

void UseCommand::score() const {
  const TrainedModel trained = models::load_model(model);
  const Vocabulary& v = trained.vocabulary;
  const std::string path = text.empty() ? "-" : text;
  const std::string name = path == "-" ? "standard input" : path;
  // So that a bad line is found before any score is printed; what comes from a pipe comes once.
  if (path != "-") {
    std::vector<std::int32_t> ids;
    for (TextBlocks blocks(path, v); blocks.next(ids);) {
    }
  }
  std::string line;
  std::int64_t number = 0;
  const auto print = [&](const std::string& file) {
    for (LineReader reader(file, v.unit() != Unit::byte); reader.next(line);) {
      if (number == 0 && line.starts_with(byte_order_mark) && v.unit() != Unit::byte)
        line.erase(0, byte_order_mark.size());
      print_score(trained, with_context(v, encode(v, line + "\n", name, ++number)));
      if (path == "-") std::fflush(stdout);
    }
  };
  if (path == "-") {
    print(path);
  } else {
    for (const std::filesystem::path& file : text_files(path)) print(file.string());
  }
  if (number == 0) fail<DataError>("{} is empty; give lines of text, or a file's name", name);
}

void add_model(CLI::App* command, const std::shared_ptr<UseCommand>& options) {
  command
      ->add_option("--model", options->model,
                   "A model that `gradus train` or `gradus ngram` wrote, or an ARPA file")
      ->required();
  command->add_flag("--json", options->json, "Print JSON");
}

}  // namespace

void add_train(CLI::App& app) {
  auto options = std::make_shared<TrainCommand>();
  CLI::App* c = app.add_subcommand("train", "Train one model on a text and keep it");
  c->add_option("text", options->text, "A file (plain, .gz or .zst), a folder, or - for standard input")
      ->required();
  c->add_option("--out", options->out, "The model's file")->required();
  c->add_option("--kind", options->kind, "ngram, feed-forward, rnn, gru or lstm")
      ->check(CLI::IsMember({"ngram", "feed-forward", "rnn", "gru", "lstm"}))
      ->capture_default_str();
  c->add_option("--unit", options->unit, "What a token is")
      ->check(CLI::IsMember({"word", "character", "byte"}))
      ->capture_default_str();
  c->add_option("--order", options->order, "Of the n-gram model")
      ->check(CLI::Range(1, 20))
      ->capture_default_str();
  c->add_option("--epochs", options->epochs, "Times through the text; 0: chosen by its size")
      ->check(CLI::Range(0, 100000));
  c->add_option("--width", options->width, "Hidden units; 0: chosen by the kind")
      ->check(CLI::Range(0, 65536));
  c->add_option("--lr", options->lr, "Learning rate at the start; 0: chosen by the kind")
      ->check([](const std::string& given) {
        const double lr = std::strtod(given.c_str(), nullptr);  // that it is a number, CLI11 checks
        return lr >= 0 && std::isfinite(lr) ? "" : "'" + given + "' is no finite number of 0 or more";
      });
  c->add_option("--min-count", options->min_count, "Words seen less often become <unk>")
      ->check(CLI::Range(1, 1 << 30));
  c->add_option("--seed", options->seed, "Of weights and dropout")->capture_default_str();
  c->add_option("--threads", options->threads, "0: one a core")->check(CLI::Range(0, 1024));
  c->footer(
      "Examples:\n  gradus train book.txt --kind ngram --order 5 --out book.arpa\n"
      "  gradus train book.txt --kind lstm --unit character --out book.safetensors");
  c->callback([options] { options->run(); });
}

void add_eval(CLI::App& app) {
  auto options = std::make_shared<UseCommand>();
  CLI::App* c = app.add_subcommand("eval", "The perplexity of a text under a model");
  c->add_option("text", options->text, "A file (plain, .gz or .zst), a folder, or - for standard input")
      ->required();
  add_model(c, options);
  options->unknown.add_to(c);
  c->footer(
      "Examples:\n  gradus eval --model book.arpa other.txt --json\n"
      "  zcat big.gz | gradus eval --model book.ngram - --unknown srilm");
  c->callback([options] { options->evaluate(); });
}

void add_generate(CLI::App& app) {
  auto options = std::make_shared<UseCommand>();
  CLI::App* c = app.add_subcommand("generate", "Draw text from a model");
  add_model(c, options);
  c->add_option("--prompt", options->prompt, "The text to go on from");
  c->add_option("--tokens", options->how.max_tokens, "At most so many")
      ->check(CLI::Range(1, 1 << 30))
      ->capture_default_str();
  c->add_option("--lines", options->lines, "Stop after so many lines")
      ->check(CLI::Range(1, 1 << 30))
      ->capture_default_str();
  c->add_option("--temperature", options->how.temperature, "Below 1 surer, above 1 wilder, 0 the likeliest")
      ->check(zero_or_more())
      ->capture_default_str();
  c->add_option("--top-k", options->how.top_k, "Only the k likeliest; 0: all")
      ->check(zero_or_more())
      ->capture_default_str();
  c->add_option("--top-p", options->how.top_p,
                "Only the likeliest that reach p together, above 0 and up to 1")
      ->check(CLI::Range(1e-9, 1.0))
      ->capture_default_str();
  c->add_option("--seed", options->how.seed, "The same seed gives the same text")->capture_default_str();
  c->add_flag("--allow-unknown", options->allow_unknown, "Let <unk> be drawn");
  c->footer("Example:\n  gradus generate --model book.safetensors --prompt 'Once upon' --temperature 0.8");
  c->callback([options] { options->generate(); });
}

void add_score(CLI::App& app) {
  auto options = std::make_shared<UseCommand>();
  CLI::App* c = app.add_subcommand(
      "score", "log10 probability, tokens and unknown words of each line, then log10 without the unknown");
  c->add_option("text", options->text, "A file, plain or packed; without it, or -, lines of standard input");
  add_model(c, options);
  options->unknown.add_to(c);
  c->footer("Example:\n  echo 'the king has a crown .' | gradus score --model book.arpa");
  c->callback([options] { options->score(); });
}

}  // namespace gradus::cli
