#pragma once

#include "tensor/tensor.hpp"

/// Sums and products of everything up to a place along an axis. Accumulated in double. Throw ShapeError for
/// an axis out of range; a scalar has axis 0.
namespace gradus {

struct CumsumOptions {
  bool reverse = false;  // from a place to the end instead
};
/// y[i] = x[0] + ... + x[i] along the axis.
Tensor cumsum(const Tensor& x, int axis, CumsumOptions options = {});
/// y[i] = x[0] ... x[i] along the axis.
Tensor cumprod(const Tensor& x, int axis);

enum class Direction { forward, backward };
/// The linear recurrence along an axis, a and b being of one shape:
///   forward   y[i] = b[i] + a[i] y[i-1], y before the first being 0;
///   backward  y[i] = b[i] + a[i+1] y[i+1], y behind the last being 0: the adjoint of forward.
Tensor recurrence(const Tensor& a, const Tensor& b, int axis, Direction direction);
/// x[i] moved to place i + 1 along the axis; the first is `first`.
Tensor shift(const Tensor& x, int axis, double first);

}  // namespace gradus
