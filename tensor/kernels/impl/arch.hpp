#pragma once

// Internal: the instruction set that a file ending in .simd.cpp is being compiled for (flags.cmake).

#include <xsimd/xsimd.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "tensor/kernels/instruction_set.hpp"

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
