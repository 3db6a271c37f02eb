#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "autograd/ops/cross_entropy.hpp"
#include "autograd/ops/softmax.hpp"
#include "autograd/tape.hpp"
#include "models/language_model.hpp"
#include "models/networks.hpp"
#include "tensor/ops.hpp"

namespace gradus::models {

/// A network as a LanguageModel: one text, read token by token, the state carried from its beginning.
template <class Network>
struct NeuralModel {
  using State = typename Network::State;
  Network network;

  std::int32_t vocab_size() const { return static_cast<std::int32_t>(network.options.vocab); }
  State start() const { return network.start(1); }

  Step<State> step(const State& state, std::int32_t token) const {
    const PauseRecording pause;
    auto [logits, next] = network(Indices({token}, {1, 1}), state);
    return {std::move(next), log_softmax(logits.value()).reshape({logits.size()})};
  }

  /// log p(tokens[i] | tokens[0..i-1]) for i >= 1, in nats. Runs over chunks of time, so that the softmax's
  /// product is one of matrices.
  std::vector<double> score(std::span<const std::int32_t> tokens, const ScoreProgress& report = {}) const {
    const PauseRecording pause;
    std::vector<double> out;
    State state = start();
    constexpr std::size_t chunk = 256;
    for (std::size_t begin = 0; begin + 1 < tokens.size(); begin += chunk) {
      const std::size_t count = std::min(chunk, tokens.size() - 1 - begin);
      const auto ids = [&](std::size_t from) {
        const auto part = tokens.subspan(from, count);
        return Indices(std::vector<std::int32_t>(part.begin(), part.end()),
                       {static_cast<std::int64_t>(count), 1});
      };
      auto [logits, next] = network(ids(begin), state);
      const Variable losses = cross_entropy(logits, ids(begin + 1), Reduction::none);
      for (std::int64_t i = 0; i < losses.size(); ++i) out.push_back(-losses.value().at(i));
      state = std::move(next);
      if (report) report(static_cast<std::int64_t>(out.size()));
    }
    return out;
  }
};

using FeedForwardModel = NeuralModel<FeedForwardNetwork>;
using RnnModel = NeuralModel<RnnNetwork>;
using GruModel = NeuralModel<GruNetwork>;
using LstmModel = NeuralModel<LstmNetwork>;

}  // namespace gradus::models
