#pragma once

#include <optional>

#include "tensor/axes.hpp"
#include "tensor/indices.hpp"
#include "tensor/ops/elementwise.hpp"
#include "tensor/tensor.hpp"

/// Reductions over all axes, one, or several (`sum(x)`, `sum(x, -1)`, `sum(x, {0, -1})`), and broadcasting,
/// the adjoint of a sum. Reduced axes are removed, or with keepdims stay with length 1. For an axis out of
/// range or listed twice they throw ShapeError, naming the op. A single axis of max, min and norm stands in
/// braces too, `max(x, {0})`, as in `max(x, 0)` and `norm(x, 1)` the number could be something else.
namespace gradus {

/// The sum; 0 of no elements. The order of the additions depends on the shape alone. Partial sums of short
/// runs are added in double.
Tensor sum(const Tensor& x, const Axes& axes = {}, Keepdims keepdims = false);
/// The mean, also where the sum overflows; NaN of no elements.
Tensor mean(const Tensor& x, const Axes& axes = {}, Keepdims keepdims = false);
/// The product; 1 of no elements.
Tensor prod(const Tensor& x, const Axes& axes = {}, Keepdims keepdims = false);
/// The largest and the smallest element; NaN if there is any. Throw ShapeError when there are no elements.
Tensor max(const Tensor& x, const Axes& axes = {}, Keepdims keepdims = false);
Tensor min(const Tensor& x, const Axes& axes = {}, Keepdims keepdims = false);

struct VarOptions {
  /// The c of sum((x - mean)^2) / max(0, n - c), for n elements: 1 (Bessel's correction) for an unbiased
  /// estimate from a sample, 0 for the variance of the elements themselves.
  double correction = 1;
  bool keepdims = false;
};
/// The variance, from the deviations from the mean, of which what rounding left of the mean is taken away
/// again, so that nothing cancels; 0 of equal numbers. For n <= c it is infinite, or NaN where the elements
/// are equal, as in PyTorch.
Tensor var(const Tensor& x, const Axes& axes = {}, VarOptions options = {});
/// The standard deviation (torch.std): the square root of var, also where that overflows or underflows.
Tensor stddev(const Tensor& x, const Axes& axes = {}, VarOptions options = {});

struct NormOptions {
  /// The order p of (sum |x|^p)^(1/p); infinity means max |x|, -infinity min |x|, and 0 the number of
  /// elements that are not 0.
  double p = 2;
  bool keepdims = false;
};
/// The vector norm over the axes, also where a power on the way overflows or underflows. Throws ShapeError
/// for an infinite p when there are no elements.
Tensor norm(const Tensor& x, const Axes& axes = {}, NormOptions options = {});

namespace detail {
template <class X>
concept Reducible = ElementwiseOperand<X> && requires(const X& x) {
  x.dim(0);
};
/// What `max(a, b)` has for operands where it looks like the larger of the two.
template <class A, class B>
concept TwoReadings = (Reducible<A> && (Reducible<B> || PlainNumber<B>)) || (PlainNumber<A> && Reducible<B>);
}  // namespace detail

// Not possible: they say what to write instead.
template <class A, class B, class... Rest>
requires detail::TwoReadings<A, B> detail::ElementwiseResult<A, B> max(const A&, const B&, const Rest&...) {
  static_assert(
      detail::always_false<A, B>,
      "max(x, {0}) is the largest along axis 0, with the axis in braces, and maximum(a, b) the larger of "
      "two, element by element");
  return {};
}
template <class A, class B, class... Rest>
requires detail::TwoReadings<A, B> detail::ElementwiseResult<A, B> min(const A&, const B&, const Rest&...) {
  static_assert(
      detail::always_false<A, B>,
      "min(x, {0}) is the smallest along axis 0, with the axis in braces, and minimum(a, b) the smaller of "
      "two, element by element");
  return {};
}
template <detail::Reducible X, detail::PlainNumber Second, class... Rest>
detail::ElementwiseResult<X> norm(const X&, Second, const Rest&...) {
  static_assert(
      detail::always_false<X, Second>,
      "norm(x, {1}) is the norm along axis 1, with the axis in braces, and norm(x, {}, {.p = 1}) that of "
      "order 1");
  return {};
}

/// log(sum(exp(x))), shifted so that nothing overflows; -infinity of no elements, or if all are -infinity.
Tensor logsumexp(const Tensor& x, const Axes& axes = {}, Keepdims keepdims = false);

/// 1 if any (every) element is not 0, else 0. NaN is not 0. Of no elements, any is 0 and all is 1.
Tensor any(const Tensor& x, const Axes& axes = {}, Keepdims keepdims = false);
Tensor all(const Tensor& x, const Axes& axes = {}, Keepdims keepdims = false);

/// The position of the first largest (smallest) element along an axis; NaN counts as larger (smaller) than
/// all others. Without an axis, the position in row-major order, of rank 0. Throw ShapeError if it is empty.
Indices argmax(const Tensor& x, OptionalAxis axis = {}, Keepdims keepdims = false);
Indices argmin(const Tensor& x, OptionalAxis axis = {}, Keepdims keepdims = false);

namespace detail {
/// How the gradient g of the extreme y of x along the axes falls on x: evenly on the elements that equal it.
/// g and y have the axes at length 1.
Tensor shared_out(const Tensor& g, const Tensor& x, const Tensor& y, const Axes& axes);
}  // namespace detail

/// Sums x over the axes that `shape` lacks or has at length 1: the adjoint of broadcast_to.
Tensor sum_to(const Tensor& x, const Shape& shape);
/// x broadcast to a larger shape (PyTorch's expand). Throws ShapeError unless x's shape broadcasts to it.
Tensor broadcast_to(const Tensor& x, const Shape& shape);

}  // namespace gradus
