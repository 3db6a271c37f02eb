#pragma once

#include "tensor/support/list.hpp"
#include "tensor/tensor.hpp"

/// Cumulative sums and products along an axis, accumulated in double. They throw ShapeError for an axis out
/// of range; a scalar has axis 0.
namespace gradus {

struct CumsumOptions {
  bool reverse = false;  // y[i] = x[i] + ... + x[n-1] instead
};
/// y[i] = x[0] + ... + x[i] along the axis.
Tensor cumsum(const Tensor& x, int axis, CumsumOptions options = {});
/// y[i] = x[0] * ... * x[i] along the axis. What overflows or vanishes on the way may come back.
Tensor cumprod(const Tensor& x, int axis);
/// The derivative of cumprod along k directions of x's shape and dtype (ShapeError, DtypeError), for
/// gradients:
///   y[i] = the sum over all choices of k different places, one a direction, among 0..i, of the directions'
///   entries there times the product of x at the other places. Takes time in proportion to k 2^k.
Tensor cumprod_derivative(const Tensor& x, List<Tensor> directions, int axis);
/// The gradient of that with respect to x, g being the gradient of y. Without directions that of cumprod.
Tensor cumprod_gradient(const Tensor& g, const Tensor& x, List<Tensor> directions, int axis);

enum class Direction { forward, backward };
/// The linear recurrence along an axis, for a and b of equal shapes:
///   forward   y[i] = b[i] + a[i] y[i-1], with y[-1] = 0;
///   backward  y[i] = b[i] + a[i+1] y[i+1], with y[n] = 0: the adjoint of forward.
/// Throws ShapeError or DtypeError when those of a and b differ.
Tensor recurrence(const Tensor& a, const Tensor& b, int axis, Direction direction);
/// y[i] = x[i-1] along the axis, with y[0] = `first`.
Tensor shift(const Tensor& x, int axis, double first);

}  // namespace gradus
