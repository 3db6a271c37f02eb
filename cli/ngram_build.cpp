#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_set>

#include "cli/ngram_commands.hpp"
#include "cli/text_blocks.hpp"
#include "cli/usage.hpp"
#include "models/checkpoint.hpp"
#include "models/ngram/estimate/estimate.hpp"
#include "models/ngram/estimate/text_source.hpp"
#include "tensor/support/parallel.hpp"
#include "text/load.hpp"
#include "text/text_check.hpp"

namespace gradus::cli {

namespace {

using models::NgramModel;
namespace ngram = models::ngram;

/// The words of a file with this text, one a line. The marks of sentences and of unknown words are there
/// anyway.
Vocabulary listed_words(const std::string& file, const std::string& text) {
  std::unordered_set<std::string_view> seen{Vocabulary::line_end_text, Vocabulary::unknown_text, "<s>"};
  std::vector<std::string_view> words;
  std::int64_t number = 0;
  for (std::string_view rest = text; !rest.empty();) {
    std::string_view line = take(rest, '\n');
    ++number;
    constexpr std::string_view spaces = " \t\r";
    line.remove_prefix(std::min(line.find_first_not_of(spaces), line.size()));
    line.remove_suffix(line.size() - (line.find_last_not_of(spaces) + 1));
    if (line.find_first_of(spaces) != line.npos)
      fail<DataError>("{}, line {}: '{}' is no single word; list one a line", file, number, line);
    if (!line.empty() && seen.insert(line).second) words.push_back(line);
  }
  if (words.empty()) fail<DataError>("{} lists no words; give one a line", file);
  words.push_back(Vocabulary::line_end_text);
  return Vocabulary::from_counts(Unit::word, words, std::vector<std::int64_t>(words.size(), 1));
}

/// Makes bytes of "512M" and of "50%", a share of the machine's memory.
CLI::Validator memory_size() {
  return {[](std::string& text) {
            if (!text.ends_with('%')) return CLI::AsSizeValue(false)(text);
            double share = 0;
            if (!to_number(std::string_view(text).substr(0, text.size() - 1), share) ||
                !(share > 0 && share <= 100))
              return fmt::format("{}: give a share above 0%, at most 100%", text);
            const double bytes = static_cast<double>(::sysconf(_SC_PHYS_PAGES)) *
                                 static_cast<double>(::sysconf(_SC_PAGESIZE)) * share / 100;
            text = std::to_string(static_cast<std::uint64_t>(bytes));
            return std::string();
          },
          "SIZE"};
}

struct BuildCommand {
  std::string text, unit = "word", method = "kneser-ney", prune, words, unknown = "kenlm";
  Place place;
  models::NgramOptions options{.order = 5};
  ngram::BuildOptions build;
  VocabularyOptions vocabulary;
  std::size_t memory = std::size_t{1} << 30;
  std::string temporary;
  int threads = 0;
  bool closed = false, skip_marks = false, json = false;
  const CLI::App* self = nullptr;
  CLI::Option *k_given = nullptr, *cutoff_given = nullptr, *backoff_given = nullptr, *unknown_given = nullptr,
              *prune_given = nullptr;

  void check();
  void run();
  void run_in(const std::shared_ptr<models::Team>& team);
  void print(const models::NgramSummary& summary, const std::vector<std::uint64_t>& bytes,
             double seconds) const;
};

/// Checks the options before the work begins.
void BuildCommand::check() {
  if (given(k_given) && method != "add-k") misuse("--k goes with --method add-k, not {}", method);
  if (!(options.k >= 0 && std::isfinite(options.k))) misuse("--k {}: give 0 or more", options.k);
  if (given(cutoff_given) && method != "katz")
    misuse("--katz-cutoff goes with --method katz, not {}", method);
  if (given(backoff_given) && method != "stupid-backoff")
    misuse("--backoff goes with --method stupid-backoff, not {}", method);
  if (!(options.backoff > 0 && options.backoff <= 1))
    misuse("--backoff {}: give a number above 0, at most 1", options.backoff);
  if (place.arpa() && (method == "add-k" || method == "maximum-likelihood"))
    misuse("--method {} does not back off, which is all that ARPA text such as {} holds", method, place.file);
  if (vocabulary.max_size == 1) misuse("--max-vocabulary 1: <unk> and </s> alone are 2; 0 is no limit");
  if (memory == 0 || memory > std::size_t{1} << 50) misuse("--memory: give a size such as 512M or 50%");
  if (closed && given(unknown_given) && unknown == "kenlm")
    misuse("--closed leaves <unk> without a probability, --unknown kenlm gives it one");
  closed |= unknown == "srilm";
  require_marks_of_words(skip_marks, unit_named(unit));
  if (is_standard_input(text) && is_standard_input(words))
    misuse("standard input can be the text or the --vocabulary, not both");
  if (unit != "word" && !words.empty()) misuse("--vocabulary lists words, not {}s", unit);
  if (unit == "byte" && (closed || vocabulary.min_count > 1 || vocabulary.max_size > 0))
    misuse("no byte is unknown among bytes: leave out --closed, --unknown, --min-count and --max-vocabulary");
  if (closed && (vocabulary.min_count > 1 || vocabulary.max_size > 0)) {
    misuse("--min-count and --max-vocabulary make words of the text unknown, which then has none with {}",
           unknown == "srilm" ? "--unknown srilm" : "--closed");
  }
  if (given(prune_given)) {
    build.prune = numbers_of<std::int64_t>(prune, "--prune");
    if (build.prune.front() != 0) misuse("--prune {}: begin with 0, and cut words with --min-count", prune);
    if (!std::is_sorted(build.prune.begin(), build.prune.end()))
      misuse("--prune {}: a higher order's count must not be less", prune);
  }
  std::error_code missing;
  if (!temporary.empty() && !std::filesystem::is_directory(temporary, missing))
    fail<DataError>("--temporary {}: there is no such folder", temporary);
}

void BuildCommand::run() {
  run_together(*self, [this](const std::shared_ptr<models::Team>& team) { run_in(team); });
}

/// Of several processes, the first one alone writes and prints.
void BuildCommand::run_in(const std::shared_ptr<models::Team>& team) {
  check();
  if (team->leads()) place.check(text);
  set_threads(threads);
  options.method = models::ngram_method_named(method);
  if (closed) options.impossible = 0;
  build.memory = static_cast<std::int64_t>(memory);
  build.temporary = temporary;
  ngram::TextOptions reading{.unit = unit_named(unit), .vocabulary = vocabulary, .skip_marks = skip_marks};
  // Reading takes some ten times a block, which is to be a small part of the whole.
  reading.block = std::clamp(build.memory / 128, std::int64_t{1} << 16, reading.block);
  reading.team = build.team = team;
  if (!words.empty()) {
    reading.known = listed_words(words, team->broadcast(team->leads() ? load_text(words) : std::string()));
    reading.closed = closed;
  }
  Progress progress("building", team->leads());
  build.progress = shown_by(progress);
  progress.phase("counting", true);
  ngram::TextSource source(text, std::move(reading));
  std::optional<PlaceWriter> writer;
  const models::NgramSummary summary = ngram::estimate(source, options, build, [&]() -> models::NgramSink& {
    return writer.emplace(place, source.vocabulary()).sink();
  });
  if (writer) print(summary, writer->order_bytes(), progress.seconds());
}

void BuildCommand::print(const models::NgramSummary& summary, const std::vector<std::uint64_t>& bytes,
                         double seconds) const {
  const std::optional<std::uint64_t> size = file_bytes(place.file);
  std::FILE* const to = report_stream(place.file);
  if (json) {
    nlohmann::json orders = nlohmann::json::array();
    for (std::size_t n = 0; n < summary.counts.size(); ++n) {
      orders.push_back({{"order", n + 1},
                        {"ngrams", summary.counts[n]},
                        {"distinct", summary.distinct[n]},
                        {"bytes", bytes.empty() ? nlohmann::json() : nlohmann::json(bytes[n])},
                        {"discounts", summary.discounts[n].amount},
                        {"fallback", summary.discounts[n].fallback}});
    }
    fmt::print(to, "{}\n",
               json_text({{"method", method},
                          {"description", summary.method},
                          {"unknown_words", closed ? "impossible" : "predicted"},
                          {"tokens", summary.tokens},
                          {"sentences", summary.sentences},
                          {"vocabulary", summary.vocab},
                          {"temporary_bytes", summary.temporary_bytes},
                          {"bytes", size ? nlohmann::json(*size) : nlohmann::json()},
                          {"seconds", seconds},
                          {"orders", orders}}));
    return;
  }
  fmt::print(to, "{} tokens in {} sentences, {} symbols{}, {}\n{:>5} {:>12} {:>12} {:>14}  discounts\n",
             summary.tokens, summary.sentences, summary.vocab, closed ? " (<unk> impossible)" : "",
             summary.method, "order", "n-grams", "distinct", "bytes");
  std::int64_t all = 0;
  for (std::size_t n = 0; n < summary.counts.size(); ++n) {
    fmt::print(to, "{:>5} {:>12} {:>12} {:>14}  {}\n", n + 1, summary.counts[n], summary.distinct[n],
               bytes.empty() ? "" : fmt::to_string(bytes[n]), discounts_text(summary.discounts[n]));
    all += summary.counts[n];
  }
  if (size) {
    fmt::print(to, "{}: {} bytes, {:.2f} an n-gram, in {:.1f} s\n", place.file, *size,
               static_cast<double>(*size) / static_cast<double>(all), seconds);
  } else {
    fmt::print(to, "{}: written in {:.1f} s\n", place.file, seconds);
  }
}

void add_vocabulary_options(CLI::App* c, BuildCommand& o) {
  add_unit(c, o.unit, plain_units());
  add_skip_marks(c, o.skip_marks);
  CLI::Option* words =
      c->add_option("--vocabulary", o.words,
                    "A file that lists the words of the vocabulary, one per line; other words become <unk>");
  c->add_flag("--closed", o.closed,
              "Close the vocabulary: <unk> has no probability, and a text with unknown words is refused");
  o.unknown_given = c->add_option("--unknown", o.unknown,
                                  "kenlm: <unk> is one word of the vocabulary, with a word's share of the "
                                  "uniform distribution at least; srilm: the same as --closed")
                        ->check(CLI::IsMember({"kenlm", "srilm"}));
  c->add_option("--min-count", o.vocabulary.min_count, "Symbols that occur fewer times become <unk>")
      ->check(CLI::Range(1, 1 << 30))
      ->excludes(words);
  c->add_option("--max-vocabulary", o.vocabulary.max_size,
                "The largest number of symbols, 2 or more; 0: no limit")
      ->check(CLI::Range(0, 1 << 30))
      ->excludes(words);
}

}  // namespace

void add_ngram_build(CLI::App& ngram_command) {
  const auto [c, o] = subcommand<BuildCommand>(
      ngram_command, "build", &BuildCommand::run, "Estimate a model from a text",
      "Examples:\n  gradus ngram build --order 5 --prune 0,0,1 book.txt --out book.ngram\n"
      "  zcat big.gz | gradus ngram build --memory 512M - --out big.ngram --layout compact --quantize 8\n"
      "  mpirun -n 8 gradus ngram build --memory 4G --temporary /scratch texts --out big.ngram");
  o->self = c;
  add_text(c, o->text);
  o->place.add_to(c);
  c->add_option("--order", o->options.order, "The number of words of the longest n-grams")
      ->check(CLI::Range(1, NgramModel::max_order));
  const auto methods = models::ngram_method_names();
  c->add_option("--method", o->method, "The smoothing method")
      ->check(CLI::IsMember(std::vector<std::string>(methods.begin(), methods.end())));
  o->k_given = c->add_option("--k", o->options.k, "With add-k: the number that is added to each count");
  o->cutoff_given = c->add_option("--katz-cutoff", o->options.katz_cutoff,
                                  "With katz: the largest count that is discounted")
                        ->check(CLI::Range(1, 20));
  o->backoff_given = c->add_option("--backoff", o->options.backoff,
                                   "With stupid-backoff: the factor for each step to a shorter context");
  c->add_option(
       "--memory", o->memory,
       "Memory for counting and sorting, such as 512M or 50%, a share of the machine's; more data goes "
       "to temporary files")
      ->transform(memory_size())
      ->default_str("1G");
  c->add_option("--temporary", o->temporary, "The folder for temporary files");
  o->prune_given =
      c->add_option("--prune", o->prune,
                    "For each order, the count up to which n-grams are left out, such as 0,0,1 or 0 0 1; the "
                    "last one holds for the orders above");
  add_vocabulary_options(c, *o);
  add_threads(c, o->threads);
  add_json(c, o->json);
}

}  // namespace gradus::cli
