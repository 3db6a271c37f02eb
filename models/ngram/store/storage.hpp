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
  /// Compact only: the bits of a probability and of a backoff weight, 2 to 16, each of which then is the
  /// nearest of 2^bits numbers chosen for its order: at first the means of bins of equally many, then refined
  /// so that the squared errors fall (Lloyd 1982); zero and -infinity are kept as they are. 0: all exact.
  int quantize = 0;
};

}  // namespace gradus::models
