#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "tensor/tensor.hpp"

namespace gradus {

/// What reading one token gives: the state after it, and log p of each possible next token, in nats.
template <class State>
struct Step {
  State state;
  Tensor log_probs;  // (vocab) f32
};

/// A model of text as a stream of ids. The state is a value: stepping never changes the one it is given, so
/// a search may keep many. In texts of words every line ends with the `</s>` id, which also stands before the
/// first line: p(w_1 ... w_n </s>) = product of p(w_i | </s> w_1 ... w_{i-1}).
template <class M>
concept LanguageModel = requires(const M& model, const typename M::State& state, std::int32_t token) {
  { model.vocab_size() } -> std::same_as<std::int32_t>;
  { model.start() } -> std::same_as<typename M::State>;
  { model.step(state, token) } -> std::same_as<Step<typename M::State>>;
};

/// Called now and then with the number of tokens scored so far.
using ScoreProgress = std::function<void(std::int64_t done)>;

/// log p(tokens[i] | tokens[0..i-1]) in nats for each i >= 1. A model with a faster way of its own has a
/// member `score`; the result is the same.
template <LanguageModel M>
std::vector<double> score(const M& model, std::span<const std::int32_t> tokens,
                          const ScoreProgress& report = {}) {
  if constexpr (requires { model.score(tokens, report); }) {
    return model.score(tokens, report);
  } else if constexpr (requires { model.score(tokens); }) {
    return model.score(tokens);
  } else {
    std::vector<double> out;
    auto state = model.start();
    for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
      auto step = model.step(state, tokens[i]);
      out.push_back(step.log_probs.at(tokens[i + 1]));
      state = std::move(step.state);
      if (report && i % 256 == 0) report(static_cast<std::int64_t>(i));
    }
    return out;
  }
}

}  // namespace gradus
