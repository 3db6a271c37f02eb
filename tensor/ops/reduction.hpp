#pragma once

#include "tensor/axes.hpp"
#include "tensor/indices.hpp"
#include "tensor/tensor.hpp"

/// Reductions, and broadcasting, the adjoint of summing. Each works over all axes, one, or several: `sum(x)`,
/// `sum(x, -1)`, `sum(x, {0, -1})`; reduced axes are dropped, or kept with length 1 when keepdims. Throw
/// ShapeError naming the op for an axis out of range or named twice.
namespace gradus {

/// The sum; 0 over nothing. Combined by a tree that the shape fixes, beyond short runs in double.
Tensor sum(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
/// The mean; NaN over nothing.
Tensor mean(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
/// The product; 1 over nothing.
Tensor prod(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
/// The largest and the smallest; NaN wins. Throw ShapeError over nothing.
Tensor max(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
Tensor min(const Tensor& x, const Axes& axes = {}, bool keepdims = false);

struct VarOptions {
  /// Taken from the number of elements n in sum((x - mean)^2) / max(0, n - correction): 1, Bessel's, for an
  /// unbiased estimate from a sample; 0 for the variance of the numbers themselves.
  double correction = 1;
  bool keepdims = false;
};
/// The variance, from the deviations of the mean (two passes, so nothing cancels). NaN over no more than
/// `correction` elements that are equal, as in PyTorch.
Tensor var(const Tensor& x, const Axes& axes = {}, VarOptions options = {});
/// The standard deviation (torch.std): the root of var.
Tensor stddev(const Tensor& x, const Axes& axes = {}, VarOptions options = {});

struct NormOptions {
  /// The order: (sum |x|^p)^(1/p); infinity for max |x|, -infinity for min |x|, 0 for how many are not 0.
  double p = 2;
  bool keepdims = false;
};
/// The vector norm over the axes. Throws ShapeError for an infinite p over nothing.
Tensor norm(const Tensor& x, const Axes& axes = {}, NormOptions options = {});

/// 1 where any element is not 0 (NaN is not), else 0; and 1 where all are not. Over nothing 0, and 1.
Tensor any(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
Tensor all(const Tensor& x, const Axes& axes = {}, bool keepdims = false);

/// The first place of the largest and of the smallest along an axis; NaN counts as beyond all. Without an
/// axis the place in x taken as one row, of rank 0. Throw ShapeError for an empty axis.
Indices argmax(const Tensor& x, int axis, bool keepdims = false);
Indices argmax(const Tensor& x);
Indices argmin(const Tensor& x, int axis, bool keepdims = false);
Indices argmin(const Tensor& x);

/// x summed down to a shape that broadcasts to x's: the adjoint of broadcasting.
Tensor sum_to(const Tensor& x, const Shape& shape);
/// x repeated to a larger shape. Throws ShapeError unless x's shape broadcasts to it.
Tensor broadcast_to(const Tensor& x, const Shape& shape);

}  // namespace gradus
