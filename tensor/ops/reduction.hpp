#pragma once

#include <span>

#include "tensor/tensor.hpp"

/// Reductions, and broadcasting, the adjoint of summing.
namespace gradus {

/// The sum of all elements, or over the listed axes (kept with length 1 when keepdims).
Tensor sum(const Tensor& x);
Tensor sum(const Tensor& x, std::span<const int> axes, bool keepdims = false);
Tensor sum(const Tensor& x, int axis, bool keepdims = false);
Tensor mean(const Tensor& x);
/// The largest element along the axis. Throws ShapeError for an empty axis.
Tensor max(const Tensor& x, int axis, bool keepdims = false);
/// Sums x down to a shape that broadcasts to x's: the adjoint of broadcasting.
Tensor sum_to(const Tensor& x, const Shape& shape);
/// x repeated to a larger shape. Throws ShapeError unless x's shape broadcasts to it.
Tensor broadcast_to(const Tensor& x, const Shape& shape);

/// log(exp(x) / sum(exp(x))) over the last axis.
Tensor log_softmax(const Tensor& x);

}  // namespace gradus
