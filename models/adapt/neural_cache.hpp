#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "models/neural.hpp"

namespace gradus::models {

struct NeuralCacheOptions {
  double weight = 0.1;         // lambda, that of the cache
  double theta = 0.3;          // how sharply it prefers what is alike; 0: all alike
  std::int64_t window = 2000;  // tokens that it remembers
};

namespace detail {
/// Throws ArgumentError for options out of range.
void check_options(const NeuralCacheOptions& options);
/// For each row of queries, (rows, width), of which row r stands at `first` + r among the keys, (count,
/// width): the probability that the cache gives to wanted[r], the tokens being those after the keys. A query
/// sees the `window` keys before it; the first of all sees none, and gets -1.
std::vector<double> cache_probabilities(const Tensor& queries, const Tensor& keys,
                                        std::span<const std::int32_t> tokens,
                                        std::span<const std::int32_t> wanted, std::int64_t first,
                                        const NeuralCacheOptions& options);
/// The cache's whole distribution for one query, (width): (vocab), 0 for what is not in it. `keys` has some.
std::vector<double> cache_distribution(const Tensor& query, const Tensor& keys,
                                       std::span<const std::int32_t> tokens, std::int64_t vocab,
                                       const NeuralCacheOptions& options);
}  // namespace detail

/// The continuous cache of Grave, Joulin and Usunier (2017, "Improving neural language models with a
/// continuous cache", eq. 3 to 5): what followed where the network's features h were like those of now is
/// likely to follow again,
///   p(w | h_1..t) = (1 - lambda) p_net(w | h_t) + lambda p_cache(w),
///   p_cache(w) ~ sum over i < t with x_{i+1} = w of exp(theta h_t . h_i).
/// A LanguageModel; nothing of the network is trained. A state remembers up to `window` features, which
/// copies share.
template <class Network>
class NeuralCache {
 public:
  using Inner = NeuralModel<Network>;
  struct State {
    typename Inner::State inner;
    Tensor keys;  // (count, width): features, the oldest first; undefined while there are none
    std::vector<std::int32_t> tokens;  // what followed each
  };

  /// Throws ArgumentError for options out of range.
  NeuralCache(Inner model, const NeuralCacheOptions& options) : model_(std::move(model)), options_(options) {
    detail::check_options(options);
  }

  std::int32_t vocab_size() const { return model_.vocab_size(); }
  State start() const { return {model_.start(), {}, {}}; }
  State advance(const State& state, std::int32_t token) const {
    State out{model_.advance(state.inner, token), state.keys, state.tokens};
    if (state.inner.features.defined()) remember(out, rows_of(state.inner.features), std::span(&token, 1));
    return out;
  }
  Tensor log_probs(const State& state) const {
    const Tensor of_network = model_.log_probs(state.inner);
    if (state.tokens.empty()) return of_network;
    const Tensor query = state.inner.features.reshape({state.keys.dim(1)});
    const std::vector<double> cached =
        detail::cache_distribution(query, state.keys, state.tokens, vocab_size(), options_);
    std::vector<float> out(cached.size());
    for (std::size_t w = 0; w < out.size(); ++w)
      out[w] = static_cast<float>(mixed(of_network.at(static_cast<std::int64_t>(w)), cached[w]));
    return Tensor::from(out, {vocab_size()});
  }
  /// Over chunks, whose likenesses are one product of matrices.
  std::vector<double> score(State& state, std::span<const std::int32_t> tokens) const {
    std::vector<double> out;
    out.reserve(tokens.size());
    for (std::size_t at = 0; at < tokens.size(); at += chunk) {
      const auto part = tokens.subspan(at, std::min(chunk, tokens.size() - at));
      const std::vector<double> more = score_chunk(state, part);
      out.insert(out.end(), more.begin(), more.end());
    }
    return out;
  }

 private:
  static constexpr std::size_t chunk = 256;

  static Tensor rows_of(const Tensor& features) {  // (time, 1, width) to (time, width)
    return features.reshape({features.dim(0), features.dim(2)});
  }
  double mixed(double log_prob, double cached) const {
    return std::log((1 - options_.weight) * std::exp(log_prob) + options_.weight * cached);
  }
  void remember(State& state, const Tensor& keys, std::span<const std::int32_t> tokens) const {
    state.keys = state.keys.defined() ? concat({state.keys, keys}, 0) : keys;
    state.tokens.insert(state.tokens.end(), tokens.begin(), tokens.end());
    const std::int64_t excess = std::ssize(state.tokens) - options_.window;
    if (excess <= 0) return;
    state.keys = slice(state.keys, 0, excess, state.keys.dim(0));
    state.tokens.erase(state.tokens.begin(), state.tokens.begin() + excess);
  }
  std::vector<double> score_chunk(State& state, std::span<const std::int32_t> tokens) const {
    // The features that each token is predicted from: those of the token before it.
    std::vector<Tensor> sources;
    std::vector<double> out;
    typename Inner::State inner = state.inner;
    const bool begins = !inner.features.defined();
    if (!begins) sources.push_back(rows_of(inner.features));
    Tensor read;
    out = model_.score_with_features(inner, tokens, read);
    if (tokens.size() > 1) sources.push_back(slice(rows_of(read), 0, 0, read.dim(0) - 1));
    state.inner = std::move(inner);
    if (sources.empty()) return out;
    const Tensor queries = concat(sources, 0);
    const auto wanted = tokens.subspan(begins ? 1 : 0);
    const auto first = std::ssize(state.tokens);
    const Tensor keys = state.keys.defined() ? concat({state.keys, queries}, 0) : queries;
    std::vector<std::int32_t> after = state.tokens;
    after.insert(after.end(), wanted.begin(), wanted.end());
    const std::vector<double> cached =
        detail::cache_probabilities(queries, keys, after, wanted, first, options_);
    for (std::size_t i = 0; i < cached.size(); ++i) {
      double& log_prob = out[i + (begins ? 1 : 0)];
      if (cached[i] >= 0) log_prob = mixed(log_prob, cached[i]);
    }
    state.keys = {};
    state.tokens.clear();
    remember(state, keys, after);
    return out;
  }

  Inner model_;
  NeuralCacheOptions options_;
};

}  // namespace gradus::models
