#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "cli/commands.hpp"
#include "cli/progress.hpp"
#include "cli/text_blocks.hpp"
#include "cli/usage.hpp"
#include "models/bootstrap.hpp"
#include "models/checkpoint.hpp"
#include "text/tokenizer.hpp"

// The command that compares models on a text.
namespace gradus::cli {

namespace {

/// What a model says of each line, in nats.
struct Scored {
  std::string name;
  std::vector<double> lines;
  double total = 0;
  std::int64_t unknown = 0;  // tokens of the text that are <unk> to it
};

struct CompareCommand {
  std::vector<std::string> models;
  std::string text;
  models::BootstrapOptions how;
  UnknownOption unknown;
  bool skip_marks = false, json = false;

  void run() const;
  Scored score(const std::string& model, std::vector<double>& words, std::int64_t& characters) const;
  void print(const std::vector<Scored>& all, const std::vector<double>& words, std::int64_t characters) const;
};

/// Reads the text by one model, its state carried from line to line. `words`: those of each line, its end
/// among them.
Scored CompareCommand::score(const std::string& file, std::vector<double>& words,
                             std::int64_t& characters) const {
  const gradus::models::TrainedModel trained = gradus::models::load_model(file);
  const gradus::models::ErasedModel model = unknown.applied_to(trained);
  const Vocabulary& v = trained.vocabulary;
  if (unknown_is_untrained(trained)) warn_of_chance(file, v.unit());
  Progress progress("reading by " + file);
  Scored out{.name = file, .lines = {}};
  TextLines reader(text, v, skip_marks);
  auto state = model.start();
  std::vector<std::int32_t> ids;
  words.clear();
  characters = 0;
  bool in_word = false;
  for (bool first = true; reader.next(ids); first = false) {
    if (first) ids = with_context(v, std::move(ids));
    const std::vector<double> scores = model.score(state, ids);
    double nats = 0;
    for (std::size_t i = first ? 1 : 0; i < scores.size(); ++i) {
      if (std::isnan(scores[i]))
        fail<NumericError>("{}: it gives a token a probability of NaN; train it again", file);
      if (ids[i] == v.unknown()) ++out.unknown;
      if (!unknown.skipped() || ids[i] != v.unknown()) nats -= scores[i];
    }
    out.lines.push_back(nats);
    out.total += nats;
    words.push_back(static_cast<double>(count_words(reader.line(), in_word)));
    characters += count_characters(reader.line());
    progress.update(std::ssize(out.lines), 0);
  }
  if (out.lines.empty()) fail<DataError>("{}: there is nothing to predict", text_name(text));
  return out;
}

void CompareCommand::print(const std::vector<Scored>& all, const std::vector<double>& words,
                           std::int64_t characters) const {
  const double count = std::accumulate(words.begin(), words.end(), 0.0);
  const auto best = std::ranges::min_element(all, {}, &Scored::total);
  nlohmann::json rows = nlohmann::json::array();
  if (!json) {
    fmt::print(
        "{} lines, {:.0f} words and line ends; the difference to {}, the best, in nats a word, with an "
        "interval of {:.0f}%\n",
        words.size(), count, best->name, 100 * how.level);
    fmt::print("{:>12} {:>10} {:>12} {:>24} {:>9}  model\n", "perplexity", "bits", "difference", "interval",
               "p");
    fmt::print("{:>12} {:>10}\n", "a word", "a char");
  }
  for (const Scored& one : all) {
    const gradus::models::Difference d = gradus::models::paired_bootstrap(one.lines, best->lines, words, how);
    const double perplexity = std::exp(one.total / count),
                 bits = one.total / std::log(2.0) / static_cast<double>(characters);
    if (json) {
      rows.push_back({{"model", one.name},
                      {"word_perplexity", perplexity},
                      {"bits_per_character", bits},
                      {"nats", one.total},
                      {"unknown", one.unknown},
                      {"difference", d.mean},
                      {"low", d.low},
                      {"high", d.high},
                      {"p_value", &one == &*best ? nlohmann::json() : nlohmann::json(d.p_value)}});
    } else if (&one == &*best) {
      fmt::print("{:>12.4f} {:>10.4f} {:>12} {:>24} {:>9}  {}\n", perplexity, bits, "", "", "", one.name);
    } else {
      fmt::print("{:>12.4f} {:>10.4f} {:>+12.5f} {:>24} {:>9.4f}  {}\n", perplexity, bits, d.mean,
                 fmt::format("{:+.5f} to {:+.5f}", d.low, d.high), d.p_value, one.name);
    }
  }
  const auto differs = [&](const Scored& one) { return one.unknown != all.front().unknown; };
  if (std::ranges::any_of(all, differs)) {
    std::string counts;
    for (const Scored& one : all)
      counts += fmt::format("{}{} {}", counts.empty() ? "" : ", ", one.name, one.unknown);
    warn(
        "the models differ in how many tokens are <unk> to them ({}), and one <unk> is likelier than the "
        "word that it stands "
        "for: those that know all words are at a disadvantage",
        counts);
  }
  if (!json) return;
  fmt::print("{}\n", json_text({{"text", text},
                                {"lines", words.size()},
                                {"words", count},
                                {"best", best->name},
                                {"level", how.level},
                                {"resamples", how.resamples},
                                {"seed", how.seed},
                                {"unknown_words", unknown.convention},
                                {"models", rows}}));
}

void CompareCommand::run() const {
  if (models.size() < 2) misuse("give at least two models to compare");
  if (is_stream(text)) misuse("--text is read once for each model: give a file");
  std::vector<Scored> all;
  std::vector<double> words;
  std::int64_t characters = 0;
  for (const std::string& model : models) all.push_back(score(model, words, characters));
  print(all, words, characters);
}

}  // namespace

void add_compare(CLI::App& app) {
  const auto [c, options] = subcommand<CompareCommand>(
      app, "compare", &CompareCommand::run,
      "Compare models on a text, whatever their tokens are, and say whether the difference may be chance",
      "Examples:\n  gradus compare book.ngram run1 run2 --text other.txt\n"
      "  gradus compare run1 run2 --text other.txt --resamples 100000 --json");
  c->add_option("models", options->models, "Models of any kinds")
      ->required()
      ->expected(1, 64)
      ->default_str("");
  c->add_option("--text", options->text, "The text that they are compared on, a file or a folder")
      ->required();
  c->add_option("--resamples", options->how.resamples, "Draws of lines, each as many as the text has")
      ->check(CLI::Range(1, 10'000'000));
  c->add_option("--level", options->how.level, "Of the intervals")->check(CLI::Range(0.01, 0.9999));
  c->add_option("--seed", options->how.seed, "Seed of the draws")->check(whole_number());
  options->unknown.add_to(c);
  add_skip_marks(c, options->skip_marks);
  add_json(c, options->json);
}

}  // namespace gradus::cli
