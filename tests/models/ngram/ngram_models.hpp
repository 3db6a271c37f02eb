#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "models/ngram/store/writer.hpp"
#include "tensor/random.hpp"

namespace gradus::test {

/// An n-gram model as a map, queried by the definition of backing off.
struct NaiveNgrams {
  models::NgramDescription about;
  struct Numbers {
    float log_prob, backoff;
  };
  std::map<std::vector<std::int32_t>, Numbers> ngrams;

  bool has_children(const std::vector<std::int32_t>& h) const {
    const auto next = ngrams.upper_bound(h);
    return next != ngrams.end() && next->first.size() > h.size() &&
           std::equal(h.begin(), h.end(), next->first.begin());
  }

  /// log p of the token after the history, of which the last order - 1 tokens count, from the beginning of
  /// the last sentence on.
  double log_prob(std::vector<std::int32_t> history, std::int32_t token) const {
    const auto longest = static_cast<std::size_t>(about.order - 1);
    if (history.size() > longest)
      history.erase(history.begin(), history.end() - static_cast<std::ptrdiff_t>(longest));
    const double uniform = -std::log(static_cast<double>(about.vocab));
    double weight = 0;
    for (std::size_t skip = 0; skip <= history.size(); ++skip) {
      const std::vector<std::int32_t> h(history.begin() + static_cast<std::ptrdiff_t>(skip), history.end());
      std::vector<std::int32_t> ngram = h;
      ngram.push_back(token);
      const auto found = ngrams.find(ngram);
      const auto context = ngrams.find(h);
      const bool counts = about.fallback != models::NgramFallback::nothing || h.empty() || has_children(h);
      if (found != ngrams.end() && counts) return weight + static_cast<double>(found->second.log_prob);
      if (about.fallback == models::NgramFallback::uniform)
        return uniform + (context == ngrams.end() ? 0 : static_cast<double>(context->second.backoff));
      if (about.fallback == models::NgramFallback::nothing && counts && context != ngrams.end())
        return -std::numeric_limits<double>::infinity();
      if (context != ngrams.end()) weight += static_cast<double>(context->second.backoff);
    }
    return -std::numeric_limits<double>::infinity();
  }

  void write_to(models::NgramSink& sink) const {
    sink.describe(about);
    for (int order = 1; order <= about.order; ++order) {
      const auto of_order = [&](const auto& entry) {
        return entry.first.size() == static_cast<std::size_t>(order);
      };
      sink.begin_order(order, std::count_if(ngrams.begin(), ngrams.end(), of_order));
      for (const auto& [ngram, numbers] : ngrams) {
        if (ngram.size() == static_cast<std::size_t>(order))
          sink.add(ngram, numbers.log_prob, numbers.backoff);
      }
    }
    sink.finish();
  }

  static NaiveNgrams of(const models::NgramModel& model) {
    NaiveNgrams out{model.description(), {}};
    for (int order = 1; order <= out.about.order; ++order) {
      model.visit_entries(order, [&](std::span<const std::int32_t> ngram, double log_prob, double backoff) {
        out.ngrams[{ngram.begin(), ngram.end()}] = {static_cast<float>(log_prob),
                                                    static_cast<float>(backoff)};
      });
    }
    return out;
  }
};

/// Tokens of which a few are frequent, as in language.
inline std::int32_t skewed(Rng& rng, std::int32_t vocab) {
  const double u = rng.uniform();
  return static_cast<std::int32_t>(u * u * u * vocab);
}

/// A model of random numbers for the n-grams of a random text. The context of every n-gram is in the model,
/// and its suffix too, except for a share `holes` of them.
inline NaiveNgrams random_ngrams(std::uint64_t seed, const models::NgramDescription& about, int length,
                                 double holes = 0) {
  Rng rng(seed);
  NaiveNgrams out{about, {}};
  const auto numbers = [&](bool inner) {
    const bool weighs = inner && rng.below(8) > 0;
    return NaiveNgrams::Numbers{static_cast<float>(-8 * rng.uniform()),
                                weighs ? static_cast<float>(0.5 - 3 * rng.uniform()) : 0.0f};
  };
  for (std::int32_t token = 0; token <= about.vocab; ++token) out.ngrams[{token}] = numbers(about.order > 1);
  out.ngrams[{about.vocab}].log_prob = -std::numeric_limits<float>::infinity();
  std::vector<std::int32_t> history{about.vocab};
  for (int i = 0; i < length; ++i) {
    history.push_back(skewed(rng, about.vocab));
    const std::size_t most = std::min(history.size(), static_cast<std::size_t>(about.order));
    for (std::size_t n = 2; n <= most; ++n) {
      const std::vector<std::int32_t> ngram(history.end() - static_cast<std::ptrdiff_t>(n), history.end());
      if (!out.ngrams.contains({ngram.begin(), ngram.end() - 1})) break;
      if (rng.uniform() < holes && !out.ngrams.contains(ngram)) continue;
      out.ngrams.emplace(ngram, numbers(static_cast<int>(n) < about.order));
    }
    if (history.back() == about.sentence_end || history.size() > 40) history = {about.vocab};
  }
  return out;
}

inline models::NgramModel stored(const NaiveNgrams& ngrams, models::NgramStorage storage) {
  models::NgramWriter writer(storage);
  ngrams.write_to(writer);
  return writer.model();
}

inline const std::vector<std::pair<std::string, models::NgramStorage>>& all_storages() {
  static const std::vector<std::pair<std::string, models::NgramStorage>> out{
      {"fast", {models::NgramLayout::fast, 0}},
      {"compact", {models::NgramLayout::compact, 0}},
      {"compact, 8 bits", {models::NgramLayout::compact, 8}},
      {"compact, 3 bits", {models::NgramLayout::compact, 3}}};
  return out;
}

}  // namespace gradus::test
