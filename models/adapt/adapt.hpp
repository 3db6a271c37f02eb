#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "models/adapt/dynamic_evaluation.hpp"
#include "models/adapt/learned_counts.hpp"
#include "models/adapt/neural_cache.hpp"
#include "models/erased_model.hpp"

/// Models that adapt to the text that they read, made of any trained model.
namespace gradus::models {

/// The unigram cache of models/cache.hpp, mixed with the model.
struct CacheOptions {
  double weight = 0.1;
  std::int64_t length = 2000;
};

/// The model with each of those that are given, in this order: dynamic evaluation or a neural cache of the
/// network, then counts of what is read, then the unigram cache.
struct AdaptOptions {
  std::optional<DynamicOptions> dynamic{};
  Safetensors mean_squares{};  // of the training gradients, for the rule by them
  std::optional<NeuralCacheOptions> neural_cache{};
  std::optional<LearnedCountsOptions> counts{};
  std::optional<CacheOptions> cache{};

  bool any() const { return dynamic || neural_cache || counts || cache; }
};

/// Throws ArgumentError for dynamic evaluation or a neural cache of a model that is no network
/// (models/kinds.hpp), for both of them, and for options out of range.
ErasedModel adapted(const ErasedModel& model, const AdaptOptions& options);

/// The mean squares of a network's training gradients (gradient_mean_squares). Throws ArgumentError for a
/// model that is no network.
Safetensors training_mean_squares(const ErasedModel& model, std::span<const std::int32_t> tokens);

/// The weights that a state of a model with dynamic evaluation, and nothing else, has come to; nothing for
/// another model.
std::optional<Safetensors> learned_weights(const ErasedModel& model, const ErasedModel::State& state);

/// How far a search for options is: how many were tried, and the best loss in nats a token so far.
using TuneReport = std::function<void(int tried, double loss)>;
/// The options that predict a held-out text best, found from the given ones by doubling and halving one
/// number after another while that helps, at most `rounds` times through all of them. Only what is given is
/// tuned.
AdaptOptions tuned(const ErasedModel& model, AdaptOptions options, std::span<const std::int32_t> tokens,
                   int rounds = 2, const TuneReport& report = {});

}  // namespace gradus::models
