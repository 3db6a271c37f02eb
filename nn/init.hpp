#pragma once

#include <cstdint>

#include "tensor/random.hpp"

/// Initial values of parameters, of f32 as modules are made. In a weight of shape (out, in, kernel...) the
/// fan-in is `in` times the kernel's size, the fan-out `out` times it. Those that need a fan throw ShapeError
/// for a shape of fewer than two axes; all throw ArgumentError for settings out of range.
namespace gradus::nn {

/// Which fan keeps its variance: that of the forward or of the backward pass.
enum class Fan { in, out };

/// What a layer's values are multiplied by, for the variance to stay the same through a function behind it
/// (PyTorch's calculate_gain): 1 for none and for sigmoid, tanh 5/3, relu sqrt(2), selu 3/4, and leaky_relu
/// sqrt(2 / (1 + slope^2)).
enum class Nonlinearity { linear, sigmoid, tanh, relu, leaky_relu, selu };
double gain(Nonlinearity function, double slope = 0.01);

/// Uniform in [-bound, bound).
Tensor uniform(Rng& rng, const Shape& shape, double bound);
/// Normal with mean 0 and the standard deviation.
Tensor normal(Rng& rng, const Shape& shape, double deviation);
/// The same, cut off `limit` deviations from the mean.
Tensor truncated_normal(Rng& rng, const Shape& shape, double deviation, double limit = 2);

/// Uniform with bound gain * sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010, eq. 16).
Tensor xavier_uniform(Rng& rng, const Shape& shape, double gain = 1);
/// Normal with standard deviation gain * sqrt(2 / (fan_in + fan_out)).
Tensor xavier_normal(Rng& rng, const Shape& shape, double gain = 1);

struct KaimingOptions {
  double gain = 1.4142135623730951;  // that of relu
  Fan fan = Fan::in;
};
/// Normal with standard deviation gain / sqrt(fan), for layers before a relu (He et al. 2015, eq. 10).
Tensor kaiming_normal(Rng& rng, const Shape& shape, const KaimingOptions& options = {});
/// Uniform with bound gain * sqrt(3 / fan).
Tensor kaiming_uniform(Rng& rng, const Shape& shape, const KaimingOptions& options = {});

/// Of all matrices (rows, everything else) with orthonormal rows, or columns where there are fewer of them,
/// one at random, times gain (Saxe et al. 2014).
Tensor orthogonal(Rng& rng, const Shape& shape, double gain = 1);
/// A matrix (rows, columns) that is normal with the deviation but for a share of each column, which is 0
/// (Martens 2010); the number of zeros is rounded up, as in PyTorch.
Tensor sparse(Rng& rng, const Shape& shape, double zeros, double deviation = 0.01);
/// A matrix with ones on its diagonal.
Tensor identity(std::int64_t rows, std::int64_t columns);

}  // namespace gradus::nn
