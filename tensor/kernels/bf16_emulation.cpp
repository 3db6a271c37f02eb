// Products of bfloat16 in plain code, which gives the bits of the processors' instructions.

#include <array>
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <utility>

#include "tensor/kernels/bf16.hpp"

namespace gradus::kernels {

namespace {

/// x, or 0 of its sign where it is subnormal.
float flushed(float x) {
  return std::fabs(x) < FLT_MIN ? std::copysign(0.0F, x) : x;
}

/// The bits of the nearest bfloat16, of two the even one. A NaN stays one.
std::uint32_t rounded_bits(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(flushed(x));
  if (std::isnan(x)) return bits >> 16 | 0x40;
  return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
}
float widened(std::uint32_t bits) {
  return std::bit_cast<float>(bits << 16);
}
/// What the nearest bfloat16 lacks; none where that is infinite.
float rest(float x) {
  const float upper = widened(rounded_bits(x));
  return std::isfinite(upper) ? x - upper : 0.0F;
}

float lower_half(float word) {
  return widened(std::bit_cast<std::uint32_t>(word) & 0xFFFF);
}
float upper_half(float word) {
  return widened(std::bit_cast<std::uint32_t>(word) >> 16);
}

/// x y + sum, rounded once. The processor takes for subnormal what is below FLT_MIN when it is rounded to 24
/// bits, however small: a part of what `fma` rounds up to FLT_MIN, and in f64 that sum is exact.
float multiply_add(float x, float y, float sum) {
  const float out = std::fma(x, y, sum);
  if (std::fabs(out) == FLT_MIN) {
    constexpr double least = FLT_MIN * (1 - 0x1p-25);  // of what is rounded up to FLT_MIN
    const double exact = static_cast<double>(x) * static_cast<double>(y) + static_cast<double>(sum);
    return std::fabs(exact) < least ? std::copysign(0.0F, out) : out;
  }
  return flushed(out);
}

constexpr std::int64_t emulated_rows = 4, emulated_cols = 16;

float multiply_words(float a, float b, float sum) {
  sum = multiply_add(upper_half(a), upper_half(b), flushed(sum));
  return multiply_add(lower_half(a), lower_half(b), sum);
}

/// An element of C of a tile, from the sum of its products.
void finish(const Tile<float>& t, std::int64_t i, std::int64_t j, float sum) {
  float& c = t.c[i * t.ldc + j];
  if (t.alpha != 1) sum *= t.alpha;
  if (t.beta != 0) sum = std::fma(t.beta, c, sum);
  c = t.bias == nullptr ? sum : sum + t.bias[j];
}

void emulated_tile(const Tile<float>& t) {
  for (std::int64_t i = 0; i < t.rows; ++i) {
    for (std::int64_t j = 0; j < t.cols; ++j) {
      float sum = 0;
      for (std::int64_t p = 0; p < t.k; ++p)
        sum = multiply_words(t.a[p * t.rows + i], t.b[p * emulated_cols + j], sum);
      finish(t, i, j, sum);
    }
  }
}

/// One kernel for all numbers of rows.
constexpr Tiles<float>::Kernels for_all(TileKernel<float> kernel, std::int64_t rows) {
  Tiles<float>::Kernels out{};
  for (std::int64_t r = 0; r < rows; ++r) out[static_cast<std::size_t>(r)] = kernel;
  return out;
}
constexpr Tiles<float> emulated_tiles{.rows = emulated_rows,
                                      .cols = emulated_cols,
                                      .lanes = emulated_cols,
                                      .packed = for_all(emulated_tile, emulated_rows),
                                      .packed_narrow = for_all(emulated_tile, emulated_rows),
                                      .in_place = {},
                                      .in_place_narrow = {}};

/// Where a matrix is packed from. Beyond it are zeros.
struct Unpacked {
  const float* x;
  std::int64_t across, along, count, depth;

  /// Numbers p and p + 1 of an entry, rounded, or what that takes from them.
  float word(std::int64_t entry, std::int64_t p, bool lower) const {
    const auto bits = [&](std::int64_t at) -> std::uint32_t {
      if (entry >= count || at >= depth) return 0;
      const float number = x[entry * across + at * along];
      return rounded_bits(lower ? rest(number) : number);
    };
    return std::bit_cast<float>(bits(p) | bits(p + 1) << 16);
  }
};

template <bool high>
struct Avx512Emulation final : TileKernels<float> {
  static constexpr std::int64_t sections = high ? 3 : 1;

  const Tiles<float>& tiles() const override { return emulated_tiles; }
  std::int64_t packed_depth(std::int64_t depth) const override { return sections * ((depth + 1) / 2); }
  void pack(Side side, const float* x, std::int64_t across, std::int64_t along, std::int64_t count,
            std::int64_t depth, std::int64_t width, float* out) const override {
    const Unpacked from{x, across, along, count, depth};
    for (std::int64_t first = 0; first < count; first += width) {
      for (std::int64_t section = 0; section < sections; ++section) {
        const bool lower = high && section == (side == Side::left ? 1 : 0);
        for (std::int64_t p = 0; p < depth; p += 2) {
          for (std::int64_t w = 0; w < width; ++w) *out++ = from.word(first + w, p, lower);
        }
      }
    }
  }
};

/// A row of a tile of A by a column of one of B, as a single tdpbf16ps has it.
float multiply_step(const float* a, const float* b) {
  float even = 0, odd = 0;
  for (std::int64_t p = 0; p < AmxLayout::side; ++p) {
    even = multiply_add(lower_half(a[p]), lower_half(b[p * AmxLayout::side]), even);
    odd = multiply_add(upper_half(a[p]), upper_half(b[p * AmxLayout::side]), odd);
  }
  return flushed(even + odd);
}

template <bool high>
void emulated_amx_tile(const Tile<float>& t) {
  using L = AmxLayout;
  constexpr std::int64_t halves = L::halves(high);
  struct Product {
    std::int64_t a, b;  // the halves that are multiplied; the upper one is the first of a step
  };
  constexpr Product products[] = {{0, halves - 1}, {0, 0}, {1, 0}};
  const std::int64_t steps = t.k / (halves * L::side);
  const std::int64_t a_step = (t.rows + L::side - 1) / L::side * halves * L::tile,
                     b_step = 2 * halves * L::tile;
  for (std::int64_t i = 0; i < t.rows; ++i) {
    for (std::int64_t j = 0; j < t.cols; ++j) {
      const float* a = t.a + i / L::side * halves * L::tile + i % L::side * L::side;
      const float* b = t.b + j / L::side * halves * L::tile + j % L::side;
      float sum = 0;
      for (std::int64_t step = 0; step < steps; ++step, a += a_step, b += b_step) {
        for (int p = 0; p < (high ? 3 : 1); ++p)
          sum = flushed(sum + multiply_step(a + products[p].a * L::tile, b + products[p].b * L::tile));
      }
      finish(t, i, j, sum);
    }
  }
}

template <bool high>
constexpr Tiles<float> emulated_amx_tiles =
    AmxLayout::tiles(for_all(emulated_amx_tile<high>, 2 * AmxLayout::side),
                     for_all(emulated_amx_tile<high>, 2 * AmxLayout::side), nullptr, nullptr);

template <bool high>
struct AmxEmulation final : TileKernels<float> {
  const Tiles<float>& tiles() const override { return emulated_amx_tiles<high>; }
  std::int64_t packed_depth(std::int64_t depth) const override {
    return AmxLayout::packed_depth(depth, high);
  }
  void pack(Side side, const float* x, std::int64_t across, std::int64_t along, std::int64_t count,
            std::int64_t depth, std::int64_t width, float* out) const override {
    using L = AmxLayout;
    const Unpacked from{x, across, along, count, depth};
    for (std::int64_t first = 0; first < count; first += width) {
      for (std::int64_t p = 0; p < depth; p += L::step) {
        for (std::int64_t entry = first; entry < first + width; entry += L::side) {
          for (std::int64_t half = 0; half < L::halves(high); ++half, out += L::tile)
            pack_tile(side, from, entry, p, half == 1, out);
        }
      }
    }
  }

 private:
  static void pack_tile(Side side, const Unpacked& from, std::int64_t entry, std::int64_t p, bool lower,
                        float* out) {
    constexpr std::int64_t n = AmxLayout::side;
    for (std::int64_t w = 0; w < n; ++w) {
      for (std::int64_t q = 0; q < n; ++q)
        out[side == Side::left ? w * n + q : q * n + w] = from.word(entry + w, p + 2 * q, lower);
    }
  }
};

constexpr Avx512Emulation<false> avx512_medium{};
constexpr Avx512Emulation<true> avx512_high{};
constexpr AmxEmulation<false> amx_medium{};
constexpr AmxEmulation<true> amx_high{};

}  // namespace

const Bf16Kernels& avx512_emulation() {
  static constexpr Bf16Kernels out{"emulated avx512_bf16", &avx512_medium, &avx512_high, false, false};
  return out;
}

const Bf16Kernels& amx_emulation() {
  static constexpr Bf16Kernels out{"emulated amx_bf16", &amx_medium, &amx_high, false, false};
  return out;
}

}  // namespace gradus::kernels
