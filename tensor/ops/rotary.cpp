#include "tensor/ops/rotary.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "tensor/support/parallel.hpp"

namespace gradus {

namespace {

/// base^(-i / count) for each i below count.
std::vector<double> powers(double base, std::int64_t count) {
  std::vector<double> out;
  for (std::int64_t i = 0; i < count; ++i)
    out.push_back(std::pow(base, -static_cast<double>(i) / static_cast<double>(count)));
  return out;
}

RotaryAngles angles_of(const std::vector<double>& positions, Shape shape, std::int64_t width,
                       const RotaryOptions& options) {
  if (width < 2 || width % 2 != 0)
    fail<ArgumentError>("rotary_angles: a width of {}; it must be a positive even number", width);
  const std::int64_t pairs = width / 2;
  std::vector<double> frequencies;
  if (options.frequencies.defined()) {
    if (options.frequencies.shape() != Shape{pairs})
      fail<ArgumentError>("rotary_angles: frequencies of shape {} for {} pairs", options.frequencies.shape(),
                          pairs);
    for (std::int64_t i = 0; i < pairs; ++i) frequencies.push_back(options.frequencies.at(i));
  } else {
    if (!(options.base > 0))
      fail<ArgumentError>("rotary_angles: a base of {}; it must be above 0", options.base);
    frequencies = powers(options.base, pairs);
  }
  shape = shape.inserted(shape.rank(), pairs);
  RotaryAngles out{Tensor::uninitialized(shape, options.dtype), Tensor::uninitialized(shape, options.dtype)};
  visit_dtype(options.dtype, [&](auto tag) {
    using T = decltype(tag);
    T *const cosines = out.cos.mutable_data<T>(), *const sines = out.sin.mutable_data<T>();
    constexpr std::int64_t library_calls = 64;
    parallel::for_each(
        static_cast<std::int64_t>(positions.size()), library_calls * pairs, [&](std::int64_t p) {
          for (std::int64_t i = 0; i < pairs; ++i) {
            const double angle =
                positions[static_cast<std::size_t>(p)] * frequencies[static_cast<std::size_t>(i)];
            cosines[p * pairs + i] = static_cast<T>(std::cos(angle));
            sines[p * pairs + i] = static_cast<T>(std::sin(angle));
          }
        });
  });
  return out;
}

/// Calls f(i) for each pair. With a known number of them at once the compiler uses vector instructions.
template <class F>
[[gnu::always_inline]] inline void for_each_pair(std::int64_t pairs, F f) {
  constexpr int at_once = 8;
  std::int64_t i = 0;
  for (; i + at_once <= pairs; i += at_once) {
    for (int j = 0; j < at_once; ++j) f(i + j);
  }
  for (; i < pairs; ++i) f(i);
}

/// sign: 1, or -1 to turn back.
template <class T>
void rotate_row(const T* x, const T* cosines, const T* sines, std::int64_t pairs, RotaryPairs kind, T sign,
                T* __restrict y) {
  if (kind == RotaryPairs::halves) {
    for_each_pair(pairs, [&](std::int64_t i) {
      const T a = x[i], b = x[i + pairs], s = sign * sines[i];
      y[i] = a * cosines[i] - b * s;
      y[i + pairs] = b * cosines[i] + a * s;
    });
  } else {
    for_each_pair(pairs, [&](std::int64_t i) {
      const T a = x[2 * i], b = x[2 * i + 1], s = sign * sines[i];
      y[2 * i] = a * cosines[i] - b * s;
      y[2 * i + 1] = b * cosines[i] + a * s;
    });
  }
}

}  // namespace

RotaryAngles rotary_angles(std::int64_t count, std::int64_t width, const RotaryOptions& options,
                           std::int64_t first) {
  if (count < 0) fail<ArgumentError>("rotary_angles: {} positions", count);
  std::vector<double> positions;
  for (std::int64_t p = first; p < first + count; ++p) positions.push_back(static_cast<double>(p));
  return angles_of(positions, {count}, width, options);
}
RotaryAngles rotary_angles(const Indices& positions, std::int64_t width, const RotaryOptions& options) {
  if (positions.rank() != 1 && positions.rank() != 2)
    fail<ShapeError>("rotary_angles: positions of shape {}; it must be (time) or (batch, time)",
                     positions.shape());
  const auto ids = positions.values();
  return angles_of({ids.begin(), ids.end()}, positions.shape(), width, options);
}

Tensor sinusoidal_positions(std::int64_t count, std::int64_t width, double base, Dtype dtype) {
  if (count < 0 || width < 1 || !(base > 0))
    fail<ArgumentError>("sinusoidal_positions: {} positions of width {} with the base {}", count, width,
                        base);
  Tensor out = Tensor::uninitialized({count, width}, dtype);
  visit_dtype(dtype, [&](auto tag) {
    using T = decltype(tag);
    T* const to = out.mutable_data<T>();
    for (std::int64_t i = 0; i < width; ++i) {
      const std::int64_t even = i - i % 2;
      const double frequency = std::pow(base, -static_cast<double>(even) / static_cast<double>(width));
      for (std::int64_t p = 0; p < count; ++p) {
        const double angle = static_cast<double>(p) * frequency;
        to[p * width + i] = static_cast<T>(i % 2 == 0 ? std::sin(angle) : std::cos(angle));
      }
    }
  });
  return out;
}

Tensor detail::rotate(const Tensor& x, const RotaryAngles& angles, RotaryPairs pairs, bool time_first,
                      bool backwards) {
  const std::int64_t heads = x.dim(time_first ? 2 : 1), time = x.dim(time_first ? 1 : 2), width = x.dim(3);
  const std::int64_t count = angles.cos.dim(-1);
  Tensor out = Tensor::uninitialized_like(x);
  const auto turn = [&]<class T>(T* to, const T* from, const T* cosines, const T* sines) {
    const T sign = backwards ? T{-1} : T{1};
    parallel::for_each(width == 0 ? 0 : x.size() / width, 2 * width, [&](std::int64_t row) {
      const std::int64_t at = time_first ? row / heads % time : row % time;
      const std::int64_t angle = (angles.cos.rank() == 2 ? at : row / (heads * time) * time + at) * count;
      rotate_row(from + row * width, cosines + angle, sines + angle, count, pairs, sign, to + row * width);
      std::copy_n(from + row * width + 2 * count, width - 2 * count, to + row * width + 2 * count);
    });
  };
  visit_elements(turn, out, x, angles.cos, angles.sin);
  return out;
}

}  // namespace gradus
