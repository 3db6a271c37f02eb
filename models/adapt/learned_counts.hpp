#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "models/erased_model.hpp"

namespace gradus::models {

struct LearnedCountsOptions {
  int order = 3;  // tokens of the n-grams that are counted, the next one among them
  double strength =
      1;  // how much is left to the model behind: 0 trusts what was read, large values the model
};

/// A model that learns as it reads: n-grams of the text so far are counted, and predict by Witten and Bell's
/// smoothing (1991, method C; Chen and Goodman 1998, section 2.6), which backs off from the longest context
/// to shorter ones and at last to the model behind, an n-gram model or any other:
///   p_k(w | h) = (c(h w) + s t(h) p_{k-1}(w | h')) / (c(h) + s t(h)),   p_0 = p_model,
/// where c counts what followed the last k - 1 tokens h, t(h) is how many different tokens did, s the
/// strength, and h' is h without its first token. Each is a distribution, as the model's is. Nothing of the
/// model is changed: it is as if the counts were added to it in memory.
///
/// A LanguageModel. States are values, which share their counts until one of them reads on.
class LearnedCounts {
 public:
  struct State {
    ErasedModel::State inner;
    std::vector<std::int32_t> context;  // the last order - 1 tokens, the oldest first
    std::shared_ptr<class ReadCounts>
        counts;  // read through by all that share them, written by none of those
  };

  /// Throws ArgumentError for an order outside of 1 to 8 or a strength that is not above 0.
  LearnedCounts(ErasedModel model, const LearnedCountsOptions& options);

  std::int32_t vocab_size() const { return model_.vocab_size(); }
  State start() const;
  State advance(const State& state, std::int32_t token) const;
  Tensor log_probs(const State& state) const;
  double log_prob(const State& state, std::int32_t token) const;
  std::vector<double> score(State& state, std::span<const std::int32_t> tokens) const;

 private:
  double mixed(const State& state, std::int32_t token, double log_prob) const;
  void read(State& state, std::int32_t token) const;

  ErasedModel model_;
  LearnedCountsOptions options_;
};

}  // namespace gradus::models
