#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "models/language_model.hpp"

namespace gradus::models {

/// How well a model predicts a text.
struct Evaluation {
  std::int64_t tokens = 0;      // predicted, line ends included
  std::int64_t unknown = 0;     // of these, "<unk>"
  std::int64_t characters = 0;  // of the text
  double log_prob = 0;          // of all predicted tokens, in nats
  double log_prob_known = 0;    // of all but "<unk>"

  /// Adds tokens that were predicted, each with its log-probability. `unknown_id`: that of "<unk>", or -1.
  /// Throws NumericError for NaN, naming the token's place in the text, from 1.
  void add(std::span<const double> log_probs, std::span<const std::int32_t> predicted,
           std::int32_t unknown_id) {
    for (std::size_t i = 0; i < log_probs.size(); ++i) {
      ++tokens;
      if (std::isnan(log_probs[i])) {
        fail<NumericError>(
            "the model gives token {} of the text a probability of NaN, so its weights are damaged; train it "
            "again, perhaps with a lower learning rate",
            tokens);
      }
      log_prob += log_probs[i];
      if (predicted[i] == unknown_id) {
        ++unknown;
      } else {
        log_prob_known += log_probs[i];
      }
    }
  }

  double perplexity() const { return std::exp(-log_prob / static_cast<double>(tokens)); }
  /// Without the unknown tokens, neither predicted nor counted (they are still read as context).
  double perplexity_known() const {
    return std::exp(-log_prob_known / static_cast<double>(tokens - unknown));
  }
  double nats_per_token() const { return -log_prob / static_cast<double>(tokens); }
  double bits_per_character() const { return -log_prob / std::log(2.0) / static_cast<double>(characters); }
};

/// Surprisal of tokens of one sort: how many, and their log-probability in nats.
struct SurprisalGroup {
  std::int64_t tokens = 0;
  double log_prob = 0;

  double nats() const { return -log_prob / static_cast<double>(tokens); }
};

/// The same by what tokens are and where: by their place in the line, 1, 2, 3 to 4, 5 to 8 and so on, and by
/// how often they occur in the text that the vocabulary was built from, never, 1, 2 to 3, 4 to 7 and so on.
class SurprisalGroups {
 public:
  /// `line_end`: the id that ends a line, or -1; `counts`: of an id in training.
  void add(std::span<const double> log_probs, std::span<const std::int32_t> predicted, std::int32_t line_end,
           const std::function<std::int64_t(std::int32_t)>& counts) {
    for (std::size_t i = 0; i < log_probs.size(); ++i) {
      add_to(by_place, group_of(place_++), log_probs[i]);
      add_to(by_count,
             static_cast<std::size_t>(std::bit_width(static_cast<std::uint64_t>(counts(predicted[i])))),
             log_probs[i]);
      if (predicted[i] == line_end) place_ = 0;
    }
  }
  std::vector<SurprisalGroup> by_place, by_count;

 private:
  static std::size_t group_of(std::uint64_t place) { return static_cast<std::size_t>(std::bit_width(place)); }
  static void add_to(std::vector<SurprisalGroup>& groups, std::size_t at, double log_prob) {
    if (groups.size() <= at) groups.resize(at + 1);
    ++groups[at].tokens;
    groups[at].log_prob += log_prob;
  }
  std::uint64_t place_ = 0;  // in the line
};

/// Scores tokens[1], tokens[2], ... each after all those before it; tokens[0] is context only. `unknown` is
/// the id of "<unk>" or -1. Throws DataError for fewer than two tokens, NumericError when the model gives
/// NaN.
template <LanguageModel M>
Evaluation evaluate(const M& model, std::span<const std::int32_t> tokens, std::int64_t characters,
                    std::int32_t unknown = -1, const ScoreProgress& report = {}) {
  if (tokens.size() < 2) {
    fail<DataError>("a text of {} tokens leaves nothing to predict: at least 2 are needed", tokens.size());
  }
  Evaluation out;
  out.characters = characters;
  out.add(score(model, tokens, report), tokens.subspan(1), unknown);
  return out;
}

}  // namespace gradus::models
