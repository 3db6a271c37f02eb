#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/erased_model.hpp"
#include "text/vocabulary.hpp"

namespace gradus::models {

/// Which tokens end a line: the vocabulary's line end and, of subwords, each that ends with one. `tokens`:
/// how many there are.
std::vector<bool> line_end_tokens(const Vocabulary& vocabulary, std::int32_t tokens);

/// A model that reads each line of a text as if it were alone, behind the end of another: nothing is known of
/// the lines before. A LanguageModel.
class LinesApart {
 public:
  using State = ErasedModel::State;

  /// Throws ArgumentError where nothing of the vocabulary ends a line.
  LinesApart(ErasedModel model, const Vocabulary& vocabulary);

  std::int32_t vocab_size() const { return model_.vocab_size(); }
  State start() const { return model_.start(); }
  State advance(const State& state, std::int32_t token) const {
    return model_.advance(ends_line(token) ? model_.start() : state, token);
  }
  Tensor log_probs(const State& state) const { return model_.log_probs(state); }
  double log_prob(const State& state, std::int32_t token) const { return model_.log_prob(state, token); }
  std::vector<double> score(State& state, std::span<const std::int32_t> tokens) const;

 private:
  bool ends_line(std::int32_t token) const { return ends_[static_cast<std::size_t>(token)]; }

  ErasedModel model_;
  std::vector<bool> ends_;
};

}  // namespace gradus::models
