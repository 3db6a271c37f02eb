#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/language_model.hpp"

namespace gradus::models {

/// The unigram cache of Kuhn and De Mori (1990): p(w | h) is the number of times that w stands among the last
/// `length` tokens of h, divided by their number. A text uses again the words it has used, so the cache,
/// though poor by itself (a word that is not in it is impossible), adds to the models it is interpolated
/// with. Before the first token all are equally likely.
class CacheModel {
 public:
  /// The last tokens, oldest first.
  struct State {
    std::vector<std::int32_t> recent;
    bool operator==(const State&) const = default;
  };

  /// Throws ArgumentError unless both are at least 1.
  explicit CacheModel(std::int32_t vocab, std::int64_t length = 200);

  std::int32_t vocab_size() const { return vocab_; }
  std::int64_t length() const { return length_; }
  State start() const { return {}; }
  /// Throws ArgumentError for a token out of range, as `score` does.
  State advance(const State& state, std::int32_t token) const;
  Tensor log_probs(const State& state) const;
  std::vector<double> score(State& state, std::span<const std::int32_t> tokens) const;

 private:
  void check(std::int32_t token) const;

  std::int32_t vocab_;
  std::int64_t length_;
};

}  // namespace gradus::models
