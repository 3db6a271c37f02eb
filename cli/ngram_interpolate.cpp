#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>

#include "cli/ngram_commands.hpp"
#include "cli/text_blocks.hpp"
#include "cli/usage.hpp"
#include "models/cache.hpp"
#include "models/interpolate.hpp"
#include "models/mixture.hpp"
#include "models/ngram/merge.hpp"
#include "models/ngram/ngram.hpp"

namespace gradus::cli {

namespace {

using models::ErasedModel;
using models::Evaluation;
using models::ModelSet;
using models::TrainedModel;

/// The models of one interpolation, over the words that any of them lists.
struct Parts {
  std::vector<std::string> names;
  std::vector<bool> untrained;         // of each model: whether it never saw <unk>
  std::vector<std::int64_t> unlisted;  // of each model: words that others list and it does not
  bool same_ids = true;                // whether every word has the same id in all of them
  Vocabulary vocabulary;
  std::optional<ModelSet> set;
  std::vector<gradus::models::NgramModel> ngrams;  // those that are
};

struct InterpolateCommand {
  std::vector<std::string> models;
  std::string held_out, test, weights, mixture;
  UnknownOption unknown;
  std::int64_t cache = 0;
  int epochs = 10;
  bool log_linear = false, skip_marks = false, json = false;
  CLI::Option* epochs_given = nullptr;

  void check() const;
  Parts load() const;
  void run() const;

 private:
  struct Result {
    std::vector<double> weights;
    std::vector<Evaluation> each;
    Evaluation together;
    std::optional<std::size_t> iterations;
  };
  Result linear(const Parts& parts) const;
  Result log_linear_fit(const Parts& parts) const;
  std::vector<double> fixed_weights(const Parts& parts) const;
  std::vector<std::vector<double>> scores(const Parts& parts, std::span<const std::int32_t> tokens,
                                          const char* what) const;
  void print(const Parts& parts, const Result& result) const;
  bool writes_ngrams(const Parts& parts) const;
  void write(const Parts& parts, const std::vector<double>& fitted) const;
  /// Whether another text is scored than the weights were fitted to.
  bool test_differs() const { return !test.empty() && test != held_out; }
  const std::string& judged() const { return test.empty() ? held_out : test; }
};

void InterpolateCommand::check() const {
  if (weights.empty() && held_out.empty())
    misuse("give --held-out, the text that weights are fitted to, or --weights");
  if (!weights.empty() && !held_out.empty()) misuse("--weights are fixed: nothing is fitted to --held-out");
  if (!weights.empty() && test.empty() && mixture.empty())
    misuse("with --weights give --test, the text that is scored, or --out, the mixture's file");
  if (is_standard_output(mixture)) misuse("--out: a mixture is written to a file");
  for (const std::string& model : models) {
    std::error_code missing;
    if (!mixture.empty() && std::filesystem::equivalent(model, mixture, missing))
      misuse("--out {} is a model that is mixed; name another file", mixture);
    if (!mixture.empty() && is_standard_input(model))
      misuse("--out copies models from files, and one is standard input");
  }
  if (is_standard_input(held_out) && is_standard_input(test))
    misuse("standard input can be --held-out or --test, not both");
  const auto piped = std::ranges::count_if(models, [](const std::string& m) { return is_standard_input(m); });
  if (piped > 1 || (piped == 1 && (is_standard_input(held_out) || is_standard_input(test))))
    misuse("standard input can be one model or a text, not several of them");
  if (models.size() + (cache > 0 ? 1 : 0) < 2)
    misuse("one model alone cannot be interpolated: name another, or add --cache");
  if (given(epochs_given) && (!log_linear || !weights.empty()))
    misuse("--epochs goes with --log-linear and --held-out, whose weights are fitted");
  if (log_linear && unknown.skipped())
    misuse("--log-linear sums over the vocabulary, <unk> included: it goes with --unknown kenlm");
  if (log_linear && cache > 0)
    misuse(
        "--cache gives most words a probability of 0, which no weight of a log-linear model can make up for");
}

Parts InterpolateCommand::load() const {
  Parts out;
  std::vector<TrainedModel> each;
  for (const std::string& file : models) {
    TrainedModel trained = gradus::models::load_model(file);
    if (const auto* const ngrams = trained.model.get_if<gradus::models::NgramModel>())
      out.ngrams.push_back(*ngrams);
    out.untrained.push_back(unknown_is_untrained(trained));
    trained.model = unknown.applied_to(trained);
    out.names.push_back(file);
    each.push_back(std::move(trained));
  }
  gradus::models::UnitedModels all = gradus::models::united(std::move(each), models);
  out.unlisted = std::move(all.unlisted);
  out.same_ids = all.same_ids;
  out.vocabulary = std::move(all.vocabulary);
  if (cache > 0) {
    all.models.emplace_back(
        gradus::models::CacheModel(static_cast<std::int32_t>(out.vocabulary.size()), cache));
    out.names.push_back(fmt::format("the cache of {}", cache));
    out.unlisted.push_back(0);
  }
  out.set.emplace(std::move(all.models));
  return out;
}

std::vector<double> InterpolateCommand::fixed_weights(const Parts& parts) const {
  std::vector<double> out = numbers_of<double>(weights, "--weights");
  if (out.size() != parts.names.size()) {
    misuse("--weights {}: {} for {} models{}", weights, out.size(), parts.names.size(),
           cache > 0 ? ", the cache being the last" : "");
  }
  const double sum = std::accumulate(out.begin(), out.end(), 0.0);
  for (const double weight : out) {
    if (!std::isfinite(weight) || (!log_linear && weight < 0))
      misuse("--weights {}: {} is not a weight of a model", weights, weight);
    if (log_linear && std::abs(weight) > 1e6)
      misuse("--weights {}: {:g} is too large a power of a probability; give numbers of up to 1e6", weights,
             weight);
  }
  if (!log_linear && !(std::abs(sum - 1) <= 1e-6))
    misuse("--weights {} add up to {}, not to 1", weights, sum);
  return out;
}

/// The log-probabilities that each model gives the tokens.
std::vector<std::vector<double>> InterpolateCommand::scores(const Parts& parts,
                                                            std::span<const std::int32_t> tokens,
                                                            const char* what) const {
  Progress progress(what);
  return parts.set->score(tokens, progress.reporter(tokens.size()));
}

Evaluation evaluated(std::span<const double> log_probs, std::span<const std::int32_t> tokens,
                     std::int32_t unknown) {
  Evaluation out;
  out.add(log_probs, tokens.subspan(1), unknown);
  return out;
}

InterpolateCommand::Result InterpolateCommand::linear(const Parts& parts) const {
  Result out;
  const std::int32_t unk = parts.vocabulary.unknown();
  std::vector<std::int32_t> tokens;
  std::vector<std::vector<double>> scored;
  if (weights.empty()) {
    tokens = read_tokens(held_out, parts.vocabulary, skip_marks);
    scored = scores(parts, tokens, "scoring the held-out text");
    std::vector<std::vector<double>> counted(scored.size());
    for (std::size_t i = 0; i < scored.size(); ++i) {
      for (std::size_t t = 0; t < scored[i].size(); ++t) {
        if (!unknown.skipped() || tokens[t + 1] != unk) counted[i].push_back(scored[i][t]);
      }
    }
    if (counted.front().empty())
      fail<DataError>("{} holds only unknown words, so no weights can be fitted", held_out);
    const gradus::models::EmFit fit = gradus::models::fit_weights(counted);
    out.weights = fit.weights;
    out.iterations = fit.log_likelihood.size() - 1;
  } else {
    out.weights = fixed_weights(parts);
  }
  if (test_differs()) {
    tokens = read_tokens(test, parts.vocabulary, skip_marks);
    scored = scores(parts, tokens, "scoring the test text");
  }
  for (const std::vector<double>& log_probs : scored) out.each.push_back(evaluated(log_probs, tokens, unk));
  out.together = evaluated(gradus::models::mix_log_probs(scored, out.weights), tokens, unk);
  return out;
}

InterpolateCommand::Result InterpolateCommand::log_linear_fit(const Parts& parts) const {
  Result out;
  const std::int32_t unk = parts.vocabulary.unknown();
  std::vector<std::int32_t> tokens;
  if (weights.empty()) {
    tokens = read_tokens(held_out, parts.vocabulary, skip_marks);
    Progress progress("fitting the weights");
    out.weights = gradus::models::fit_log_linear(
                      *parts.set, tokens,
                      {.epochs = epochs,
                       .report = progress.reporter((tokens.size() - 1) * static_cast<std::size_t>(epochs))})
                      .weights;
    out.iterations = static_cast<std::size_t>(epochs);
  } else {
    out.weights = fixed_weights(parts);
  }
  if (test_differs()) tokens = read_tokens(test, parts.vocabulary, skip_marks);
  for (const std::vector<double>& log_probs : scores(parts, tokens, "scoring the text by each model"))
    out.each.push_back(evaluated(log_probs, tokens, unk));
  Progress progress("scoring the text");
  const gradus::models::LogLinearInterpolation together(*parts.set, out.weights);
  out.together =
      evaluated(gradus::models::score(together, tokens, progress.reporter(tokens.size())), tokens, unk);
  return out;
}

void InterpolateCommand::print(const Parts& parts, const Result& result) const {
  for (std::size_t i = 0; i < parts.untrained.size(); ++i) {
    if (parts.untrained[i] && !unknown.skipped() && result.together.unknown + parts.unlisted[i] > 0)
      warn_of_chance(parts.names[i], parts.vocabulary.unit());
  }
  const Perplexities together(result.together, unknown.skipped());
  if (json) {
    nlohmann::json rows = nlohmann::json::array();
    for (std::size_t i = 0; i < parts.names.size(); ++i) {
      const Perplexities p(result.each[i], unknown.skipped());
      rows.push_back({{"model", parts.names[i]},
                      {"weight", result.weights[i]},
                      {"perplexity", unknown.skipped() ? p.without_unknown : p.with_unknown},
                      {"unlisted", parts.unlisted[i]}});
      rows.back().update(p.json());
    }
    nlohmann::json out{{"text", judged()},
                       {"combination", log_linear ? "log-linear" : "linear"},
                       {"tokens", result.together.tokens},
                       {"unknown", result.together.unknown},
                       {"unknown_words", unknown.convention},
                       {"vocabulary", parts.vocabulary.size()},
                       {"perplexity", unknown.skipped() ? together.without_unknown : together.with_unknown},
                       {"models", rows}};
    out.update(together.json());
    if (result.iterations) out["iterations"] = *result.iterations;
    fmt::print("{}\n", json_text(out));
    return;
  }
  for (std::size_t i = 0; i < parts.names.size(); ++i) {
    if (parts.unlisted[i] > 0) {
      fmt::print("{} does not list {} of the {} {}s; they share its probability of <unk>\n", parts.names[i],
                 parts.unlisted[i], parts.vocabulary.size(), name_of(parts.vocabulary.unit()));
    }
  }
  fmt::print("{:>10} {:>18} {:>18}\n{:>10} {:>18} {:>18}  model\n", "", "perplexity", "perplexity", "weight",
             "with unknown", "without unknown");
  const auto row = [&](const std::string& weight, const Perplexities& p, const std::string& name) {
    fmt::print("{:>10} {:>18} {:>18}  {}\n", weight, number_text(p.with_unknown),
               number_text(p.without_unknown), name);
  };
  for (std::size_t i = 0; i < parts.names.size(); ++i)
    row(fmt::format("{:.6f}", result.weights[i]), Perplexities(result.each[i], unknown.skipped()),
        parts.names[i]);
  row("", together,
      fmt::format("together, over {} tokens of {}, {} unknown{}", result.together.tokens, text_name(judged()),
                  result.together.unknown, unknown.skipped() ? " and left out" : ""));
}

/// n-gram models of one vocabulary become one n-gram model. The same words under other ids are not one: what
/// is merged are n-grams of ids.
bool InterpolateCommand::writes_ngrams(const Parts& parts) const {
  return !log_linear && cache == 0 && parts.same_ids && parts.ngrams.size() == models.size() &&
         gradus::models::can_merge(parts.ngrams);
}

void InterpolateCommand::write(const Parts& parts, const std::vector<double>& fitted) const {
  if (writes_ngrams(parts)) {
    Progress progress("writing");
    Place place;
    place.file = mixture;
    PlaceWriter writer(place, parts.vocabulary);
    gradus::models::merge(parts.ngrams, fitted, writer.sink(), shown_by(progress));
  } else {
    if (is_arpa(mixture))
      misuse("--out {}: only n-gram models of one vocabulary that back off are one ARPA model", mixture);
    gradus::models::save_mixture(mixture, models,
                                 {.weights = fitted, .log_linear = log_linear, .cache = cache});
  }
}

void InterpolateCommand::run() const {
  check();
  if (!mixture.empty()) require_writable(mixture);
  const Parts parts = load();
  std::vector<double> fitted;
  if (!weights.empty()) fitted = fixed_weights(parts);  // before the work
  if (!judged().empty()) {
    const Result result = log_linear ? log_linear_fit(parts) : linear(parts);
    print(parts, result);
    fitted = result.weights;
  }
  if (!mixture.empty()) write(parts, fitted);
}

}  // namespace

void add_ngram_interpolate(CLI::App& ngram) {
  const auto [c, o] = subcommand<InterpolateCommand>(
      ngram, "interpolate", &InterpolateCommand::run,
      "Combine models, n-gram or neural, with weights fitted to a text",
      "Examples:\n  gradus ngram interpolate book.ngram book.safetensors --held-out valid.txt --test "
      "test.txt\n  gradus ngram interpolate book.ngram --cache 500 --held-out valid.txt.gz\n"
      "  gradus ngram interpolate book.ngram run1 --held-out valid.txt --out mixture");
  c->add_option(
       "models", o->models,
       "Models of the same unit (word, character or byte); what a model does not list is <unk> to it")
      ->required()
      ->expected(1, 64)
      ->default_str("");
  c->add_option(
      "--held-out", o->held_out,
      "The text that the weights are fitted to: by expectation maximization or, with --log-linear, by "
      "gradient descent");
  c->add_option("--weights", o->weights, "Fixed weights, such as 0.3,0.7, instead of a held-out text");
  c->add_option("--out", o->mixture,
                "Write the mixture as a model, which every command reads: n-gram models of one vocabulary as "
                "one n-gram "
                "model (ARPA text for .arpa and .gz), others as copies of the models with their weights");
  c->add_option("--test", o->test, "The text whose perplexities are reported; without it, the held-out one");
  c->add_option("--cache", o->cache,
                "Add a cache of this many of the last words as one more model (Kuhn and De Mori 1990)")
      ->check(CLI::Range(1, 1 << 24))
      ->default_str("");
  c->add_flag(
      "--log-linear", o->log_linear,
      "Multiply powers of the probabilities (Klakow 1998) instead of adding them; needs a sum over the "
      "vocabulary for each word");
  o->epochs_given =
      c->add_option("--epochs", o->epochs, "With --log-linear: how often the held-out text is read")
          ->check(CLI::Range(1, 1000));
  o->unknown.add_to(c);
  add_skip_marks(c, o->skip_marks);
  add_json(c, o->json);
}

}  // namespace gradus::cli
