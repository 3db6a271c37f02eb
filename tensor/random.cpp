#include "tensor/random.hpp"

#include <Random123/philox.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "tensor/random_words.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus {

namespace {

/// The two 64-bit words at one position of a stream.
struct Words {
  std::uint64_t first, second;
};

r123::Philox4x32::ctr_type block_at(const Rng::State& state, std::uint64_t place) {
  const auto low = [](std::uint64_t x) { return static_cast<std::uint32_t>(x); };
  const auto high = [](std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); };
  const r123::Philox4x32::ctr_type counter = {
      {low(place), high(place), low(state.stream), high(state.stream)}};
  const r123::Philox4x32::key_type key = {{low(state.seed), high(state.seed)}};
  return r123::Philox4x32()(counter, key);
}
Words words_at(const Rng::State& state, std::uint64_t place) {
  const r123::Philox4x32::ctr_type out = block_at(state, place);
  return {out[0] | std::uint64_t{out[1]} << 32, out[2] | std::uint64_t{out[3]} << 32};
}

/// The upper 53 bits as a number in [0, 1).
double unit(std::uint64_t word) {
  return static_cast<double>(word >> 11) * 0x1p-53;
}

/// Fills a tensor in parallel: each element is f(the words at the element's own position).
template <class T, class F>
Tensor fill(Rng::State& state, const Shape& shape, const F& f) {
  Tensor out = Tensor::uninitialized(shape, dtype_of<T>());
  T* const to = out.mutable_data<T>();
  parallel::for_each(out.size(), 32, [&](std::int64_t i) {
    to[i] = static_cast<T>(f(words_at(state, state.counter + static_cast<std::uint64_t>(i))));
  });
  state.counter += static_cast<std::uint64_t>(out.size());
  return out;
}
template <class F>
Tensor fill(Rng::State& state, const Shape& shape, Dtype dtype, const F& f) {
  return visit_dtype(dtype, [&](auto tag) { return fill<decltype(tag)>(state, shape, f); });
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
    return fill<T>(state_, shape, [=](Words words) {
      return std::min(static_cast<T>((start + length * unit(words.first)) / scale), last);
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
  return fill(state_, shape, dtype, [=](Words words) {
    const double radius = std::sqrt(-2 * std::log(1 - unit(words.first)));
    return mean + deviation * radius * std::cos(2 * std::numbers::pi * unit(words.second));
  });
}

Tensor Rng::bernoulli(const Shape& shape, double keep, double scale, Dtype dtype) {
  if (!(keep >= 0 && keep <= 1))
    fail<ArgumentError>("Rng::bernoulli: a probability of {}; it must be 0 to 1", keep);
  return fill(state_, shape, dtype, [=](Words words) { return unit(words.first) < keep ? scale : 0.0; });
}

void detail::random_words(const Rng::State& state, std::uint64_t place, std::int64_t places,
                          std::uint32_t* out) {
  for (std::int64_t i = 0; i < places; ++i, out += 4) {
    const r123::Philox4x32::ctr_type block = block_at(state, place + static_cast<std::uint64_t>(i));
    for (std::size_t word = 0; word < 4; ++word) out[word] = block[word];
  }
}

}  // namespace gradus
