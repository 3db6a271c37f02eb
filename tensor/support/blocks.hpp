#pragma once

// Internal: how lengths are cut into blocks.

#include <cstdint>

namespace gradus::detail {

/// The least multiple of `to` that is no less than n.
constexpr std::int64_t round_up(std::int64_t n, std::int64_t to) {
  return (n + to - 1) / to * to;
}

/// The length of the fewest pieces of at most `most` that make up `length`, all but the last alike.
constexpr std::int64_t balanced(std::int64_t length, std::int64_t most) {
  const std::int64_t pieces = (length + most - 1) / most;
  return pieces == 0 ? 1 : (length + pieces - 1) / pieces;
}

}  // namespace gradus::detail
