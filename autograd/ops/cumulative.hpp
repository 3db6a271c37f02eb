#pragma once

#include <algorithm>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/record.hpp"
#include "tensor/ops/cumulative.hpp"
#include "tensor/ops/movement.hpp"

/// Running sums and products, and differences, along an axis (negative axes count from the end). All throw
/// ShapeError for an axis out of range.
namespace gradus {

/// y[i] = x[0] + ... + x[i] along the axis; with `.reverse`, from i to the end.
Variable cumsum(const Variable& x, int axis, CumsumOptions options = {}, Where where = Where::here());
/// y[i] = x[0] ... x[i] along the axis. The gradient does not divide, so zeros are no problem.
Variable cumprod(const Variable& x, int axis, Where where = Where::here());
/// The linear recurrence along an axis (see tensor/ops/cumulative.hpp): y[i] = b[i] + a[i] y[i-1], or
/// backward y[i] = b[i] + a[i+1] y[i+1]. Each is the gradient of the other with respect to b.
Variable recurrence(const Variable& a, const Variable& b, int axis, Direction direction = Direction::forward,
                    Where where = Where::here());
/// x[i] moved to place i + 1 along the axis, the last dropped; the first is the given number.
Variable shift(const Variable& x, int axis, double first = 0, Where where = Where::here());
/// x[i + 1] - x[i] along the axis, whose length n becomes max(0, n - 1).
inline Variable diff(const Variable& x, int axis = -1, Where where = Where::here()) {
  const InOp op("diff", where);
  const Tensor v = x.value();
  const std::int64_t n = v.dim(axis), rest = std::max<std::int64_t>(0, n - 1);
  return record(op, slice(v, axis, n - rest, n) - slice(v, axis, 0, rest),
                wrt(x, [shape = v.shape(), axis, begin = n - rest](const Variable& g) {
                  return place_slice(g, shape, axis, begin) - place_slice(g, shape, axis, 0);
                }));
}

}  // namespace gradus
