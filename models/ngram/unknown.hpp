#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/ngram/ngram.hpp"

namespace gradus::models {

/// An n-gram model whose contexts end at unknown words, as in SRILM: n-grams do not extend across them, so
/// the word after an unknown one is predicted without context, the next one from a single word. A
/// LanguageModel. An unknown word itself has the probability that the model gives it, although SRILM's
/// convention does not count it.
class UnknownEndsContext {
 public:
  using State = NgramState;

  /// `unknown`: the id of "<unk>".
  UnknownEndsContext(NgramModel model, std::int32_t unknown) : model_(std::move(model)), unknown_(unknown) {}

  std::int32_t vocab_size() const { return model_.vocab_size(); }
  State start() const { return model_.start(); }
  State after(const State& state, std::int32_t token) const {
    return token == unknown_ ? State() : model_.after(state, token);
  }
  /// log p(token | state) in nats; the state becomes the one after both.
  double advance(State& state, std::int32_t token) const {
    const double log_prob = model_.advance(state, token).log_prob;
    if (token == unknown_) state = State();
    return log_prob;
  }
  Step<State> step(const State& state, std::int32_t token) const {
    State next = after(state, token);
    Tensor log_probs = model_.distribution(next);
    return {std::move(next), std::move(log_probs)};
  }
  std::vector<double> score(std::span<const std::int32_t> tokens, const ScoreProgress& report = {}) const {
    std::vector<double> out;
    if (tokens.empty()) return out;
    State state = after(start(), tokens.front());
    for (const std::int32_t token : tokens.subspan(1)) {
      out.push_back(advance(state, token));
      if (report && out.size() % 65536 == 0) report(static_cast<std::int64_t>(out.size()));
    }
    return out;
  }

 private:
  NgramModel model_;
  std::int32_t unknown_;
};

}  // namespace gradus::models
