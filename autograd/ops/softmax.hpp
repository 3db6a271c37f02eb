#pragma once

#include "autograd/variable.hpp"
#include "tensor/indices.hpp"

namespace gradus {

/// log(exp(x) / sum(exp(x))) over the last axis, computed without overflow.
Variable log_softmax(const Variable& x, Where where = Where::here());
/// exp(x) / sum(exp(x)) over the last axis.
Variable softmax(const Variable& x, Where where = Where::here());

/// How the losses of many targets become one number: their mean, their sum, or each by itself.
enum class Reduction { mean, sum, none };

/// -log_softmax(logits)[target] for each target, in nats. logits: (..., classes); targets: the same shape
/// without the last axis. Throws ShapeError for shapes that do not fit and for a target out of range, and for
/// the mean of no targets.
Variable cross_entropy(const Variable& logits, const Indices& targets, Reduction reduction = Reduction::mean,
                       Where where = Where::here());

}  // namespace gradus
