#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "models/ngram/ngram.hpp"

namespace gradus::models {

/// An n-gram model whose contexts end at unknown words, as in SRILM: n-grams do not extend across them, so
/// the word after an unknown one is predicted without context, the next one from a single word. A
/// LanguageModel. An unknown word itself has the probability that the model gives it, although SRILM's
/// convention does not count it.
class UnknownEndsContext : private NgramModel {
 public:
  using NgramModel::draw, NgramModel::log_prob, NgramModel::log_probs, NgramModel::start, NgramModel::State,
      NgramModel::top_k, NgramModel::vocab_size;

  /// `unknown`: the id of "<unk>".
  UnknownEndsContext(NgramModel model, std::int32_t unknown)
      : NgramModel(std::move(model)), unknown_(unknown) {}

  State advance(const State& state, std::int32_t token) const {
    return token == unknown_ ? State() : NgramModel::advance(state, token);
  }
  std::vector<double> score(State& state, std::span<const std::int32_t> tokens) const {
    std::vector<double> out;
    out.reserve(tokens.size());
    for (const std::int32_t token : tokens) {
      out.push_back(NgramModel::score(state, token).log_prob);
      if (token == unknown_) state = State();
    }
    return out;
  }

 private:
  std::int32_t unknown_;
};

}  // namespace gradus::models
