#pragma once

#include <cmath>

#include "tensor/random.hpp"

/// Initial values of parameters. The fan-in of an (out, in) weight is `in`, its fan-out is `out`.
namespace gradus::nn {

namespace detail {
inline double fan_in(const Shape& shape) {
  return static_cast<double>(shape[-1]);
}
inline double fan_out(const Shape& shape) {
  return static_cast<double>(shape[-2]);
}
}  // namespace detail

/// Uniform in [-bound, bound).
inline Tensor uniform(Rng& rng, const Shape& shape, double bound) {
  return rng.uniform(shape, -bound, bound);
}
/// Normal with mean 0 and the standard deviation.
inline Tensor normal(Rng& rng, const Shape& shape, double deviation) {
  return rng.normal(shape, 0, deviation);
}
/// Uniform with bound gain * sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010, eq. 16).
inline Tensor xavier_uniform(Rng& rng, const Shape& shape, double gain = 1) {
  return uniform(rng, shape, gain * std::sqrt(6 / (detail::fan_in(shape) + detail::fan_out(shape))));
}
/// Normal with standard deviation gain * sqrt(2 / (fan_in + fan_out)).
inline Tensor xavier_normal(Rng& rng, const Shape& shape, double gain = 1) {
  return normal(rng, shape, gain * std::sqrt(2 / (detail::fan_in(shape) + detail::fan_out(shape))));
}
/// Normal with standard deviation sqrt(2 / fan_in), for layers before a relu (He et al. 2015, eq. 10).
inline Tensor kaiming_normal(Rng& rng, const Shape& shape) {
  return normal(rng, shape, std::sqrt(2 / detail::fan_in(shape)));
}
/// Uniform with bound sqrt(6 / fan_in).
inline Tensor kaiming_uniform(Rng& rng, const Shape& shape) {
  return uniform(rng, shape, std::sqrt(6 / detail::fan_in(shape)));
}

}  // namespace gradus::nn
