#pragma once

#include "tensor/random.hpp"

/// Initial values of parameters. The fan-in of an (out, in) weight is `in`, its fan-out is `out`.
namespace gradus::nn {

/// Uniform in [-bound, bound).
Tensor uniform(Rng& rng, const Shape& shape, double bound);
/// Normal with mean 0 and the standard deviation.
Tensor normal(Rng& rng, const Shape& shape, double deviation);
/// Uniform with bound gain * sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010, eq. 16).
Tensor xavier_uniform(Rng& rng, const Shape& shape, double gain = 1);
/// Normal with standard deviation gain * sqrt(2 / (fan_in + fan_out)).
Tensor xavier_normal(Rng& rng, const Shape& shape, double gain = 1);
/// Normal with standard deviation sqrt(2 / fan_in), for layers before a relu (He et al. 2015, eq. 10).
Tensor kaiming_normal(Rng& rng, const Shape& shape);
/// Uniform with bound sqrt(6 / fan_in).
Tensor kaiming_uniform(Rng& rng, const Shape& shape);

}  // namespace gradus::nn
