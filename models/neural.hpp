#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "autograd/ops/cross_entropy.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/tape.hpp"
#include "models/generate.hpp"
#include "models/join.hpp"
#include "models/language_model.hpp"
#include "models/networks.hpp"
#include "tensor/ops.hpp"

namespace gradus::models {

/// A network as a LanguageModel: one text, read token by token, the state carried from its beginning. What a
/// network with members `features` and `logits` (networks.hpp) computes of a token's past is computed once,
/// by `advance`, and kept in the state; of one that is only called, the logits are. Before the first token,
/// of which no network is trained to say anything, all are equally likely. Where the network's options name a
/// document_end, the state begins anew at each.
template <class Network>
struct NeuralModel {
  struct State {
    typename Network::State network;
    Tensor features;  // (1, 1, width) of the last token; undefined before the first
  };
  Network network;

  std::int32_t vocab_size() const { return static_cast<std::int32_t>(network.options.vocab); }
  State start() const { return {network.start(1), {}}; }

  State advance(const State& state, std::int32_t token) const {
    const PauseRecording pause;
    auto [features, next] = read(Indices({token}, {1, 1}), before(token, state.network));
    return {std::move(next), features.value()};
  }

  /// After several tokens, which are read together: a prompt takes products of matrices so, and a chunk at a
  /// time, so that memory does not grow with it.
  State advance(const State& state, std::span<const std::int32_t> tokens) const {
    const PauseRecording pause;
    State out = state;
    while (!tokens.empty()) {
      const auto part = next_part(tokens);
      auto [features, next] = read(column(part), before(part.front(), out.network));
      out = {std::move(next), slice(features, 0, features.dim(0) - 1, features.dim(0)).value()};
      tokens = tokens.subspan(part.size());
    }
    return out;
  }

  /// The states are read as one batch, so that weights are read once for all: those of recurrent networks
  /// side by side, those of transformers each where it lies. Each is what `advance` makes of it, up to
  /// rounding; to the bit, while there are at most 8.
  void advance_each(std::span<State> states, std::span<const std::int32_t> tokens) const {
    using Own = typename Network::State;
    const PauseRecording pause;
    if (states.empty()) return;
    std::vector<Own> next;
    next.reserve(states.size());
    for (std::size_t i = 0; i < states.size(); ++i) next.push_back(before(tokens[i], states[i].network));
    Tensor features;  // (1, texts, width)
    if constexpr (requires { network.advance_each(tokens, std::span(next)); }) {
      features = network.advance_each(tokens, std::span(next)).value();
    } else if constexpr (requires { detail::joined(std::span<const Own>(next)); }) {
      const Indices ids(std::vector<std::int32_t>(tokens.begin(), tokens.end()), {1, std::ssize(tokens)});
      const auto [made, all] = read(ids, detail::joined(std::span<const Own>(next)));
      features = made.value();
      for (std::size_t i = 0; i < next.size(); ++i)
        next[i] = detail::entry(all, static_cast<std::int64_t>(i));
    } else {
      std::vector<State> made;
      for (std::size_t i = 0; i < states.size(); ++i) made.push_back(advance(states[i], tokens[i]));
      std::ranges::move(made, states.begin());
      return;
    }
    for (std::size_t i = 0; i < states.size(); ++i) {
      const auto at = static_cast<std::int64_t>(i);
      states[i] = {std::move(next[i]), slice(features, 1, at, at + 1)};
    }
  }

  /// The output layer's weights, too, are read once for all.
  std::vector<std::int32_t> draw_each(std::span<const State> states, const GenerateOptions& options,
                                      std::span<Rng> rngs) const {
    if (states.empty()) return {};
    return sample_each(log_probs_each(states), options, rngs);
  }

  /// log_probs of each state: (texts, vocab).
  Tensor log_probs_each(std::span<const State> states) const {
    const PauseRecording pause;
    const bool none_new = std::ranges::all_of(states, [](const State& s) { return s.features.defined(); });
    std::vector<Tensor> parts;
    for (const State& state : states) parts.push_back(none_new ? state.features : log_probs(state));
    if (!none_new) return stack(parts, 0);
    const Tensor logs = log_softmax(logits(Variable(concat(parts, 1))).value());
    return logs.reshape({std::ssize(states), vocab_size()}).to(Dtype::f32);
  }

  Tensor log_probs(const State& state) const {
    const PauseRecording pause;
    if (!state.features.defined()) return full({vocab_size()}, uniform());
    return log_softmax(logits(Variable(state.features)).value()).reshape({vocab_size()}).to(Dtype::f32);
  }

  std::vector<double> score(State& state, std::span<const std::int32_t> tokens) const {
    return score_parts(state, tokens, nullptr);
  }
  /// The same, and what the network made of the past at each token: `features` becomes (tokens, 1, width).
  std::vector<double> score_with_features(State& state, std::span<const std::int32_t> tokens,
                                          Tensor& features) const {
    std::vector<Tensor> parts;
    std::vector<double> out = score_parts(state, tokens, &parts);
    features = concat(parts, 0);
    return out;
  }

 private:
  /// Over chunks of time, so that the product with the head's weights is one of matrices.
  std::vector<double> score_parts(State& state, std::span<const std::int32_t> tokens,
                                  std::vector<Tensor>* all_features) const {
    const PauseRecording pause;
    std::vector<double> out;
    out.reserve(tokens.size());
    while (!tokens.empty()) {
      const auto part = next_part(tokens);
      const std::int64_t count = std::ssize(part);
      auto [features, next] = read(column(part), before(part.front(), state.network));
      // Each token is predicted from the features of the one before it.
      std::vector<Variable> sources;
      if (state.features.defined()) {
        sources.emplace_back(state.features);
      } else {
        out.push_back(uniform());
      }
      if (count > 1) sources.push_back(slice(features, 0, 0, count - 1));
      if (!sources.empty()) {
        const Variable from = concat(sources, 0);
        const auto targets = part.last(static_cast<std::size_t>(from.dim(0)));
        const Tensor losses = cross_entropy(logits(from), column(targets), Reduction::none).value();
        for (std::int64_t i = 0; i < losses.size(); ++i) out.push_back(-losses.at(i));
      }
      if (all_features != nullptr) all_features->push_back(features.value());
      state = {std::move(next), slice(features, 0, count - 1, count).value()};
      tokens = tokens.subspan(part.size());
    }
    return out;
  }

  static constexpr std::size_t chunk = 256;  // tokens that are read together

  /// The token that ends a document, or -1.
  std::int64_t document_end() const {
    if constexpr (requires { network.options.document_end; }) {
      return network.options.document_end;
    } else {
      return -1;
    }
  }
  /// The state that a token is read from.
  typename Network::State before(std::int32_t token, const typename Network::State& state) const {
    return token == document_end() ? network.start(1) : state;
  }
  /// Tokens of one document, at most a chunk.
  std::span<const std::int32_t> next_part(std::span<const std::int32_t> tokens) const {
    const auto part = tokens.first(std::min(chunk, tokens.size()));
    const auto next = std::find(part.begin() + 1, part.end(), document_end());
    return part.first(static_cast<std::size_t>(next - part.begin()));
  }
  double uniform() const { return -std::log(static_cast<double>(vocab_size())); }
  /// As ids of one text: (time, 1).
  static Indices column(std::span<const std::int32_t> tokens) {
    return Indices(std::vector<std::int32_t>(tokens.begin(), tokens.end()), {std::ssize(tokens), 1});
  }
  auto read(const Indices& ids, const typename Network::State& state) const {
    if constexpr (requires { network.features(ids, state); }) {
      return network.features(ids, state);
    } else {
      return network(ids, state);
    }
  }
  Variable logits(const Variable& features) const {
    if constexpr (requires { network.logits(features); }) {
      return network.logits(features);
    } else {
      return features;
    }
  }
};

using FeedForwardModel = NeuralModel<FeedForwardNetwork>;
using RnnModel = NeuralModel<RnnNetwork>;
using GruModel = NeuralModel<GruNetwork>;
using LstmModel = NeuralModel<LstmNetwork>;

}  // namespace gradus::models
