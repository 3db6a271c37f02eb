#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/commands.hpp"
#include "cli/ngram_commands.hpp"
#include "cli/progress.hpp"
#include "cli/recipe.hpp"
#include "cli/text_blocks.hpp"
#include "cli/usage.hpp"
#include "models/generate.hpp"
#include "models/kinds.hpp"
#include "models/ngram/ngram.hpp"
#include "tensor/support/parallel.hpp"
#include "tensor/support/write_file.hpp"
#include "text/bpe.hpp"
#include "text/escapes.hpp"
#include "text/load.hpp"
#include "text/text_check.hpp"
#include "text/tokenizer.hpp"

// The commands that use a model: eval, generate, score.
namespace gradus::cli {

namespace {

using models::ErasedModel;
using models::TrainedModel;

/// A quantized model beside the exact one, and what it said of the text.
struct RoundedEvaluation {
  models::QuantizedModel of;
  models::Evaluation said = {};
};

struct UseCommand {
  std::string model, text, prompt, prompts, quantize;
  models::GenerateOptions how;
  std::int64_t lines = 0, count = 1;
  CLI::Option *lines_given = nullptr, *tokens_given = nullptr, *prompt_given = nullptr;
  UnknownOption unknown;
  bool json = false, allow_unknown = false, skip_marks = false;

  void evaluate() const;
  void generate();
  void score() const;
  void check_input() const;
  void limit_texts(const TrainedModel& trained);
  std::vector<std::string> all_prompts(const Vocabulary& v) const;
  std::vector<std::int32_t> prompt_ids(const Vocabulary& v, const std::string& given_prompt) const;
  models::Evaluation evaluation(const TrainedModel& trained, TextBlocks& blocks,
                                RoundedEvaluation* rounded) const;
  /// Loads the model; with --quantize one with compact weights, of which only eval reports the exact one too.
  TrainedModel load() const;
  models::QuantizedModel quantized(const TrainedModel& trained) const;
  nlohmann::json rounded_json(const RoundedEvaluation& rounded, const models::Evaluation& e) const;
  void print_rounded(const RoundedEvaluation& rounded, const models::Evaluation& e,
                     const Vocabulary& v) const;
  void print_score(const Vocabulary& v, const ErasedModel& asked, std::span<const std::int32_t> line) const;
};

TrainedModel UseCommand::load() const {
  TrainedModel trained = models::load_model(model);
  if (!quantize.empty()) trained.model = quantized(trained).model;
  return trained;
}

models::QuantizedModel UseCommand::quantized(const TrainedModel& trained) const {
  if (trained.model.get_if<models::NgramModel>() != nullptr) {
    fail<DataError>(
        "{}: --quantize rounds the weights of networks, and an n-gram model has none; `gradus ngram export "
        "--layout compact --quantize 8` makes a smaller one of it",
        model);
  }
  return models::quantized(trained.model, {.dtype = quantize == "bf16" ? Dtype::bf16 : Dtype::i8});
}

/// What the model says of a text, which is read once; and what the quantized one says, where there is one.
models::Evaluation UseCommand::evaluation(const TrainedModel& trained, TextBlocks& blocks,
                                          RoundedEvaluation* rounded) const {
  Progress progress("evaluating");
  const Vocabulary& v = trained.vocabulary;
  const ErasedModel asked = unknown.applied_to(trained);
  ErasedModel::State state = asked.start(), rounded_state;
  if (rounded != nullptr) rounded_state = rounded->of.model.start();
  models::Evaluation out;
  const auto add = [&](models::Evaluation& to, const ErasedModel& of, ErasedModel::State& at,
                       std::span<const std::int32_t> part, std::size_t skipped) {
    const std::vector<double> log_probs = of.score(at, part);
    to.add(std::span(log_probs).subspan(skipped), part.subspan(skipped), v.unknown());
  };
  progress.phase("reading", true);
  bool first = true;
  for (std::vector<std::int32_t> ids; blocks.next(ids);) {
    if (first) ids = with_context(v, std::move(ids));
    for (std::span<const std::int32_t> rest = ids; !rest.empty(); first = false) {
      const auto part = rest.first(std::min<std::size_t>(rest.size(), 4096));
      add(out, asked, state, part, first);
      if (rounded != nullptr) add(rounded->said, rounded->of.model, rounded_state, part, first);
      rest = rest.subspan(part.size());
      progress.update(blocks.done(), blocks.total());
    }
  }
  out.characters = blocks.characters();
  return out;
}

/// What is read from the standard input can be the model or the text.
void UseCommand::check_input() const {
  if (is_standard_input(model) && (text.empty() || is_standard_input(text)))
    misuse("standard input can be the model or the text, not both");
}

/// How much the perplexity of known tokens, or of all, rises by rounding: 0.005 for half a percent.
double rise(const Perplexities& exact, const Perplexities& rounded, bool skipped) {
  return skipped ? rounded.without_unknown / exact.without_unknown - 1
                 : rounded.with_unknown / exact.with_unknown - 1;
}

nlohmann::json UseCommand::rounded_json(const RoundedEvaluation& rounded, const models::Evaluation& e) const {
  const bool skipped = unknown.skipped();
  const Perplexities p(rounded.said, skipped);
  return {{"quantize", quantize},
          {"quantized_perplexity", skipped ? p.without_unknown : p.with_unknown},
          {"quantized_rise", rise(Perplexities(e, skipped), p, skipped)},
          {"quantized_bytes", rounded.of.report.bytes_after},
          {"exact_bytes", rounded.of.report.bytes_before}};
}

void UseCommand::print_rounded(const RoundedEvaluation& rounded, const models::Evaluation& e,
                               const Vocabulary& v) const {
  const bool skipped = unknown.skipped();
  const Perplexities p(rounded.said, skipped);
  const auto megabytes = [](std::size_t bytes) { return static_cast<double>(bytes) / 1e6; };
  fmt::print(
      "with weights of {}: perplexity {} with unknown {}s, {} without, {:+.3f}% beside the exact ones; "
      "{:.2f} "
      "MB in place of {:.2f}\n",
      quantize, number_text(p.with_unknown), name_of(v.unit()), number_text(p.without_unknown),
      100 * rise(Perplexities(e, skipped), p, skipped), megabytes(rounded.of.report.bytes_after),
      megabytes(rounded.of.report.bytes_before));
}

/// What of the text before a token the model has read.
std::string reading_of(const TrainedModel& trained) {
  const Vocabulary& v = trained.vocabulary;
  if (trained.kind == "ngram" && v.unit() == Unit::word) return "context begun anew at each line";
  if (trained.document_end < 0) return "state carried throughout";
  return "state begun anew behind each " + escaped(v.symbol(static_cast<std::int32_t>(trained.document_end)));
}

void UseCommand::evaluate() const {
  check_input();
  const TrainedModel trained = models::load_model(model);
  const Vocabulary& v = trained.vocabulary;
  TextBlocks blocks(text, v, skip_marks);
  std::optional<RoundedEvaluation> rounded;
  if (!quantize.empty()) rounded.emplace(RoundedEvaluation{quantized(trained)});
  const models::Evaluation e = evaluation(trained, blocks, rounded ? &*rounded : nullptr);
  if (!unknown.skipped() && e.unknown > 0) warn_of_untrained_unknown(trained, model);
  const Perplexities p(e, unknown.skipped());
  const auto* const ngrams = trained.model.get_if<models::NgramModel>();
  const bool scores = ngrams != nullptr && gives_scores(ngrams->description());
  // Unknown words that are left out are not counted.
  const double log_prob = unknown.skipped() ? e.log_prob_known : e.log_prob;
  const auto counted = static_cast<double>(unknown.skipped() ? e.tokens - e.unknown : e.tokens);
  const double bits = -log_prob / std::log(2.0) / static_cast<double>(e.characters);
  if (json) {
    nlohmann::json out{{"perplexity", unknown.skipped() ? p.without_unknown : p.with_unknown},
                       {"bits_per_character", bits},
                       {"nats_per_token", -log_prob / counted},
                       {"tokens", e.tokens},
                       {"unknown", e.unknown},
                       {"unknown_words", unknown.convention},
                       {"unknown_trained", !unknown_is_untrained(trained)},
                       {"probabilities", !scores},
                       {"log_prob", log_prob}};
    out.update(p.json());
    if (rounded) out.update(rounded_json(*rounded, e));
    fmt::print("{}\n", json_text(out));
    return;
  }
  if (scores) {
    fmt::print(
        "stupid backoff gives scores, not probabilities: this is not a perplexity, and not comparable with "
        "one\n");
  }
  fmt::print("{} {} with unknown {}s, {} without; {} {}s, {}{} of them unknown{}\n",
             scores ? "of the scores:" : "perplexity", number_text(p.with_unknown), name_of(v.unit()),
             number_text(p.without_unknown), e.tokens, name_of(v.unit()),
             v.unit() == Unit::word ? "line ends counted, " : "", e.unknown,
             unknown.skipped() ? " and left out" : "");
  fmt::print("{} nats a token, {} bits a character; {}\n", number_text(-log_prob / counted),
             number_text(bits), reading_of(trained));
  if (rounded) print_rounded(*rounded, e, v);
}

/// The ids of the prompt, without a line end that it does not have. Warns of unknown words.
std::vector<std::int32_t> UseCommand::prompt_ids(const Vocabulary& v, const std::string& given_prompt) const {
  std::string read = given_prompt;
  require_marks_of_words(skip_marks, v.unit());
  if (skip_marks) blank_sentence_marks(read);
  std::vector<std::int32_t> ids;
  if (read.empty()) return ids;
  if (v.subwords() != nullptr) return v.subwords()->encode(read);
  std::vector<std::string> missing;
  for_tokens(v.unit(), read, "the prompt", [&](std::string_view symbol) {
    ids.push_back(v.id(symbol));
    const std::string quoted = fmt::format("'{}'", symbol);
    if (v.unit() != Unit::byte && !v.contains(symbol) &&
        std::find(missing.begin(), missing.end(), quoted) == missing.end())
      missing.push_back(quoted);
  });
  if (!missing.empty())
    warn("the model does not know {} of the prompt and reads <unk> instead", fmt::join(missing, ", "));
  if (v.unit() == Unit::word && !read.ends_with('\n')) ids.pop_back();  // the prompt's line goes on
  return ids;
}

/// Which tokens are not drawn, and where a text ends.
void UseCommand::limit_texts(const TrainedModel& trained) {
  const Vocabulary& v = trained.vocabulary;
  if (!allow_unknown && v.unknown() >= 0) how.banned = {v.unknown()};
  // What a model of others has more than its tokenizer is no text.
  for (auto id = static_cast<std::int32_t>(v.size()); id < trained.model.vocab_size(); ++id)
    how.banned.push_back(id);
  // What is given is the limit; otherwise there are both.
  constexpr std::int64_t usual_lines = 5, usual_tokens = 100, tokens_a_line = 1000;
  if (!given(lines_given) && !given(tokens_given)) lines = usual_lines;
  if (!given(tokens_given)) how.max_tokens = given(lines_given) ? lines * tokens_a_line : usual_tokens;
  if (lines > 0) {
    how.stop = v.line_end();
    how.stop_count = lines;
    for (std::int32_t id = 0; id < v.size() && v.subwords() != nullptr; ++id) {
      if (v.symbol(id).find('\n') != std::string::npos) how.other_stops.push_back(id);
    }
  }
}

/// The prompt that is given, or those of a file, one a line.
std::vector<std::string> UseCommand::all_prompts(const Vocabulary& v) const {
  if (prompts.empty()) return {prompt};
  const std::string loaded = load_text(prompts, {.unit = v.unit(), .skip_marks = skip_marks});
  std::vector<std::string> out;
  for (std::size_t from = 0; from < loaded.size();) {
    const std::size_t end = std::min(loaded.find('\n', from), loaded.size());
    out.push_back(loaded.substr(from, end - from));
    from = end + 1;
  }
  return out;
}

void UseCommand::generate() {
  if (!prompts.empty() && given(prompt_given))
    misuse("--prompt and --prompts both say what to continue; give one");
  if (is_standard_input(model) && is_standard_input(prompts))
    misuse("standard input can be the model or the prompts, not both");
  const TrainedModel trained = load();
  const Vocabulary& v = trained.vocabulary;
  limit_texts(trained);
  const std::vector<std::string> given_prompts = all_prompts(v);
  std::vector<std::vector<std::int32_t>> starts;
  for (const std::string& one : given_prompts) {
    std::vector<std::int32_t>& start = starts.emplace_back(with_context(v, {}));
    const std::vector<std::int32_t> ids = prompt_ids(v, one);
    start.insert(start.end(), ids.begin(), ids.end());
  }
  const std::vector<std::vector<std::int32_t>> texts = models::generate(trained.model, starts, how, count);
  nlohmann::json all = nlohmann::json::array();
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::string &before = given_prompts[i / static_cast<std::size_t>(count)], out = decode(v, texts[i]);
    if (json) {
      all.push_back({{"prompt", before}, {"text", out}, {"tokens", texts[i].size()}, {"seed", how.seed}});
      if (!quantize.empty()) all.back()["quantize"] = quantize;
      continue;
    }
    const bool goes_on = v.unit() == Unit::word && !before.empty() && !before.ends_with('\n');
    if (texts.size() > 1) fmt::print("{}--- {} of {}\n", i == 0 ? "" : "\n", i + 1, texts.size());
    fmt::print("{}{}{}{}", before, goes_on && !out.starts_with('\n') ? " " : "", out,
               out.ends_with('\n') ? "" : "\n");
  }
  if (json) fmt::print("{}\n", json_text(texts.size() == 1 ? all.front() : all));
}

void UseCommand::print_score(const Vocabulary& v, const ErasedModel& asked,
                             std::span<const std::int32_t> line) const {
  const models::Evaluation e = models::evaluate(asked, line, 1, v.unknown());
  const double ln10 = std::log(10.0);
  const double known = e.log_prob_known / ln10, all = unknown.skipped() && e.unknown > 0
                                                          ? -std::numeric_limits<double>::infinity()
                                                          : e.log_prob / ln10;
  if (json) {
    nlohmann::json out = Perplexities(e, unknown.skipped()).json();
    out.update(
        {{"log10", all}, {"log10_without_unknown", known}, {"tokens", e.tokens}, {"unknown", e.unknown}});
    if (!quantize.empty()) out["quantize"] = quantize;
    fmt::print("{}\n", json_text(out, -1));
  } else {
    fmt::print("{:.6f}\t{}\t{}\t{:.6f}\n", all, e.tokens, e.unknown, known);
  }
}

void UseCommand::score() const {
  check_input();
  const TrainedModel trained = load();
  const Vocabulary& v = trained.vocabulary;
  const ErasedModel asked = unknown.applied_to(trained);
  const std::string path = text.empty() ? "-" : text;
  TextLines reader(path, v, skip_marks);
  std::vector<std::int32_t> ids;
  bool warned = unknown.skipped();
  const auto note_unknown = [&](std::span<const std::int32_t> line) {
    if (warned || v.unknown() < 0 || std::find(line.begin(), line.end(), v.unknown()) == line.end()) return;
    warn_of_untrained_unknown(trained, model);
    warned = true;
  };
  if (is_stream(path)) {  // each line is answered at once
    while (reader.next(ids)) {
      note_unknown(ids);
      print_score(v, asked, with_context(v, std::move(ids)));
      std::fflush(stdout);
    }
    return;
  }
  // So that a bad line is found before any score is printed, and nothing is read twice.
  LineSpool spool;
  while (reader.next(ids)) spool.add(ids);
  while (spool.next(ids)) {
    note_unknown(ids);
    print_score(v, asked, with_context(v, std::move(ids)));
  }
}

void add_model(CLI::App* command, UseCommand& options) {
  command
      ->add_option(
          "--model", options.model,
          "A model that `gradus train` or `gradus ngram` wrote, an ARPA file, or a folder with Hugging "
          "Face's files of a GPT-2 or Llama")
      ->required();
  command
      ->add_option("--quantize", options.quantize,
                   "Round a network's weights to 8 bits and a scale a row (i8) or to bfloat16 (bf16), which "
                   "take less memory and are read faster; eval reports the exact model beside it")
      ->check(CLI::IsMember({"i8", "bf16"}))
      ->default_str("");
  add_json(command, options.json);
}

}  // namespace

void add_eval(CLI::App& app) {
  const auto [c, options] = subcommand<UseCommand>(
      app, "eval", &UseCommand::evaluate, "Compute the perplexity of a text under a model",
      "Examples:\n  gradus eval --model book.arpa other.txt --json\n"
      "  zcat big.gz | gradus eval --model book.ngram - --unknown srilm\n"
      "  gradus eval --model book.safetensors other.txt --quantize i8");
  add_text(c, options->text);
  add_model(c, *options);
  options->unknown.add_to(c);
  add_skip_marks(c, options->skip_marks);
}

void add_generate(CLI::App& app) {
  const auto [c, options] = subcommand<UseCommand>(
      app, "generate", &UseCommand::generate, "Generate text by drawing from a model",
      "Examples:\n  gradus generate --model book.safetensors --prompt 'Once upon' --temperature 0.8\n"
      "  gradus generate --model book.safetensors --quantize i8 --tokens 1000\n"
      "  gradus generate --model book.safetensors --prompts beginnings.txt --count 4 --json");
  add_model(c, *options);
  options->prompt_given = c->add_option("--prompt", options->prompt, "The text to continue");
  c->add_option("--prompts", options->prompts,
                "A file of texts to continue, one a line, plain or compressed; - for standard input");
  c->add_option("--count", options->count,
                "How many continuations to draw of each prompt, each from random numbers of its own")
      ->check(CLI::Range(1, 1 << 20));
  c->add_option("--batch", options->how.batch,
                "Of several texts, how many are written side by side, so that weights are read once for all")
      ->check(CLI::Range(1, 65536));
  options->tokens_given =
      c->add_option("--tokens", options->how.max_tokens,
                    "The largest number of tokens to draw; 100 when neither this nor --lines is given")
          ->check(CLI::Range(1, 1 << 30))
          ->default_str("");
  options->lines_given =
      c->add_option("--lines", options->lines,
                    "The number of lines to stop after, blank ones not counted; 5 when neither this nor "
                    "--tokens is given")
          ->check(CLI::Range(1, 1 << 20))
          ->default_str("");
  c->add_option("--temperature", options->how.temperature,
                "Divides the log-probabilities: below 1 favours likely tokens, above 1 unlikely ones; 0 "
                "always takes the likeliest")
      ->check(zero_or_more());
  c->add_option("--top-k", options->how.top_k, "Draw from the k likeliest tokens only; 0: from all")
      ->check(zero_or_more());
  c->add_option("--top-p", options->how.top_p,
                "Draw from the fewest likeliest tokens that together reach probability p; above 0, at most 1")
      ->check(share_of_one());
  c->add_option("--seed", options->how.seed, "The same seed gives the same text")->check(whole_number());
  c->add_flag("--allow-unknown", options->allow_unknown, "Allow <unk> to be drawn");
  add_skip_marks(c, options->skip_marks);
}

void add_score(CLI::App& app) {
  const auto [c, options] = subcommand<UseCommand>(
      app, "score", &UseCommand::score,
      "Print for each line its log10 probability, tokens, unknown words, and log10 probability without these",
      "Example:\n  echo 'the king has a crown .' | gradus score --model book.arpa");
  c->add_option("text", options->text,
                "A file, plain or compressed; without it, or with -, lines of standard input");
  add_model(c, *options);
  options->unknown.add_to(c);
  add_skip_marks(c, options->skip_marks);
}

}  // namespace gradus::cli
