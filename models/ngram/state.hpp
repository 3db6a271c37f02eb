#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>

#include "models/language_model.hpp"

namespace gradus::models {

namespace ngram {
/// The longest n-grams that models hold.
inline constexpr int max_order = 20;
}  // namespace ngram

/// What an n-gram model remembers of the text so far: the shortest context that determines all its
/// predictions from here on. A value, cheap to copy, valid for one model only. Texts after which the model
/// predicts the same mostly have equal states, as contexts without continuations and without a backoff weight
/// are dropped.
struct NgramState {
  /// The number of nodes in use.
  std::uint16_t length = 0;
  /// Add-k only: the number of tokens of the context, whether or not the model holds it.
  std::uint16_t reach = 0;
  /// node[j - 1]: the index of the last j tokens among the model's j-grams. Nodes from `length` on are not
  /// used.
  std::array<std::uint32_t, ngram::max_order - 1> node;

  NgramState() : node{} {}
  NgramState(const NgramState& other) { *this = other; }
  NgramState& operator=(const NgramState& other) {
    length = other.length;
    reach = other.reach;
    std::copy_n(other.node.begin(), short_length, node.begin());
    if (length > short_length) node = other.node;
    return *this;
  }
  bool operator==(const NgramState& other) const {
    return length == other.length && reach == other.reach &&
           std::equal(node.begin(), node.begin() + length, other.node.begin());
  }

 private:
  static constexpr std::size_t short_length = 7;  // enough for order 8: a copy of small, fixed size
};

/// The prediction of one token.
struct NgramScore {
  double log_prob;  // in nats
  int order;        // of the longest n-gram found, whose probability it is before the backoff weights
};

}  // namespace gradus::models

template <>
struct std::hash<gradus::models::NgramState> {
  std::size_t operator()(const gradus::models::NgramState& state) const noexcept {
    std::size_t out = state.length + std::size_t{31} * state.reach;
    for (std::size_t i = 0; i < state.length; ++i) out = (out ^ state.node[i]) * 0x9E3779B97F4A7C15u;
    return out ^ (out >> 29);
  }
};
