#include "models/adapt/adapt.hpp"

#include <algorithm>
#include <cmath>

#include "models/cache.hpp"
#include "models/interpolate.hpp"
#include "models/kinds.hpp"

namespace gradus::models {

namespace {

/// What one of the kinds makes of a model that is its own.
template <class Result>
Result by_kind(const char* what, const auto& of_kind) {
  for (const NetworkKind& kind : network_kinds()) {
    if (auto out = of_kind(kind)) return std::move(*out);
  }
  fail<ArgumentError>("{} is of networks, and the model is none of {}", what, network_kind_names());
}

}  // namespace

ErasedModel adapted(const ErasedModel& model, const AdaptOptions& options) {
  if (options.dynamic && options.neural_cache)
    fail<ArgumentError>(
        "dynamic evaluation changes the features that a neural cache compares; give one of them");
  ErasedModel out = model;
  if (options.dynamic || options.neural_cache) {
    out = by_kind<ErasedModel>(options.dynamic ? "dynamic evaluation" : "a neural cache",
                               [&](const NetworkKind& kind) { return kind.adapted(model, options); });
  }
  if (options.counts) out = ErasedModel(LearnedCounts(out, *options.counts));
  if (options.cache) {
    const CacheModel cache(out.vocab_size(), options.cache->length);
    const double weight = options.cache->weight;
    out = ErasedModel(LinearInterpolation(ModelSet({out, ErasedModel(cache)}), {1 - weight, weight}));
  }
  return out;
}

Safetensors training_mean_squares(const ErasedModel& model, std::span<const std::int32_t> tokens) {
  return by_kind<Safetensors>("the rule by mean squares of gradients", [&](const NetworkKind& kind) {
    return kind.training_mean_squares(model, tokens);
  });
}

std::optional<Safetensors> learned_weights(const ErasedModel& model, const ErasedModel::State& state) {
  for (const NetworkKind& kind : network_kinds()) {
    if (auto out = kind.learned_weights(model, state)) return out;
  }
  return std::nullopt;
}

namespace {

/// A number of the options that a search changes, and its bounds.
struct Tunable {
  double* value;
  double least, most;
};

std::vector<Tunable> tunables(AdaptOptions& o) {
  std::vector<Tunable> out;
  if (o.dynamic) {
    out.push_back({&o.dynamic->lr, 1e-9, 1e3});
    if (o.dynamic->decay > 0) out.push_back({&o.dynamic->decay, 1e-9, 1});
  }
  if (o.neural_cache) {
    out.push_back({&o.neural_cache->theta, 1e-6, 1e3});
    out.push_back({&o.neural_cache->weight, 1e-4, 0.9});
  }
  if (o.counts) out.push_back({&o.counts->strength, 1e-3, 1e6});
  if (o.cache) out.push_back({&o.cache->weight, 1e-4, 0.9});
  return out;
}

double loss_of(const ErasedModel& model, const AdaptOptions& options, std::span<const std::int32_t> tokens) {
  double total = 0;
  const std::vector<double> scores = score(adapted(model, options), tokens);
  for (const double log_prob : scores) total -= log_prob;
  return total / static_cast<double>(scores.size());
}

}  // namespace

AdaptOptions tuned(const ErasedModel& model, AdaptOptions options, std::span<const std::int32_t> tokens,
                   int rounds, const TuneReport& report) {
  if (tokens.size() < 2)
    fail<DataError>("a text of {} tokens is too short to tune anything on", tokens.size());
  int tried = 0;
  double best = loss_of(model, options, tokens);
  const auto improves = [&](const Tunable& one, double value) {
    const double before = *one.value;
    *one.value = std::clamp(value, one.least, one.most);
    const double loss = *one.value == before ? best : loss_of(model, options, tokens);
    if (report) report(++tried, std::min(loss, best));
    if (loss < best) {
      best = loss;
      return true;
    }
    *one.value = before;
    return false;
  };
  for (int round = 0; round < rounds; ++round) {
    const double before = best;
    for (const Tunable& one : tunables(options)) {
      bool up = false;
      while (improves(one, *one.value * 2)) up = true;
      if (!up) {
        while (improves(one, *one.value / 2)) {
        }
      }
    }
    if (best == before) break;
  }
  return options;
}

}  // namespace gradus::models
