#include "tensor/random.hpp"

#include <Random123/philox.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <type_traits>

#include "tensor/kernels/kernels.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus {

namespace {

/// The two 64-bit words at one position of a stream.
struct Words {
  std::uint64_t first, second;
};

Words words_at(const Rng::State& state, std::uint64_t place) {
  const auto low = [](std::uint64_t x) { return static_cast<std::uint32_t>(x); };
  const auto high = [](std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); };
  const r123::Philox4x32::ctr_type counter = {
      {low(place), high(place), low(state.stream), high(state.stream)}};
  const r123::Philox4x32::key_type key = {{low(state.seed), high(state.seed)}};
  const r123::Philox4x32::ctr_type out = r123::Philox4x32()(counter, key);
  return {out[0] | std::uint64_t{out[1]} << 32, out[2] | std::uint64_t{out[3]} << 32};
}

/// The upper 53 bits as a number in [0, 1).
double unit(std::uint64_t word) {
  return static_cast<double>(word >> 11) * 0x1p-53;
}

/// Fills a tensor in parallel: each element is f(the words at the element's own position), or f of the first.
template <class T, class F>
Tensor fill(Rng::State& state, const Shape& shape, const F& f) {
  constexpr bool both = std::is_invocable_v<F, std::uint64_t, std::uint64_t>;
  constexpr std::int64_t block = 512;
  Tensor out = Tensor::uninitialized(shape, dtype_of<T>());
  T* const to = out.mutable_data<T>();
  const auto& kernel = kernels::selected<T>();
  parallel::for_range(out.size(), both ? 32 : 4, [&](std::int64_t begin, std::int64_t end) {
    std::array<std::uint64_t, block> first, second;
    for (std::int64_t at = begin; at < end; at += block) {
      const std::int64_t count = std::min(block, end - at);
      kernel.philox(state.seed, state.stream, state.counter + static_cast<std::uint64_t>(at), count,
                    first.data(), both ? second.data() : nullptr);
      for (std::int64_t i = 0; i < count; ++i) {
        const auto k = static_cast<std::size_t>(i);
        if constexpr (both) {
          to[at + i] = static_cast<T>(f(first[k], second[k]));
        } else {
          to[at + i] = static_cast<T>(f(first[k]));
        }
      }
    }
  });
  state.counter += static_cast<std::uint64_t>(out.size());
  return out;
}

}  // namespace

Rng Rng::fork(std::uint64_t name) const {
  // The new stream's number is drawn with another key, the complement of the seed.
  State far = state_;
  far.seed = ~far.seed;
  return Rng(state_.seed, words_at(far, name ^ 0x9E3779B97F4A7C15u).first);
}

std::uint64_t Rng::next_u64() {
  return words_at(state_, state_.counter++).first;
}
double Rng::uniform() {
  return unit(next_u64());
}

std::uint64_t Rng::below(std::uint64_t n) {
  if (n == 0) fail<ArgumentError>("Rng::below(0): there is no number below 0");
  // Reduced modulo n, words below 2^64 mod n would make the first numbers likelier than the others.
  const std::uint64_t uneven = (0 - n) % n;
  for (;;) {
    const std::uint64_t word = next_u64();
    if (word >= uneven) return word % n;
  }
}

Tensor Rng::uniform(const Shape& shape, double low, double high, Dtype dtype) {
  if (!std::isfinite(low) || !std::isfinite(high) || low > high) {
    fail<ArgumentError>("Rng::uniform: from {} to {}; both must be finite, the first not above the second",
                        low, high);
  }
  // Where high - low overflows, half of it does not.
  const double scale = std::isfinite(high - low) ? 1 : 0.5;
  const double start = low * scale, length = high * scale - start;
  return visit_dtype(dtype, [&](auto tag) {
    using T = decltype(tag);
    // Rounding may reach `high`, which is not to be returned.
    const auto first = static_cast<T>(low), last = std::nextafter(static_cast<T>(high), first);
    if (!std::isfinite(first) || !std::isfinite(static_cast<T>(high)))
      fail<ArgumentError>("Rng::uniform: from {} to {}; {} has no such numbers", low, high, name_of(dtype));
    return fill<T>(state_, shape, [=](std::uint64_t word) {
      return std::min(static_cast<T>((start + length * unit(word)) / scale), last);
    });
  });
}

Tensor Rng::normal(const Shape& shape, double mean, double deviation, Dtype dtype) {
  if (!std::isfinite(mean) || !std::isfinite(deviation) || deviation < 0) {
    fail<ArgumentError>("Rng::normal: mean {}, deviation {}; both must be finite, the deviation 0 or more",
                        mean, deviation);
  }
  const double most =
      dtype == Dtype::f32 ? std::numeric_limits<float>::max() : std::numeric_limits<double>::max();
  // No number drawn is further from the mean than that many deviations: sqrt(-2 log 2^-53) is 8.58.
  constexpr double furthest = 8.6;
  if (deviation > (most - std::abs(mean)) / furthest)
    fail<ArgumentError>("Rng::normal: mean {}, deviation {}; numbers that far out are beyond {}", mean,
                        deviation, name_of(dtype));
  return visit_dtype(dtype, [&](auto tag) {
    return fill<decltype(tag)>(state_, shape, [=](std::uint64_t first, std::uint64_t second) {
      const double radius = std::sqrt(-2 * std::log(1 - unit(first)));
      return mean + deviation * radius * std::cos(2 * std::numbers::pi * unit(second));
    });
  });
}

Tensor Rng::bernoulli(const Shape& shape, double keep, double scale, Dtype dtype) {
  if (!(keep >= 0 && keep <= 1))
    fail<ArgumentError>("Rng::bernoulli: a probability of {}; it must be 0 to 1", keep);
  // unit(word) < keep, in whole numbers.
  const auto kept = static_cast<std::uint64_t>(std::ceil(keep * 0x1p53));
  return visit_dtype(dtype, [&](auto tag) {
    using T = decltype(tag);
    // Looked up, as a branch would be foretold wrongly half of the time.
    const std::array<T, 2> numbers{0, static_cast<T>(scale)};
    return fill<T>(state_, shape, [=](std::uint64_t word) { return numbers[word >> 11 < kept ? 1 : 0]; });
  });
}

}  // namespace gradus
