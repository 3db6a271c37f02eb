#pragma once

#include <atomic>

#include "tensor/kernels/attention.hpp"
#include "tensor/kernels/compact.hpp"
#include "tensor/kernels/conv.hpp"
#include "tensor/kernels/elementwise.hpp"
#include "tensor/kernels/gemm.hpp"
#include "tensor/kernels/instruction_set.hpp"
#include "tensor/kernels/norm.hpp"
#include "tensor/kernels/random.hpp"
#include "tensor/kernels/recurrent.hpp"
#include "tensor/kernels/reduction.hpp"
#include "tensor/kernels/softmax.hpp"

/// All kernels of one instruction set. Everything compiled for a wider one than the baseline is reached
/// through this interface only.
namespace gradus::kernels {

template <class T>
struct Kernels : ElementwiseKernels<T>,
                 ReductionKernels<T>,
                 SoftmaxKernels<T>,
                 NormKernels<T>,
                 RandomKernels,
                 CompactKernels,
                 AttentionKernels<T>,
                 RecurrentKernels<T>,
                 GemmKernels<T>,
                 ConvKernels<T> {};

struct KernelSet {
  const Kernels<float>* f32;
  const Kernels<double>* f64;
};
/// Each defined by kernels.simd.cpp, where it is compiled for that instruction set.
template <InstructionSet set>
const KernelSet& kernel_set();
template <>
const KernelSet& kernel_set<InstructionSet::baseline>();
template <>
const KernelSet& kernel_set<InstructionSet::avx2>();
template <>
const KernelSet& kernel_set<InstructionSet::avx512>();

namespace detail {
/// Null until the first use.
extern std::atomic<const KernelSet*> kernels_in_use;
const KernelSet& select_widest();
}  // namespace detail

/// The kernels of the instruction set in use.
template <class T>
const Kernels<T>& selected() {
  const KernelSet* set = detail::kernels_in_use.load(std::memory_order_relaxed);
  if (set == nullptr) set = &detail::select_widest();
  if constexpr (sizeof(T) == 4) {
    return *set->f32;
  } else {
    return *set->f64;
  }
}

}  // namespace gradus::kernels
