// Products of bfloat16 by AVX512-BF16, two multiply-adds a lane and instruction. Compiled for processors that
// have it alone.

#include <immintrin.h>

#include "tensor/kernels/bf16.hpp"
#include "tensor/kernels/impl/arch.hpp"

namespace gradus::kernels {

namespace {

#include "tensor/kernels/impl/batch.hpp"

#include "tensor/kernels/impl/pack.hpp"
#include "tensor/kernels/impl/round.hpp"
#include "tensor/kernels/impl/tile.hpp"

struct MultiplyWords {
  [[gnu::always_inline]] static Batch<float> add(const Batch<float>& a, const Batch<float>& b,
                                                 const Batch<float>& sum) {
    const __m512 x = a, y = b;
    return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)y);
  }
};
constexpr Tiles<float> word_tiles{.rows = tile_rows,
                                  .cols = tile_batches * lanes<float>,
                                  .lanes = lanes<float>,
                                  .packed = tiles_of<float, tile_batches, Layout::packed, MultiplyWords>(),
                                  .packed_narrow = tiles_of<float, 1, Layout::packed, MultiplyWords>(),
                                  .in_place = {},
                                  .in_place_narrow = {}};

/// A group of entries that lie side by side across: `there` follow its first one.
template <Half half>
void pack_word_rows(const float* x, std::int64_t along, std::int64_t there, std::int64_t depth,
                    std::int64_t width, float* out) {
  constexpr std::int64_t ahead = 64;
  const __m512i order = beside_each_other();
  // What whole registers write past a row is overwritten by the next one; the last row has none.
  const std::int64_t whole = (width + 15) / 16 * 16, after = whole == width ? 1 : 3;
  std::int64_t p = 0;
  for (; there >= whole && p + after < depth; p += 2, x += 2 * along, out += width) {
    __builtin_prefetch(x + ahead);
    __builtin_prefetch(x + along + ahead);
    for (std::int64_t w = 0; w < whole; w += 16) {
      const __m512i both = rounded<half>(_mm512_loadu_ps(x + w), _mm512_loadu_ps(x + along + w));
      _mm512_storeu_si512(out + w, _mm512_permutexvar_epi16(order, both));
    }
  }
  for (; p < depth; p += 2, x += 2 * along, out += width) {
    for (std::int64_t w = 0; w < width; w += 16) {
      const std::int64_t given = there - w < 0 ? 0 : there - w < 16 ? there - w : 16;
      const __m512 second =
          p + 1 < depth ? __m512(load_part<float>(x + along + w, given)) : _mm512_setzero_ps();
      const __m512i both = rounded<half>(load_part<float>(x + w, given), second);
      const Batch<float> words(_mm512_castsi512_ps(_mm512_permutexvar_epi16(order, both)));
      store_part<float>(words, out + w, width - w < 16 ? width - w : 16);
    }
  }
}

/// A group of entries whose numbers lie side by side along the depth: rounded, and then transposed as words.
template <Half half>
void pack_word_columns(const float* x, std::int64_t across, std::int64_t filled, std::int64_t depth,
                       std::int64_t width, float* out) {
  constexpr std::int64_t at_once = 32;  // words, so that all of a group stay in the first-level cache
  alignas(64) float words[tile_batches * lanes<float> * at_once];
  for (std::int64_t p = 0; p < depth; p += 2 * at_once, out += at_once * width) {
    const std::int64_t left = depth - p < 2 * at_once ? depth - p : 2 * at_once;
    for (std::int64_t w = 0; w < filled; ++w) {
      const float* const from = x + w * across + p;
      float* const to = words + w * at_once;
      for (std::int64_t i = 0; i < left; i += 32) {
        const std::int64_t first = left - i < 16 ? left - i : 16;
        const std::int64_t second = left - i - 16 < 0 ? 0 : left - i - 16 < 16 ? left - i - 16 : 16;
        const __m512i both = rounded<half>(load_part<float>(from + i, first),
                                           load_part<float>(from + i + (second > 0 ? 16 : 0), second));
        _mm512_store_si512(to + i / 2, both);
      }
    }
    pack_columns<float>(words, at_once, 1, filled, (left + 1) / 2, width, out);
  }
}

template <Half half>
void pack_group(const float* x, std::int64_t across, std::int64_t along, std::int64_t there,
                std::int64_t depth, std::int64_t width, float* out) {
  if (across == 1) {
    pack_word_rows<half>(x, along, there, depth, width, out);
  } else {
    pack_word_columns<half>(x, across, there < width ? there : width, depth, width, out);
  }
}

template <bool high>
struct WordKernels final : TileKernels<float> {
  static constexpr std::int64_t sections = high ? 3 : 1;

  const Tiles<float>& tiles() const override { return word_tiles; }
  std::int64_t packed_depth(std::int64_t depth) const override { return sections * ((depth + 1) / 2); }
  void pack(Side side, const float* x, std::int64_t across, std::int64_t along, std::int64_t count,
            std::int64_t depth, std::int64_t width, float* out) const override {
    const std::int64_t words = (depth + 1) / 2;
    // Where entries lie side by side across, a few rows are packed for all groups while they are in a cache.
    const std::int64_t at_once = across == 1 ? 16 : depth;
    for (std::int64_t p = 0; p < depth; p += at_once) {
      const std::int64_t deep = depth - p < at_once ? depth - p : at_once;
      for (std::int64_t first = 0; first < count; first += width) {
        const float* const from = x + first * across + p * along;
        float* to = out + (first / width * sections * words + p / 2) * width;
        for (std::int64_t section = 0; section < sections; ++section, to += words * width) {
          if (high && section == (side == Side::left ? 1 : 0)) {
            pack_group<Half::lower>(from, across, along, count - first, deep, width, to);
          } else {
            pack_group<Half::upper>(from, across, along, count - first, deep, width, to);
          }
        }
      }
    }
  }
};
constexpr WordKernels<false> medium{};
constexpr WordKernels<true> high{};

}  // namespace

const Bf16Kernels& bf16_avx512() {
  // Three of its products take half as long again as one of f32.
  static constexpr Bf16Kernels out{"avx512_bf16", &medium, &high, true, false};
  return out;
}

}  // namespace gradus::kernels
