#pragma once

#include "autograd/variable.hpp"

/// Normalisations, each one node with a fused gradient; differentiable to any order. A default-made weight or
/// bias is none. Right also where variances leave the dtype's range. They throw ShapeError for shapes that do
/// not fit, DtypeError for different dtypes and ArgumentError unless eps is above 0. The layers of
/// nn/norm.hpp hold the weights.
namespace gradus {

/// (x - mean) / sqrt(variance + eps) * weight + bias over the last axes of x, whose lengths are `over`;
/// weight and bias have that shape. The variance is that of the elements themselves (Ba, Kiros and Hinton
/// 2016).
Variable layer_norm(const Variable& x, const Shape& over, const Variable& weight = Variable(),
                    const Variable& bias = Variable(), double eps = 1e-5, Where where = Where::here());

/// x / sqrt(mean(x^2) + eps) * weight over the last axes of x, whose lengths are `over` (Zhang and Sennrich
/// 2019).
Variable rms_norm(const Variable& x, const Shape& over, const Variable& weight, double eps,
                  Where where = Where::here());

/// The same as layer_norm over each of `groups` groups of channels, x being (batch, channels, ...); weight
/// and bias: (channels) (Wu and He 2018).
Variable group_norm(const Variable& x, std::int64_t groups, const Variable& weight = Variable(),
                    const Variable& bias = Variable(), double eps = 1e-5, Where where = Where::here());

/// What each channel is normalised by: (channels).
struct ChannelStatistics {
  Tensor mean, variance;
};
struct BatchNormResult {
  Variable y;
  ChannelStatistics statistics;  // of x; the variance is that of the elements themselves
};
/// The same over each channel of a batch, x being (batch, channels, ...) (Ioffe and Szegedy 2015).
BatchNormResult batch_norm(const Variable& x, const Variable& weight = Variable(),
                           const Variable& bias = Variable(), double eps = 1e-5, Where where = Where::here());
/// The same by given statistics, as in evaluation; no gradient flows to them.
Variable batch_norm(const Variable& x, const ChannelStatistics& statistics, const Variable& weight,
                    const Variable& bias, double eps = 1e-5, Where where = Where::here());

}  // namespace gradus
