#pragma once

// Internal: normalisations by their statistics, for autograd/ops/norm.cpp.

#include <cstdint>

#include "tensor/tensor.hpp"

namespace gradus::detail {

/// What has one mean and one deviation. x is seen as (batch, channels, inner), where for rows `inner` is 1.
enum class NormOver {
  rows,      // each batch entry; weight and bias have an entry a channel
  groups,    // the channels of a group of a batch entry, with their inner elements
  channels,  // a channel of all batch entries
};

struct NormLengths {
  NormOver over = NormOver::rows;
  std::int64_t batch = 1, channels = 1, inner = 1;
  std::int64_t groups = 1;  // of channels, for NormOver::groups
  bool fixed = false;       // the statistics are constants, and not those of x
  bool centred = true;      // or without subtracting the mean, as RMS normalisation
  double eps = 0;

  /// How many statistics there are, and of how many elements each is one.
  std::int64_t sets() const {
    return over == NormOver::rows ? batch : over == NormOver::groups ? batch * groups : channels;
  }
  std::int64_t set_size() const { return batch * channels * inner / (sets() > 0 ? sets() : 1); }
};

struct NormStatistics {
  Tensor mean;      // (sets); 0 when not centred
  Tensor variance;  // (sets), of the elements themselves, or their mean square when not centred
  Tensor inverse;   // (sets), 1 / sqrt(variance + eps)
  /// Whether the variances, and the powers of them down to -3/2 that gradients take, are in f32's range.
  bool in_range = true;
};
/// set_size() is not 0.
NormStatistics norm_statistics(const NormLengths& lengths, const Tensor& x);

/// (x - mean) * inverse * weight + bias; weight and bias may be undefined.
Tensor normalized(const NormLengths& lengths, const NormStatistics& statistics, const Tensor& x,
                  const Tensor& weight, const Tensor& bias);

struct NormGradients {
  Tensor x, weight, bias;  // weight, bias: (channels)
};
/// The gradients, for g that of the result. That of the weight is one even where the weight is undefined.
NormGradients norm_gradients(const NormLengths& lengths, const NormStatistics& statistics, const Tensor& g,
                             const Tensor& x, const Tensor& weight);

}  // namespace gradus::detail
