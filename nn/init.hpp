#pragma once

#include "tensor/random.hpp"

/// Initial values of parameters. Fan-in and fan-out of an (out, in) weight are in and out.
namespace gradus::nn {

/// Uniform in [-bound, bound).
Tensor uniform(Rng& rng, const Shape& shape, double bound);
Tensor normal(Rng& rng, const Shape& shape, double deviation);
/// Uniform with bound gain * sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010, eq. 16).
Tensor xavier_uniform(Rng& rng, const Shape& shape, double gain = 1);
/// Normal with deviation gain * sqrt(2 / (fan_in + fan_out)).
Tensor xavier_normal(Rng& rng, const Shape& shape, double gain = 1);
/// Normal with deviation sqrt(2 / fan_in), for relu (He et al. 2015, eq. 10).
Tensor kaiming_normal(Rng& rng, const Shape& shape);
/// Uniform with bound sqrt(6 / fan_in).
Tensor kaiming_uniform(Rng& rng, const Shape& shape);

}  // namespace gradus::nn
