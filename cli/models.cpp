#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/commands.hpp"
#include "cli/model_options.hpp"
#include "cli/ngram_commands.hpp"
#include "cli/progress.hpp"
#include "cli/text_blocks.hpp"
#include "cli/usage.hpp"
#include "models/ngram/ngram.hpp"
#include "text/escapes.hpp"
#include "text/tokenizer.hpp"

// The commands that score texts by a model: eval, score.
namespace gradus::cli {

namespace {

using models::ErasedModel;
using models::TrainedModel;

/// A quantized model beside the exact one, and what it said of the text.
struct RoundedEvaluation {
  models::QuantizedModel of;
  models::Evaluation said = {};
};

struct UseCommand : ModelOptions {
  std::string text;
  UnknownOption unknown;
  bool skip_marks = false;

  void evaluate() const;
  void score() const;
  void check_input() const;
  models::Evaluation evaluation(const TrainedModel& trained, TextBlocks& blocks,
                                RoundedEvaluation* rounded) const;
  nlohmann::json rounded_json(const RoundedEvaluation& rounded, const models::Evaluation& e) const;
  void print_rounded(const RoundedEvaluation& rounded, const models::Evaluation& e,
                     const Vocabulary& v) const;
  void print_score(const Vocabulary& v, const ErasedModel& asked, std::span<const std::int32_t> line) const;
};

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

}  // namespace

void add_eval(CLI::App& app) {
  const auto [c, options] = subcommand<UseCommand>(
      app, "eval", &UseCommand::evaluate, "Compute the perplexity of a text under a model",
      "Examples:\n  gradus eval --model book.arpa other.txt --json\n"
      "  zcat big.gz | gradus eval --model book.ngram - --unknown srilm\n"
      "  gradus eval --model book.safetensors other.txt --quantize i8");
  add_text(c, options->text);
  options->add_to(c);
  options->unknown.add_to(c);
  add_skip_marks(c, options->skip_marks);
}

void add_score(CLI::App& app) {
  const auto [c, options] = subcommand<UseCommand>(
      app, "score", &UseCommand::score,
      "Print for each line its log10 probability, tokens, unknown words, and log10 probability without these",
      "Example:\n  echo 'the king has a crown .' | gradus score --model book.arpa");
  c->add_option("text", options->text,
                "A file, plain or compressed; without it, or with -, lines of standard input");
  options->add_to(c);
  options->unknown.add_to(c);
  add_skip_marks(c, options->skip_marks);
}

}  // namespace gradus::cli
