// Products of bfloat16 by AMX: an instruction multiplies a tile of 16 rows of 32 numbers by one of 32 rows of
// 16. Compiled for processors that have it alone, which also have AVX512-BF16.

#include <immintrin.h>

#include "tensor/kernels/bf16.hpp"
#include "tensor/kernels/impl/arch.hpp"

namespace gradus::kernels {

namespace {

#include "tensor/kernels/impl/batch.hpp"

#include "tensor/kernels/impl/pack.hpp"
#include "tensor/kernels/impl/round.hpp"
#include "tensor/kernels/impl/tile.hpp"

constexpr std::int64_t side = AmxLayout::side, tile_words = AmxLayout::tile;
constexpr int row_bytes = 64;
static_assert(lanes<float> == side);

/// What ldtilecfg reads: all eight tiles have 16 rows of 64 bytes.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1, start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t bytes[16] = {row_bytes, row_bytes, row_bytes, row_bytes,
                             row_bytes, row_bytes, row_bytes, row_bytes};
  std::uint8_t rows[16] = {side, side, side, side, side, side, side, side};
};
static_assert(sizeof(TileConfig) == 64);
constexpr TileConfig config{};

/// Tiles are released after each part of a product: the system need not save the 8 KB of a thread that it
/// puts aside then, and to configure them again takes little beside the least part that is worth rounding.
void configure_tiles() {
  _tile_loadconfig(&config);
}
void release_tiles() {
  _tile_release();
}

// Tiles 0 to 3 are sums, of which 1 is to the right of 0, and 2 and 3 below them. Tiles 4 and 5 are of A, one
// below the other, 6 and 7 of B, side by side. The numbers must be literal in the intrinsics.

template <int rows, int cols>
[[gnu::always_inline]] inline void zero_sums() {
  _tile_zero(0);
  if constexpr (cols == 2) _tile_zero(1);
  if constexpr (rows == 2) _tile_zero(2);
  if constexpr (rows == 2 && cols == 2) _tile_zero(3);
}
template <int rows>
[[gnu::always_inline]] inline void load_left(const float* a, std::int64_t apart) {
  _tile_loadd(4, a, row_bytes);
  if constexpr (rows == 2) _tile_loadd(5, a + apart, row_bytes);
}
template <int cols>
[[gnu::always_inline]] inline void load_right(const float* b, std::int64_t apart) {
  _tile_loadd(6, b, row_bytes);
  if constexpr (cols == 2) _tile_loadd(7, b + apart, row_bytes);
}
template <int rows, int cols>
[[gnu::always_inline]] inline void add_products() {
  _tile_dpbf16ps(0, 4, 6);
  if constexpr (cols == 2) _tile_dpbf16ps(1, 4, 7);
  if constexpr (rows == 2) _tile_dpbf16ps(2, 5, 6);
  if constexpr (rows == 2 && cols == 2) _tile_dpbf16ps(3, 5, 7);
}
template <int rows, int cols>
[[gnu::always_inline]] inline void store_sums(float* c, std::int64_t ldc) {
  const std::int64_t bytes = ldc * static_cast<std::int64_t>(sizeof(float));
  _tile_stored(0, c, bytes);
  if constexpr (cols == 2) _tile_stored(1, c + side, bytes);
  if constexpr (rows == 2) _tile_stored(2, c + side * ldc, bytes);
  if constexpr (rows == 2 && cols == 2) _tile_stored(3, c + side * ldc + side, bytes);
}

/// A B over k, in tiles 0 to 3.
template <bool high, int rows, int cols>
void sum_products(const Tile<float>& t) {
  constexpr std::int64_t halves = AmxLayout::halves(high), apart = halves * tile_words;
  const std::int64_t steps = t.k / (halves * side);
  const float* a = t.a;
  const float* b = t.b;
  // The compiler does not know that loads of tiles read what was packed.
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  zero_sums<rows, cols>();
  for (std::int64_t step = 0; step < steps; ++step, a += rows * apart, b += 2 * apart) {
    load_left<rows>(a, apart);
    if constexpr (high) {
      load_right<cols>(b + tile_words, apart);
      add_products<rows, cols>();
    }
    load_right<cols>(b, apart);
    add_products<rows, cols>();
    if constexpr (high) {
      load_left<rows>(a + tile_words, apart);
      add_products<rows, cols>();
    }
  }
}

/// C = alpha * A B + beta * C + bias, of up to `rows` by `cols` tiles.
template <bool high, int rows, int cols>
void multiply_tiles(const Tile<float>& t) {
  sum_products<high, rows, cols>(t);
  const bool whole = t.rows == rows * side && t.cols == cols * side;
  if (whole && t.alpha == 1 && t.beta == 0 && t.bias == nullptr) return store_sums<rows, cols>(t.c, t.ldc);
  alignas(64) float sums[rows * side * cols * side];
  store_sums<rows, cols>(sums, cols * side);
  for (std::int64_t i = 0; i < t.rows; ++i) {
    for (std::int64_t j = 0; j < cols * side; j += side) {
      finish_batch<float>(Batch<float>::load_aligned(sums + i * cols * side + j), t.c + i * t.ldc + j,
                          t.cols - j, t.alpha, t.beta, t.bias == nullptr ? nullptr : t.bias + j);
    }
  }
}

template <bool high, int cols>
constexpr Tiles<float>::Kernels for_rows() {
  Tiles<float>::Kernels out{};
  for (std::size_t r = 0; r < out.size(); ++r)
    out[r] = r < side ? multiply_tiles<high, 1, cols> : multiply_tiles<high, 2, cols>;
  return out;
}
template <bool high>
constexpr Tiles<float> amx_tiles = AmxLayout::tiles(for_rows<high, 2>(), for_rows<high, 1>(), configure_tiles,
                                                    release_tiles);

/// Up to 16 entries of up to 32 numbers each.
struct Part {
  const float* x;
  std::int64_t across, along, entries, depth;
};
/// How many of 16 numbers from one on there are.
std::int64_t there(std::int64_t from, std::int64_t count) {
  return count < from ? 0 : count - from < side ? count - from : side;
}

/// Words of entries whose numbers lie side by side along the depth: a row for each entry.
template <Half half>
void pack_entries(const Part& part, float* out) {
  const std::int64_t first = there(0, part.depth), second = there(side, part.depth);
  for (std::int64_t w = 0; w < side; ++w, out += side) {
    __m512i words = _mm512_setzero_si512();
    if (w < part.entries) {
      const float* const x = part.x + w * part.across;
      words =
          rounded<half>(load_part<float>(x, first), load_part<float>(x + (second > 0 ? side : 0), second));
    }
    _mm512_store_si512(out, words);
  }
}

/// Words of entries that lie side by side across: a row for each two numbers of all entries.
template <Half half>
void pack_pairs(const Part& part, float* out) {
  const __m512i order = beside_each_other();
  for (std::int64_t p = 0; p < 2 * side; p += 2, out += side) {
    __m512i words = _mm512_setzero_si512();
    if (p < part.depth) {
      const float* const x = part.x + p * part.along;
      const bool two = p + 1 < part.depth;
      const __m512 next = load_part<float>(x + (two ? part.along : 0), two ? part.entries : 0);
      words = _mm512_permutexvar_epi16(order, rounded<half>(load_part<float>(x, part.entries), next));
    }
    _mm512_store_si512(out, words);
  }
}

template <Half half>
void pack_tile(Side which, const Part& part, float* out) {
  const bool by_entry = part.along == 1, turned = by_entry != (which == Side::left);
  alignas(64) float words[tile_words];
  float* const to = turned ? words : out;
  if (by_entry) {
    pack_entries<half>(part, to);
  } else {
    pack_pairs<half>(part, to);
  }
  if (turned) pack_columns<float>(words, side, 1, side, side, side, out);
}

template <bool high>
struct AmxKernels final : TileKernels<float> {
  const Tiles<float>& tiles() const override { return amx_tiles<high>; }
  std::int64_t packed_depth(std::int64_t depth) const override {
    return AmxLayout::packed_depth(depth, high);
  }
  void pack(Side which, const float* x, std::int64_t across, std::int64_t along, std::int64_t count,
            std::int64_t depth, std::int64_t width, float* out) const override {
    const std::int64_t steps = AmxLayout::steps(depth), step_words = width * AmxLayout::halves(high) * side;
    // Where entries lie side by side across, a step is packed for all groups while its rows are in a cache.
    const std::int64_t at_once = along == 1 ? steps : 1;
    for (std::int64_t begin = 0; begin < steps; begin += at_once) {
      for (std::int64_t first = 0; first < count; first += width) {
        for (std::int64_t step = begin; step < begin + at_once; ++step) {
          const Part all{x + first * across + step * AmxLayout::step * along, across, along, count - first,
                         depth - step * AmxLayout::step};
          pack_step(which, all, width,
                    out + first * AmxLayout::packed_depth(depth, high) + step * step_words);
        }
      }
    }
  }

 private:
  /// The first numbers of `width` entries.
  static void pack_step(Side which, const Part& all, std::int64_t width, float* out) {
    for (std::int64_t first = 0; first < width; first += side) {
      const std::int64_t entries = there(first, all.entries);
      const Part part{entries > 0 ? all.x + first * all.across : all.x, all.across, all.along, entries,
                      all.depth < AmxLayout::step ? all.depth : AmxLayout::step};
      pack_tile<Half::upper>(which, part, out);
      out += tile_words;
      if constexpr (high) {
        pack_tile<Half::lower>(which, part, out);
        out += tile_words;
      }
    }
  }
};
constexpr AmxKernels<false> medium{};
constexpr AmxKernels<true> high{};

}  // namespace

const Bf16Kernels& bf16_amx() {
  static constexpr Bf16Kernels out{"amx_bf16", &medium, &high, true, true};
  return out;
}

}  // namespace gradus::kernels
