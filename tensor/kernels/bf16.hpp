#pragma once

#include <vector>

#include "tensor/kernels/gemm.hpp"
#include "tensor/matmul_precision.hpp"

/// Products of f32 matrices whose numbers are rounded to bfloat16 first. Two numbers that follow each other
/// along the depth are packed in one word of 32 bits, the earlier in its lower half; a word takes the place
/// of a float in the layout of packed matrices. A word of A by a word of B is added to a sum of f32 as
/// AVX512-BF16's vdpbf16ps does it: the product of the upper halves, rounded, and then that of the lower
/// ones; subnormal numbers are 0 on the way in and out.
///
/// Of `high`, a packed matrix has three sections along the depth, each with all its words: A the upper, lower
/// and upper parts of its numbers, B the lower, upper and upper ones.
namespace gradus::kernels {

/// What multiplies bfloat16: an instruction of the processor, or code that gives the same bits on any of
/// them.
struct Bf16Kernels {
  const char* name;
  const TileKernels<float>*medium, *high;
  bool high_is_faster;  // than exact
};
const Bf16Kernels& bf16_emulation();
#if defined(__x86_64__)
const Bf16Kernels& bf16_avx512();
#endif

/// What a product of this precision uses: the kernels of the instruction set in use unless there are others.
template <class T>
const TileKernels<T>& tile_kernels(MatmulPrecision precision);

/// A test's way to have `medium` and `high` computed by a name of those available, whether that is faster or
/// not; null for what is chosen when the program starts. Throws ArgumentError for a name that is not
/// available.
void use_bf16(const char* name);
/// "emulation", and where the processor has it "avx512_bf16".
std::vector<const char*> available_bf16();

}  // namespace gradus::kernels
