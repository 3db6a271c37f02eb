#pragma once

#include <cstdint>

namespace gradus::kernels {

/// What each instruction set provides of random numbers, on the caller's thread.
struct RandomKernels {
  /// The results of Philox 4x32-10 (Salmon, Moraes, Dror and Shaw 2011) at places place, place + 1, ... of a
  /// stream, two 64-bit words each: the first words and, unless null, the second ones.
  virtual void philox(std::uint64_t seed, std::uint64_t stream, std::uint64_t place, std::int64_t n,
                      std::uint64_t* first, std::uint64_t* second) const = 0;
};

}  // namespace gradus::kernels
