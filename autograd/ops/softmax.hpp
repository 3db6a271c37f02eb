#pragma once

#include <cstdint>

#include "autograd/variable.hpp"
#include "tensor/indices.hpp"

namespace gradus {

/// log(exp(x) / sum(exp(x))) along an axis, the last by default, computed without overflow. NaN where the
/// axis holds NaN, +infinity, or nothing but -infinity. Throws ShapeError for an axis out of range; a
/// scalar has axis 0.
Variable log_softmax(const Variable& x, int axis = -1, Where where = Where::here());
/// exp(x) / sum(exp(x)), likewise.
Variable softmax(const Variable& x, int axis = -1, Where where = Where::here());

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
/// without the last axis. Throws ShapeError for shapes that do not fit, for a target out of range, and for
/// the mean of no targets; ArgumentError for smoothing outside 0..1.
Variable cross_entropy(const Variable& logits, const Indices& targets, Reduction reduction = Reduction::mean,
                       Where where = Where::here());
Variable cross_entropy(const Variable& logits, const Indices& targets, const CrossEntropyOptions& options,
                       Where where = Where::here());

}  // namespace gradus
