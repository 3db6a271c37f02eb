#pragma once

#include <cstdint>

#include "autograd/variable.hpp"
#include "tensor/indices.hpp"

namespace gradus {

/// How the losses of many targets become one number: their mean, their sum, or each by itself.
enum class Reduction { mean, sum, none };

struct CrossEntropyOptions {
  Reduction reduction = Reduction::mean;
  /// The share e of each target's probability that is spread evenly over all classes: with p = softmax the
  /// loss is -(1 - e) log p[target] - e mean(log p) (Szegedy et al. 2016, section 7).
  double label_smoothing = 0;
  /// A target of this value has loss 0 and no gradient, and does not count in the mean.
  std::int32_t ignore_index = -100;
  /// (classes): what each class's log-probability is multiplied by; undefined for 1. The mean is then taken
  /// over the targets' weights, as in PyTorch.
  Tensor weight = {};
};

/// -log_softmax(logits)[target] for each target, in nats. logits: (..., classes); targets: the same shape
/// without the last axis. Logits with NaN or +infinity give NaN, as log_softmax does. Throws ShapeError for
/// shapes that do not fit, for a target out of range, and for
/// the mean of no targets; ArgumentError for smoothing outside 0..1.
Variable cross_entropy(const Variable& logits, const Indices& targets, Reduction reduction = Reduction::mean,
                       Where where = Where::here());
Variable cross_entropy(const Variable& logits, const Indices& targets, const CrossEntropyOptions& options,
                       Where where = Where::here());

namespace detail {
/// -sum(target * log_softmax(logits)) over the last axis, in which a class of target 0 costs nothing; both
/// (..., classes). See nn::soft_cross_entropy.
Variable soft_cross_entropies(const Variable& logits, const Variable& target, Where where);
}  // namespace detail

struct LinearCrossEntropyOptions {
  Reduction reduction = Reduction::mean;
  /// A target of this value has loss 0 and no gradient, and does not count in the mean.
  std::int32_t ignore_index = -100;
  /// Logits are computed in chunks of as many rows as fit into this many bytes, but of at least 64.
  std::int64_t chunk_bytes = std::int64_t{64} << 20;
};

/// cross_entropy(linear(x, weight, bias), targets) of a large vocabulary: the logits, (targets, classes), are
/// never kept. Each chunk of them is turned into its own gradient in place, and multiplied into the gradients
/// of x, weight and bias at once; backward only scales these. So a recorded call costs as much as forward and
/// backward together, whether backward follows or not, and memory for logits does not grow with the number of
/// targets. With Reduction::none it is the composition above, as the gradient of each loss is then
/// not known beforehand.
///
/// x: (..., width); weight: (classes, width); bias: (classes), or default-made for none; targets: the shape
/// of x without the last axis. Throws as linear and cross_entropy do, and ArgumentError for chunk_bytes
/// below 1.
Variable linear_cross_entropy(const Variable& x, const Variable& weight, const Variable& bias,
                              const Indices& targets, const LinearCrossEntropyOptions& options = {},
                              Where where = Where::here());

}  // namespace gradus
