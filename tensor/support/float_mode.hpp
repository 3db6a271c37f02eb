#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

// Internal: not part of the public interface.

namespace gradus::detail {

/// How the calling thread computes with floating-point numbers: rounding, and whether subnormal numbers count
/// as 0. Without the flags that say what has happened.
inline std::uint64_t float_mode() {
#if defined(__x86_64__)
  return _mm_getcsr() & ~std::uint64_t{0x3f};
#elif defined(__aarch64__)
  std::uint64_t out = 0;
  asm volatile("mrs %0, fpcr" : "=r"(out));
  return out;
#else
  return 0;
#endif
}

inline void set_float_mode([[maybe_unused]] std::uint64_t mode) {
#if defined(__x86_64__)
  _mm_setcsr(static_cast<unsigned>(mode) | (_mm_getcsr() & 0x3fU));
#elif defined(__aarch64__)
  asm volatile("msr fpcr, %0" : : "r"(mode) : "memory");
#endif
}

/// What float_mode has more where subnormal numbers count as 0, as results and as operands; 0: the processor
/// is not known to have it.
inline constexpr std::uint64_t flush_mode =
#if defined(__x86_64__)
    0x8040;
#elif defined(__aarch64__)
    std::uint64_t{1} << 24;
#else
    0;
#endif

}  // namespace gradus::detail
