#pragma once

#include <cstdint>

namespace gradus {

/// While it lives, subnormal numbers (below 1.2e-38 in f32, 2.2e-308 in f64) count as 0 in what the calling
/// thread computes, and in what the library's threads compute for it: as results, which become 0 of their
/// sign, and as operands. Processors take up to a hundred times as long for an operation with a subnormal
/// number as for another, and gradients of softmax, logsumexp or of decaying states can be full of them. The
/// bits are the same for any number of threads, and differ from those without it by less than the smallest
/// normal number in each operation. Scopes nest; a thread that is begun meanwhile may begin with it. On
/// x86-64 and AArch64; no effect on other processors.
///
///   FlushSubnormals flush;
///   const Variable derivatives = jacobian(f, x);
class FlushSubnormals {
 public:
  FlushSubnormals();
  ~FlushSubnormals();
  FlushSubnormals(const FlushSubnormals&) = delete;
  FlushSubnormals& operator=(const FlushSubnormals&) = delete;

 private:
  std::uint64_t before_;
};

}  // namespace gradus
