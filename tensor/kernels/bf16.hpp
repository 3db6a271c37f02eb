#pragma once

#include <array>
#include <vector>

#include "tensor/kernels/gemm.hpp"
#include "tensor/matmul_precision.hpp"

/// Products of f32 matrices whose numbers are rounded to bfloat16 first. Two numbers that follow each other
/// along the depth are packed in one word of 32 bits, the earlier in its lower half. Subnormal numbers are 0
/// on the way in and out of every operation, whose rounding is to the nearest. There are two ways to sum:
///
/// AVX512-BF16's vdpbf16ps adds a word of A by a word of B to a sum of f32: the product of the upper halves,
/// rounded, and then that of the lower ones. A word takes the place of a float in the layout of packed
/// matrices. Of `high`, a packed matrix has three sections along the depth, each with all its words: A the
/// upper, lower and upper parts of its numbers, B the lower, upper and upper ones.
///
/// AMX's tdpbf16ps adds 16 words of A by 16 of B at once: the products of the lower halves are summed one
/// after the other from 0 on, those of the upper halves likewise, and the sum of both sums is added
/// (AmxLayout).
namespace gradus::kernels {

/// What multiplies bfloat16: an instruction of the processor, or code that gives the same bits on any of
/// them.
struct Bf16Kernels {
  const char* name;
  const TileKernels<float>*medium, *high;
  bool medium_is_faster, high_is_faster;  // than exact
};
const Bf16Kernels& avx512_emulation();
const Bf16Kernels& amx_emulation();
#if defined(__x86_64__)
const Bf16Kernels& bf16_avx512();
const Bf16Kernels& bf16_amx();
#endif

/// How matrices are packed for AMX, in tiles of 16 by 16 words. A packed group is cut into steps of 32
/// numbers along the depth, these into one or two tiles across, and these into the two halves of `high` or
/// the one of `medium`. A tile of A has a row of words for each row of A, one of B has a row for each two
/// rows of B. Of `high`, a step adds the products of A's upper half by B's lower one, of the upper halves,
/// and of A's lower half by B's upper one, in this order.
struct AmxLayout {
  static constexpr std::int64_t side = 16, tile = side * side, step = 2 * side;
  static constexpr std::int64_t halves(bool high) { return high ? 2 : 1; }
  static constexpr std::int64_t steps(std::int64_t depth) { return (depth + step - 1) / step; }
  static constexpr std::int64_t packed_depth(std::int64_t depth, bool high) {
    return steps(depth) * halves(high) * side;
  }

  /// Blocks of 32 by 32 of C: four tiles of it with two of A and two of B are the processor's eight. Of B, 32
  /// columns of a block's depth take 20 KB of the first-level cache, which has 48 KB on Sapphire Rapids,
  /// while A passes by in pieces of as much. Blocks of A and B take 160 and 640 KB of the second-level one's
  /// 2 MB.
  static constexpr Tiles<float> tiles(const Tiles<float>::Kernels& wide, const Tiles<float>::Kernels& narrow,
                                      void (*begin)(), void (*end)()) {
    return {.rows = 2 * side,
            .cols = 2 * side,
            .lanes = side,
            .packed = wide,
            .packed_narrow = narrow,
            .in_place = {},
            .in_place_narrow = {},
            .row_unit = side,
            .depth_unit = step,
            .blocks = {.depth = 160, .rows = 256, .cols = 1024},
            .begin = begin,
            .end = end};
  }
};

/// What a product of this precision uses: the kernels of the instruction set in use unless there are others.
template <class T>
const TileKernels<T>& tile_kernels(MatmulPrecision precision);

/// A test's way to have `medium` and `high` computed by a name of those available, whether that is faster or
/// not; null for what is chosen when the program starts. Throws ArgumentError for a name that is not
/// available.
void use_bf16(const char* name);
/// "emulated avx512_bf16" and "emulated amx_bf16", and where the processor has them "avx512_bf16" and
/// "amx_bf16", whose bits are those of the emulated ones.
std::vector<const char*> available_bf16();

}  // namespace gradus::kernels
