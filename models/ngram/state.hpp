#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace gradus::models {

namespace ngram {
/// The longest n-grams that models hold.
inline constexpr int max_order = 20;
}  // namespace ngram

/// What an n-gram model remembers of the text so far: the shortest context that everything it says hereafter
/// depends on. A value, cheap to copy, of one model; two texts that the model cannot tell apart from here on
/// mostly have equal states (contexts that nothing is known to follow and that carry no weight are dropped).
struct NgramState {
  /// How many nodes there are.
  std::uint16_t length = 0;
  /// Add-k only: the tokens of the context, known to the model as one or not.
  std::uint16_t reach = 0;
  /// node[j - 1]: the place of the last j tokens among the model's j-grams. Those beyond `length` are
  /// nothing.
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
  static constexpr std::size_t short_length = 7;  // of orders up to 8: a copy of fixed, small size
};

/// What a model says of a token.
struct NgramScore {
  double log_prob;  // in nats
  int order;        // of the n-gram that it was read from
};

/// A word that may come next.
struct NgramCandidate {
  std::int32_t token;
  float log_prob;
  /// Before another in a list: likelier, or of the lower id.
  bool operator<(const NgramCandidate& other) const {
    return log_prob != other.log_prob ? log_prob > other.log_prob : token < other.token;
  }
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
