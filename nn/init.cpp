#include "nn/init.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "tensor/ops.hpp"

namespace gradus::nn {

namespace {

/// out and in of (out, in, kernel...), times the kernel's size.
struct Fans {
  double in, out;
};
Fans fans_of(const Shape& shape) {
  if (shape.rank() < 2)
    fail<ShapeError>("initial values of shape {}: a fan is that of a weight of two axes or more", shape);
  double kernel = 1;
  for (int axis = 2; axis < shape.rank(); ++axis) kernel *= static_cast<double>(shape[axis]);
  return {static_cast<double>(shape[1]) * kernel, static_cast<double>(shape[0]) * kernel};
}
/// x / fan, and 0 for a weight without elements.
double over(double x, double fan) {
  return fan > 0 ? x / fan : 0;
}
double fan_of(const Shape& shape, const KaimingOptions& options) {
  const Fans fans = fans_of(shape);
  return options.fan == Fan::in ? fans.in : fans.out;
}

}  // namespace

double gain(Nonlinearity function, double slope) {
  switch (function) {
    case Nonlinearity::tanh:
      return 5.0 / 3;
    case Nonlinearity::relu:
      return std::sqrt(2.0);
    case Nonlinearity::leaky_relu:
      return std::sqrt(2 / (1 + slope * slope));
    case Nonlinearity::selu:
      return 0.75;
    default:
      return 1;
  }
}

Tensor uniform(Rng& rng, const Shape& shape, double bound) {
  return rng.uniform(shape, -bound, bound);
}

Tensor normal(Rng& rng, const Shape& shape, double deviation) {
  return rng.normal(shape, 0, deviation);
}

Tensor truncated_normal(Rng& rng, const Shape& shape, double deviation, double limit) {
  if (!(limit > 0 && std::isfinite(limit)) || !(deviation >= 0 && std::isfinite(deviation)))
    fail<ArgumentError>(
        "truncated_normal: a deviation of {} and a limit of {}; they must be finite, the limit above 0",
        deviation, limit);
  // The normal distribution's inverse of what is uniform between its values at the limits.
  const double edge = std::erf(limit / std::sqrt(2.0));
  const Tensor x = erfinv(rng.uniform(shape, -edge, edge, Dtype::f64)) * std::sqrt(2.0);
  return (clamp(x, -limit, limit) * deviation).to(Dtype::f32);
}

Tensor xavier_uniform(Rng& rng, const Shape& shape, double gain) {
  const Fans fans = fans_of(shape);
  return uniform(rng, shape, gain * std::sqrt(over(6, fans.in + fans.out)));
}

Tensor xavier_normal(Rng& rng, const Shape& shape, double gain) {
  const Fans fans = fans_of(shape);
  return normal(rng, shape, gain * std::sqrt(over(2, fans.in + fans.out)));
}

Tensor kaiming_normal(Rng& rng, const Shape& shape, const KaimingOptions& options) {
  return normal(rng, shape, options.gain * std::sqrt(over(1, fan_of(shape, options))));
}

Tensor kaiming_uniform(Rng& rng, const Shape& shape, const KaimingOptions& options) {
  return uniform(rng, shape, options.gain * std::sqrt(over(3, fan_of(shape, options))));
}

Tensor orthogonal(Rng& rng, const Shape& shape, double gain) {
  if (shape.rank() < 2) fail<ShapeError>("orthogonal: a shape of {}; it must have two axes or more", shape);
  const std::int64_t rows = shape[0], columns = rows == 0 ? 0 : shape.size() / rows;
  if (shape.size() == 0) return zeros(shape);
  const bool wide = columns > rows;
  // (longer, shorter); normal ones have no preferred direction, and so neither does what is made of them.
  Tensor q = rng.normal({std::max(rows, columns), std::min(rows, columns)}, 0, 1, Dtype::f64);
  // Where q^T q = L L^T, q L^-T is the Q of q = Q R with a positive diagonal of R. The second time takes away
  // what rounding left of the first.
  for (int i = 0; i < 2; ++i) {
    const Tensor l = cholesky(matmul(q, q, {.transpose_a = true}));
    q = transpose(triangular_solve(l, transpose(q)));
  }
  return ((wide ? transpose(q) : q).reshape(shape) * gain).to(Dtype::f32);
}

Tensor sparse(Rng& rng, const Shape& shape, double zeros, double deviation) {
  if (shape.rank() != 2 || !(zeros >= 0 && zeros <= 1))
    fail<ArgumentError>(
        "sparse: a shape of {} and a share of zeros of {}; it is for matrices, and shares from 0 to 1", shape,
        zeros);
  const std::int64_t rows = shape[0], columns = shape[1];
  Tensor out = normal(rng, shape, deviation);
  float* const values = out.mutable_data<float>();
  const auto none = static_cast<std::int64_t>(std::ceil(zeros * static_cast<double>(rows)));
  std::vector<std::int64_t> order(static_cast<std::size_t>(rows));
  for (std::int64_t column = 0; column < columns; ++column) {
    std::iota(order.begin(), order.end(), 0);
    for (std::int64_t i = 0; i < none; ++i) {  // the first of a shuffled order (Fisher and Yates)
      const std::int64_t j = i + static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(rows - i)));
      std::swap(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(j)]);
      values[order[static_cast<std::size_t>(i)] * columns + column] = 0;
    }
  }
  return out;
}

Tensor identity(std::int64_t rows, std::int64_t columns) {
  return eye(rows, columns, Dtype::f32);
}

}  // namespace gradus::nn
