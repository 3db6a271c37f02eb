#pragma once

// Internal: the instruction set that a file ending in .simd.cpp is being compiled for (flags.cmake).

#include <xsimd/xsimd.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "tensor/kernels/instruction_set.hpp"

#if defined(__aarch64__)
// xsimd divides and takes roots of f32 by the estimates that 32-bit ARM had to make do with, which are wrong
// by an ulp or two, and infinite or NaN where the reciprocal or the root is subnormal, zero or infinite.
// 64-bit ARM has the exact instructions.
namespace xsimd::kernel {

template <>
inline batch<float, neon64> div<neon64>(const batch<float, neon64>& a, const batch<float, neon64>& b,
                                        requires_arch<neon>) noexcept {
  return vdivq_f32(a, b);
}
template <>
inline batch<float, neon64> sqrt<neon64>(const batch<float, neon64>& a, requires_arch<neon>) noexcept {
  return vsqrtq_f32(a);
}

}  // namespace xsimd::kernel
#endif

namespace gradus::kernels {

constexpr InstructionSet this_set = InstructionSet::GRADUS_INSTRUCTION_SET;
#if defined(__x86_64__)
using Arch = std::conditional_t<
    this_set == InstructionSet::avx512, xsimd::avx512bw,
    std::conditional_t<this_set == InstructionSet::avx2, xsimd::fma3<xsimd::avx2>, xsimd::sse2>>;
constexpr int register_count = this_set == InstructionSet::avx512 ? 32 : 16;
#else
using Arch = xsimd::default_arch;
constexpr int register_count = 32;
#endif

}  // namespace gradus::kernels
