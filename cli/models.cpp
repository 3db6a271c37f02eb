#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/adapt_options.hpp"
#include "cli/commands.hpp"
#include "cli/model_options.hpp"
#include "cli/ngram_commands.hpp"
#include "cli/progress.hpp"
#include "cli/text_blocks.hpp"
#include "cli/usage.hpp"
#include "models/lines_apart.hpp"
#include "models/ngram/ngram.hpp"
#include "models/shared_scoring.hpp"
#include "models/team.hpp"
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

/// What a model said of a text, and the size of the text: what was left out is no part of it.
struct Measured {
  models::Evaluation said;
  std::int64_t bytes = 0, words = 0;
  models::SurprisalGroups groups = {};
  std::optional<RoundedEvaluation> rounded = {};
};

struct UseCommand : ModelOptions {
  std::string text;
  UnknownOption unknown;
  AdaptFlags adapt;
  models::AdaptOptions adapting{};
  std::string line_ends = "counted", reading = "carried";
  bool skip_marks = false, details = false, words = false;

  void evaluate();
  void evaluate_in(models::Team& team);
  void score() const;
  void score_in(models::Team& team) const;
  void score_stream(const TrainedModel& trained, TextLines& reader) const;
  void check_input() const;
  ErasedModel asked(const TrainedModel& trained) const;
  void check_evaluation() const;
  bool line_ends_counted() const { return line_ends == "counted"; }
  bool reads_lines_apart(const TrainedModel& trained) const;
  void measure(const TrainedModel& trained, models::Team& team, Measured& out) const;
  std::string reading_of(const TrainedModel& trained) const;
  nlohmann::json details_json(const models::SurprisalGroups& groups) const;
  void print_details(const models::SurprisalGroups& groups) const;
  std::string words_text(const Vocabulary& v, const ErasedModel& model,
                         std::span<const std::int32_t> line) const;
  nlohmann::json rounded_json(const RoundedEvaluation& rounded, const models::Evaluation& e) const;
  void print_rounded(const RoundedEvaluation& rounded, const models::Evaluation& e,
                     const Vocabulary& v) const;
  nlohmann::json evaluation_json(const TrainedModel& trained, const Measured& m) const;
  void print_evaluation(const TrainedModel& trained, const Measured& m) const;
  std::string score_text(const Vocabulary& v, const ErasedModel& asked,
                         std::span<const std::int32_t> line) const;
};

/// The model as the options want it read.
ErasedModel UseCommand::asked(const TrainedModel& trained) const {
  ErasedModel out = unknown.applied_to(trained);
  if (reading == "lines") out = ErasedModel(models::LinesApart(std::move(out), trained.vocabulary));
  return models::adapted(out, adapting);
}

/// Whether what the model says of a line depends on nothing before it.
bool UseCommand::reads_lines_apart(const TrainedModel& trained) const {
  if (adapting.any() || !quantize.empty()) return false;
  const auto* const ngrams = trained.model.get_if<models::NgramModel>();
  const std::int32_t line_end = trained.vocabulary.line_end();
  return reading == "lines" ||
         (ngrams != nullptr && line_end >= 0 && ngrams->description().sentence_end == line_end);
}

/// What the model says of a text, which is read once; and what the quantized one says, where there is one.
/// All members of a team read all of it and share out what takes the time; the first one has the sums.
void UseCommand::measure(const TrainedModel& trained, models::Team& team, Measured& out) const {
  Progress progress("evaluating", team.leads());
  const Vocabulary& v = trained.vocabulary;
  TextBlocks blocks(text, v, skip_marks);
  const ErasedModel exact = asked(trained);
  models::Team one;
  std::vector<bool> ends;
  if (reads_lines_apart(trained)) ends = models::line_end_tokens(v, exact.vocab_size());
  models::SharedScoring scoring(exact, ends, team);
  std::optional<models::SharedScoring> rounded;
  if (out.rounded) rounded.emplace(out.rounded->of.model, std::vector<bool>(), one);
  std::int64_t left_out = 0;
  const auto add = [&](models::Evaluation& to, std::span<const double> log_probs,
                       std::span<const std::int32_t> tokens) {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const bool counted = line_ends_counted() || tokens[i] != v.line_end();
      if (counted) to.add(log_probs.subspan(i, 1), tokens.subspan(i, 1), v.unknown());
      if (!counted && &to == &out.said) ++left_out;
    }
  };
  progress.phase("reading", true);
  bool first = true;
  for (std::vector<std::int32_t> ids; blocks.next(ids); first = false) {
    if (first) ids = with_context(v, std::move(ids));
    const auto predicted = std::span<const std::int32_t>(ids).subspan(first ? 1 : 0);
    const std::vector<double> scores = scoring.score(ids);
    if (team.leads()) {
      const auto log_probs = std::span<const double>(scores).last(predicted.size());
      add(out.said, log_probs, predicted);
      out.groups.add(log_probs, predicted, v.line_end(),
                     [&](std::int32_t id) { return id < v.size() ? v.count(id) : 0; });
    }
    if (rounded) {
      const std::vector<double> others = rounded->score(ids);
      add(out.rounded->said, std::span<const double>(others).last(predicted.size()), predicted);
    }
    progress.update(blocks.done(), blocks.total());
  }
  // Each line end is one character, one byte and one of the words.
  out.said.characters = blocks.characters() - left_out;
  out.bytes = blocks.bytes() - left_out;
  out.words = blocks.words() - left_out;
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
std::string UseCommand::reading_of(const TrainedModel& trained) const {
  const Vocabulary& v = trained.vocabulary;
  if (reading == "lines") return "each line read by itself";
  if (trained.kind == "ngram" && v.unit() == Unit::word) return "context begun anew at each line";
  if (trained.document_end < 0) return "state carried throughout";
  return "state begun anew behind each " + escaped(v.symbol(static_cast<std::int32_t>(trained.document_end)));
}

// "1", "2", "3 to 4" and so on of places; "never", "1", "2 to 3" of counts.
std::string place_name(std::size_t group) {
  const auto last = std::int64_t{1} << group, first = group == 0 ? 1 : (last >> 1) + 1;
  return first == last ? fmt::format("{}", first) : fmt::format("{} to {}", first, last);
}
std::string count_name(std::size_t group) {
  if (group == 0) return "never";
  const auto first = std::int64_t{1} << (group - 1), last = 2 * first - 1;
  return first == last ? fmt::format("{}", first) : fmt::format("{} to {}", first, last);
}

nlohmann::json UseCommand::details_json(const models::SurprisalGroups& groups) const {
  const auto list = [](const std::vector<models::SurprisalGroup>& all, const auto& name) {
    nlohmann::json out = nlohmann::json::array();
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (all[i].tokens > 0)
        out.push_back({{"group", name(i)}, {"tokens", all[i].tokens}, {"nats_per_token", all[i].nats()}});
    }
    return out;
  };
  return {{"by_place_in_line", list(groups.by_place, place_name)},
          {"by_training_count", list(groups.by_count, count_name)}};
}

void UseCommand::print_details(const models::SurprisalGroups& groups) const {
  const auto table = [](const char* title, const std::vector<models::SurprisalGroup>& all, const auto& name) {
    fmt::print("\n{:<24} {:>10} {:>10} {:>12}\n", title, "tokens", "nats", "perplexity");
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (all[i].tokens > 0)
        fmt::print("{:<24} {:>10} {:>10.4f} {:>12.2f}\n", name(i), all[i].tokens, all[i].nats(),
                   std::exp(all[i].nats()));
    }
  };
  table("place in the line", groups.by_place, place_name);
  table("times in training", groups.by_count, count_name);
}

/// What the figures of an evaluation are of: all tokens, or the known ones where unknown ones are left out.
struct Counted {
  double log_prob, tokens;
  Counted(const models::Evaluation& e, bool skipped)
      : log_prob(skipped ? e.log_prob_known : e.log_prob),
        tokens(static_cast<double>(skipped ? e.tokens - e.unknown : e.tokens)) {}
  double nats() const { return -log_prob / tokens; }
  double bits(std::int64_t units) const { return -log_prob / std::log(2.0) / static_cast<double>(units); }
  double perplexity(std::int64_t units) const { return std::exp(-log_prob / static_cast<double>(units)); }
};

bool gives_scores(const TrainedModel& trained) {
  const auto* const ngrams = trained.model.get_if<models::NgramModel>();
  return ngrams != nullptr && gives_scores(ngrams->description());
}

/// Whether a perplexity by words is another than that by tokens.
bool is_counted_by_words(const Vocabulary& v, const Measured& m) {
  return v.unit() != Unit::word && m.words > 0;
}

void UseCommand::check_evaluation() const {
  check_input();
  adapt.check();
  if (reading == "lines" && (adapt.dynamic > 0 || adapt.neural_cache > 0))
    misuse("--reading lines: --dynamic and --neural-cache carry what they have read");
  if (reading == "lines" && !quantize.empty())
    misuse("--reading lines and --quantize cannot be given together");
  if (adapt.any() && !quantize.empty()) misuse("--quantize: rounded weights do not adapt; give one of them");
}

void UseCommand::evaluate() {
  run_with_team([this](models::Team& team) { evaluate_in(team); });
}

void UseCommand::evaluate_in(models::Team& team) {
  check_evaluation();
  const TrainedModel trained = models::load_model(model);
  adapting = adapt.options(trained, skip_marks);
  Measured m;
  if (!quantize.empty()) m.rounded.emplace(RoundedEvaluation{quantized(trained)});
  models::Team one;
  const bool shared = reads_lines_apart(trained) && !is_stream(text);
  if (!shared && !team.leads()) return;
  if (!shared && !team.alone()) {
    warn("one process alone reads the text, as {}",
         is_stream(text) ? "it is a stream" : "the model's state is carried from line to line");
  }
  measure(trained, shared ? team : one, m);
  if (!team.leads()) return;
  if (!unknown.skipped() && m.said.unknown > 0) warn_of_untrained_unknown(trained, model);
  if (json) {
    fmt::print("{}\n", json_text(evaluation_json(trained, m)));
  } else {
    print_evaluation(trained, m);
  }
}

nlohmann::json UseCommand::evaluation_json(const TrainedModel& trained, const Measured& m) const {
  const models::Evaluation& e = m.said;
  const Perplexities p(e, unknown.skipped());
  const Counted counted(e, unknown.skipped());
  nlohmann::json out{{"perplexity", unknown.skipped() ? p.without_unknown : p.with_unknown},
                     {"bits_per_character", counted.bits(e.characters)},
                     {"bits_per_byte", counted.bits(m.bytes)},
                     {"characters", e.characters},
                     {"bytes", m.bytes},
                     {"line_ends", line_ends},
                     {"reading", reading_of(trained)},
                     {"nats_per_token", counted.nats()},
                     {"tokens", e.tokens},
                     {"unknown", e.unknown},
                     {"unknown_words", unknown.convention},
                     {"unknown_trained", !unknown_is_untrained(trained)},
                     {"probabilities", !gives_scores(trained)},
                     {"log_prob", counted.log_prob}};
  out.update(p.json());
  if (is_counted_by_words(trained.vocabulary, m)) {
    out["words"] = m.words;
    out["word_perplexity"] = counted.perplexity(m.words);
  }
  if (details) out.update(details_json(m.groups));
  if (adapting.any()) out["adapted_by"] = adaptation_json(adapting);
  if (m.rounded) out.update(rounded_json(*m.rounded, e));
  return out;
}

void UseCommand::print_evaluation(const TrainedModel& trained, const Measured& m) const {
  const Vocabulary& v = trained.vocabulary;
  const models::Evaluation& e = m.said;
  const Perplexities p(e, unknown.skipped());
  const Counted counted(e, unknown.skipped());
  const bool scores = gives_scores(trained);
  if (scores) {
    fmt::print(
        "stupid backoff gives scores, not probabilities: this is not a perplexity, and not comparable with "
        "one\n");
  }
  fmt::print("{} {} with unknown {}s, {} without; {} {}s, {}{} of them unknown{}\n",
             scores ? "of the scores:" : "perplexity", number_text(p.with_unknown), name_of(v.unit()),
             number_text(p.without_unknown), e.tokens, name_of(v.unit()),
             v.line_end() >= 0 && (v.unit() == Unit::word || line_ends != "counted")
                 ? "line ends " + line_ends + ", "
                 : "",
             e.unknown, unknown.skipped() ? " and left out" : "");
  fmt::print("{} nats a token, {} bits a character, {} a byte; {}\n", number_text(counted.nats()),
             number_text(counted.bits(e.characters)), number_text(counted.bits(m.bytes)),
             reading_of(trained));
  if (is_counted_by_words(v, m)) {
    fmt::print("perplexity {} a word, of the {} that spaces{} separate\n",
               number_text(counted.perplexity(m.words)), m.words,
               line_ends == "counted" ? " and line ends" : "");
  }
  if (details) print_details(m.groups);
  if (adapting.any()) fmt::print("adapted by {}\n", adaptation_text(adapting));
  if (m.rounded) print_rounded(*m.rounded, e, v);
}

/// Each token of a line and its log10 probability.
std::string UseCommand::words_text(const Vocabulary& v, const ErasedModel& of,
                                   std::span<const std::int32_t> line) const {
  const std::vector<double> scores = models::score(of, line);
  nlohmann::json all = nlohmann::json::array();
  std::string out;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const std::string& symbol = v.symbol(line[i + 1]);
    const double log10 = scores[i] / std::log(10.0);
    if (json) {
      all.push_back({{"token", symbol}, {"log10", log10}});
    } else {
      out += fmt::format("{}\t{:.6f}\n", escaped(symbol), log10);
    }
  }
  return (json ? json_text(all, -1) : out) + "\n";
}

/// What is printed for a line.
std::string UseCommand::score_text(const Vocabulary& v, const ErasedModel& of,
                                   std::span<const std::int32_t> line) const {
  if (words) return words_text(v, of, line);
  const models::Evaluation e = models::evaluate(of, line, 1, v.unknown());
  const double ln10 = std::log(10.0);
  const double known = e.log_prob_known / ln10, all = unknown.skipped() && e.unknown > 0
                                                          ? -std::numeric_limits<double>::infinity()
                                                          : e.log_prob / ln10;
  if (!json) return fmt::format("{:.6f}\t{}\t{}\t{:.6f}\n", all, e.tokens, e.unknown, known);
  nlohmann::json out = Perplexities(e, unknown.skipped()).json();
  out.update(
      {{"log10", all}, {"log10_without_unknown", known}, {"tokens", e.tokens}, {"unknown", e.unknown}});
  if (!quantize.empty()) out["quantize"] = quantize;
  return json_text(out, -1) + "\n";
}

/// Whether a line has an unknown token of which that the model says is chance.
class UnknownNote {
 public:
  UnknownNote(const TrainedModel& trained, const std::string& model, bool wanted)
      : trained_(trained), model_(model), wanted_(wanted) {}
  /// Warns of the first.
  void look(std::span<const std::int32_t> line) {
    const std::int32_t unknown = trained_.vocabulary.unknown();
    if (!wanted_ || unknown < 0 || std::find(line.begin(), line.end(), unknown) == line.end()) return;
    warn_of_untrained_unknown(trained_, model_);
    wanted_ = false;
  }

 private:
  const TrainedModel& trained_;
  const std::string& model_;
  bool wanted_;
};

/// Each line is answered at once.
void UseCommand::score_stream(const TrainedModel& trained, TextLines& reader) const {
  const ErasedModel exact = unknown.applied_to(trained);
  UnknownNote note(trained, model, !unknown.skipped());
  for (std::vector<std::int32_t> ids; reader.next(ids);) {
    note.look(ids);
    fmt::print("{}", score_text(trained.vocabulary, exact, with_context(trained.vocabulary, std::move(ids))));
    std::fflush(stdout);
  }
}

void UseCommand::score() const {
  run_with_team([this](models::Team& team) { score_in(team); });
}

/// All members of a team read all lines and score every so many-th; the first one prints them in their order.
void UseCommand::score_in(models::Team& team) const {
  check_input();
  const std::string path = text.empty() ? "-" : text;
  if (is_stream(path) && !team.leads()) return;
  const TrainedModel trained = load();
  const Vocabulary& v = trained.vocabulary;
  TextLines reader(path, v, skip_marks);
  if (is_stream(path)) return score_stream(trained, reader);
  // So that a bad line is found before any score is printed, and nothing is read twice.
  LineSpool spool;
  UnknownNote note(trained, model, team.leads() && !unknown.skipped());
  std::vector<std::int32_t> ids;
  const std::int64_t members = team.size();
  std::int64_t lines = 0;
  for (; reader.next(ids); ++lines) {
    note.look(ids);
    if (lines % members == team.rank()) spool.add(ids);
  }
  const ErasedModel exact = unknown.applied_to(trained);
  constexpr std::int64_t at_once = 256;  // lines of each member
  for (std::int64_t begin = 0; begin < lines; begin += at_once * members) {
    models::Team::Bytes own;
    for (std::int64_t i = 0; i < at_once && spool.next(ids); ++i)
      models::put_text(own, score_text(v, exact, with_context(v, std::move(ids))));
    const std::vector<models::Team::Bytes> all = team.collect(own);
    std::vector<models::TeamReader> from(all.begin(), all.end());
    for (std::int64_t i = begin; team.leads() && i < std::min(lines, begin + at_once * members); ++i)
      fmt::print("{}", from[static_cast<std::size_t>(i % members)].get_text());
  }
}

}  // namespace

void add_eval(CLI::App& app) {
  const auto [c, options] = subcommand<UseCommand>(
      app, "eval", &UseCommand::evaluate, "Compute the perplexity of a text under a model",
      "Examples:\n  gradus eval --model book.arpa other.txt --json\n"
      "  zcat big.gz | gradus eval --model book.ngram - --unknown srilm\n"
      "  gradus eval --model book.safetensors other.txt --quantize i8\n"
      "  gradus eval --model run1 other.txt --neural-cache 0.1 --theta 0.3");
  add_text(c, options->text);
  options->add_to(c);
  options->unknown.add_to(c);
  c->add_option("--line-ends", options->line_ends,
                "counted: they are predicted and counted as tokens; left-out: neither, though they are read")
      ->check(CLI::IsMember({"counted", "left-out"}));
  c->add_option(
       "--reading", options->reading,
       "carried: a model knows the lines before, as far as its kind remembers; lines: each is read by itself")
      ->check(CLI::IsMember({"carried", "lines"}));
  c->add_flag("--details", options->details,
              "Show surprisal by the place in the line and by how often a token was seen in training");
  options->adapt.add_to(c);
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
  c->add_flag("--words", options->words,
              "Print each token with its log10 probability, a blank line behind each line");
  add_skip_marks(c, options->skip_marks);
}

}  // namespace gradus::cli
