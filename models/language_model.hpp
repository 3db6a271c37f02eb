#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "tensor/ops.hpp"
#include "tensor/tensor.hpp"

namespace gradus::models {

/// A token that may come next.
struct Candidate {
  std::int32_t token;
  float log_prob;
  /// Before another in a list: likelier, or as likely and of the lower id.
  bool operator<(const Candidate& other) const {
    return log_prob != other.log_prob ? log_prob > other.log_prob : token < other.token;
  }
};

/// A model of text as a stream of ids. `advance` gives the state after one more token, and `log_probs` log p
/// of each possible next token in nats, (vocab) f32. A state is a value: nothing changes the one that is
/// given, so a search may keep many. In texts of words every line ends with the `</s>` id, which also stands
/// before the first line: p(w_1 ... w_n </s>) = product of p(w_i | </s> w_1 ... w_{i-1}).
///
/// Everything else is a function over these three: `log_prob`, `score`, `advance` by several tokens,
/// `advance_each` and `log_probs_each` below, `evaluate` (evaluate.hpp), `top_k`, `draw`, `draw_each` and
/// `generate` (generate.hpp), `beam_search` (beam.hpp). A model that has a faster way to one of `log_prob`,
/// `score`, `advance`, `advance_each`, `log_probs_each`, `top_k`, `draw` and `draw_each` has a member of that
/// name with the same arguments but the model, which is called instead and must give the same result;
/// `ErasedModel` passes all of them on.
template <class M>
concept LanguageModel = requires(const M& model, const typename M::State& state, std::int32_t token) {
  { model.vocab_size() } -> std::same_as<std::int32_t>;
  { model.start() } -> std::same_as<typename M::State>;
  { model.advance(state, token) } -> std::same_as<typename M::State>;
  { model.log_probs(state) } -> std::same_as<Tensor>;
};

/// The state after several more tokens.
template <LanguageModel M>
typename M::State advance(const M& model, const typename M::State& state,
                          std::span<const std::int32_t> tokens) {
  if constexpr (requires { model.advance(state, tokens); }) {
    return model.advance(state, tokens);
  } else {
    typename M::State out = state;
    for (const std::int32_t token : tokens) out = model.advance(out, token);
    return out;
  }
}

/// The next token of each of several texts: state i becomes the one after token i. A model whose states can
/// be read together computes them as a batch. Throws ArgumentError for another number of tokens; where it
/// throws the states are as they were.
template <LanguageModel M>
void advance_each(const M& model, std::span<typename M::State> states, std::span<const std::int32_t> tokens) {
  if (states.size() != tokens.size())
    fail<ArgumentError>("advance_each: {} states and {} tokens", states.size(), tokens.size());
  if constexpr (requires { model.advance_each(states, tokens); }) {
    model.advance_each(states, tokens);
  } else {
    std::vector<typename M::State> next;
    next.reserve(states.size());
    for (std::size_t i = 0; i < states.size(); ++i) next.push_back(model.advance(states[i], tokens[i]));
    std::ranges::move(next, states.begin());
  }
}

/// log p of each possible next token after each of several states: (states, vocab) f32.
template <LanguageModel M>
Tensor log_probs_each(const M& model, std::span<const typename M::State> states) {
  if (states.empty()) return zeros({0, model.vocab_size()});
  if constexpr (requires { model.log_probs_each(states); }) {
    return model.log_probs_each(states);
  } else {
    std::vector<Tensor> rows;
    rows.reserve(states.size());
    for (const typename M::State& state : states) rows.push_back(model.log_probs(state));
    return stack(rows, 0);
  }
}

/// log p(token | state) in nats.
template <LanguageModel M>
double log_prob(const M& model, const typename M::State& state, std::int32_t token) {
  if constexpr (requires { model.log_prob(state, token); }) {
    return model.log_prob(state, token);
  } else {
    return model.log_probs(state).at(token);
  }
}

/// log p in nats of each token after the state and the tokens before it. The state becomes the one after all.
template <LanguageModel M>
std::vector<double> score(const M& model, typename M::State& state, std::span<const std::int32_t> tokens) {
  if constexpr (requires { model.score(state, tokens); }) {
    return model.score(state, tokens);
  } else {
    std::vector<double> out;
    out.reserve(tokens.size());
    for (const std::int32_t token : tokens) {
      out.push_back(log_prob(model, state, token));
      state = model.advance(state, token);
    }
    return out;
  }
}

/// Called now and then with the number of tokens scored so far.
using ScoreProgress = std::function<void(std::int64_t done)>;

/// log p(tokens[i] | tokens[0..i-1]) in nats for each i >= 1.
template <LanguageModel M>
std::vector<double> score(const M& model, std::span<const std::int32_t> tokens,
                          const ScoreProgress& report = {}) {
  std::vector<double> out;
  out.reserve(tokens.size());
  auto state = model.start();
  constexpr std::size_t between_reports = 1024;
  while (!tokens.empty()) {
    const auto part = tokens.first(std::min(between_reports, tokens.size()));
    const std::vector<double> scored = score(model, state, part);
    const int context = out.empty() ? 1 : 0;  // the first token of all
    out.insert(out.end(), scored.begin() + context, scored.end());
    tokens = tokens.subspan(part.size());
    if (report) report(static_cast<std::int64_t>(out.size()));
  }
  return out;
}

}  // namespace gradus::models
