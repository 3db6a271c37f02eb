#pragma once

#include <cstdint>

namespace gradus::models {

/// How an n-gram model lies in memory and in its file.
enum class NgramLayout : std::uint32_t {
  fast,     // whole numbers and hash tables: quickest to ask
  compact,  // packed bits: smallest
};

struct NgramStorage {
  NgramLayout layout = NgramLayout::fast;
  /// Compact only: the bits of a probability and of a backoff weight, 2 to 16, which then are those of the
  /// middle of one of 2^bits bins of equally many. 0: both exact.
  int quantize = 0;
};

}  // namespace gradus::models
