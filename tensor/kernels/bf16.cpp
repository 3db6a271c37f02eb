#include "tensor/kernels/bf16.hpp"

#include <array>
#include <atomic>
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <utility>

#include "tensor/kernels/kernels.hpp"
#include "tensor/support/error.hpp"

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

float multiply_words(float a, float b, float sum) {
  const auto x = std::bit_cast<std::uint32_t>(a), y = std::bit_cast<std::uint32_t>(b);
  sum = flushed(std::fma(widened(x >> 16), widened(y >> 16), flushed(sum)));
  return flushed(std::fma(widened(x & 0xFFFF), widened(y & 0xFFFF), sum));
}

constexpr std::int64_t emulated_rows = 4, emulated_cols = 16;

template <int rows>
void emulated_tile(const Tile<float>& t) {
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < t.cols; ++j) {
      float sum = 0;
      for (std::int64_t p = 0; p < t.k; ++p)
        sum = multiply_words(t.a[p * rows + i], t.b[p * emulated_cols + j], sum);
      float& c = t.c[i * t.ldc + j];
      if (t.alpha != 1) sum *= t.alpha;
      if (t.beta != 0) sum = std::fma(t.beta, c, sum);
      c = t.bias == nullptr ? sum : sum + t.bias[j];
    }
  }
}

constexpr Tiles<float>::Kernels emulated_kernels = [] {
  Tiles<float>::Kernels out{};
  [&]<int... r>(std::integer_sequence<int, r...>) {
    ((out[static_cast<std::size_t>(r)] = emulated_tile<r + 1>), ...);
  }
  (std::make_integer_sequence<int, emulated_rows>());
  return out;
}();
constexpr Tiles<float> emulated_tiles{.rows = emulated_rows,
                                      .cols = emulated_cols,
                                      .lanes = emulated_cols,
                                      .packed = emulated_kernels,
                                      .packed_narrow = emulated_kernels,
                                      .in_place = {},
                                      .in_place_narrow = {}};

template <bool high>
struct Emulation final : TileKernels<float> {
  static constexpr std::int64_t sections = high ? 3 : 1;

  const Tiles<float>& tiles() const override { return emulated_tiles; }
  std::int64_t packed_depth(std::int64_t depth) const override { return sections * ((depth + 1) / 2); }
  void pack(Side side, const float* x, std::int64_t across, std::int64_t along, std::int64_t count,
            std::int64_t depth, std::int64_t width, float* out) const override {
    for (std::int64_t first = 0; first < count; first += width) {
      for (std::int64_t section = 0; section < sections; ++section) {
        const bool lower = high && section == (side == Side::left ? 1 : 0);
        const auto bits = [&](std::int64_t w, std::int64_t p) -> std::uint32_t {
          if (first + w >= count || p >= depth) return 0;
          const float number = x[(first + w) * across + p * along];
          return rounded_bits(lower ? rest(number) : number);
        };
        for (std::int64_t p = 0; p < depth; p += 2) {
          for (std::int64_t w = 0; w < width; ++w)
            *out++ = std::bit_cast<float>(bits(w, p) | bits(w, p + 1) << 16);
        }
      }
    }
  }
};
constexpr Emulation<false> emulated_medium{};
constexpr Emulation<true> emulated_high{};

/// From the slowest to the fastest that the processor has.
const std::vector<const Bf16Kernels*>& choices() {
  static const std::vector<const Bf16Kernels*> out = [] {
    std::vector<const Bf16Kernels*> all{&bf16_emulation()};
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
      all.push_back(&bf16_avx512());
#endif
    return all;
  }();
  return out;
}

std::atomic<const Bf16Kernels*> asked{nullptr};  // by use_bf16

const TileKernels<float>* kernels_of(MatmulPrecision precision) {
  const Bf16Kernels* of = asked.load(std::memory_order_relaxed);
  const bool always = of != nullptr;
  if (!always) {
    if (choices().size() == 1 || instruction_set_in_use() != InstructionSet::avx512) return nullptr;
    of = choices().back();
  }
  if (precision == MatmulPrecision::medium) return of->medium;
  return always || of->high_is_faster ? of->high : nullptr;
}

}  // namespace

const Bf16Kernels& bf16_emulation() {
  static constexpr Bf16Kernels out{"emulation", &emulated_medium, &emulated_high, false};
  return out;
}

template <class T>
const TileKernels<T>& tile_kernels(MatmulPrecision precision) {
  if constexpr (sizeof(T) == sizeof(float)) {
    const TileKernels<float>* const out =
        precision == MatmulPrecision::exact ? nullptr : kernels_of(precision);
    if (out != nullptr) return *out;
  }
  return selected<T>();
}
template const TileKernels<float>& tile_kernels(MatmulPrecision);
template const TileKernels<double>& tile_kernels(MatmulPrecision);

void use_bf16(const char* name) {
  if (name == nullptr) return asked.store(nullptr);
  for (const Bf16Kernels* choice : choices()) {
    if (std::string_view(choice->name) == name) return asked.store(choice);
  }
  fail<ArgumentError>("this machine does not multiply bfloat16 by '{}'", name);
}

std::vector<const char*> available_bf16() {
  std::vector<const char*> names;
  for (const Bf16Kernels* choice : choices()) names.push_back(choice->name);
  return names;
}

}  // namespace gradus::kernels
