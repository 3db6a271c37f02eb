#include "autograd/ops/cumulative.hpp"

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/record.hpp"
#include "tensor/ops.hpp"

namespace gradus {

Variable cumsum(const Variable& x, int axis, CumsumOptions options, Where where) {
  const InOp op("cumsum", where);
  Tensor value = cumsum(x.value(), axis, options);
  return record(op, std::move(value), wrt(x, [axis, options](const Variable& g) {
                  return cumsum(g, axis, {.reverse = !options.reverse});
                }));
}

Variable cumprod(const Variable& x, int axis, Where where) {
  const InOp op("cumprod", where);
  const Tensor value = cumprod(x.value(), axis);
  // dx[i] = (the product of all before i) * s[i], where s[i] = g[i] + x[i+1] s[i+1].
  return record(op, value,
                wrt(
                    x,
                    [x, axis](const Variable& g, const Variable& y) {
                      return shift(y, axis, 1) * recurrence(x, g, axis, Direction::backward);
                    },
                    [factors = x.value(), value, axis](const Tensor& g) {
                      return shift(value, axis, 1) * recurrence(factors, g, axis, Direction::backward);
                    }));
}

Variable recurrence(const Variable& a, const Variable& b, int axis, Direction direction, Where where) {
  const InOp op("recurrence", where);
  Tensor value = recurrence(a.value(), b.value(), axis, direction);
  const bool forward = direction == Direction::forward;
  const Direction other = forward ? Direction::backward : Direction::forward;
  // With s the gradient of b: forward a[i] stands with y[i-1] s[i], backward with s[i-1] y[i].
  return record(op, std::move(value),
                wrt(a,
                    [a, axis, forward, other](const Variable& g, const Variable& y) {
                      const Variable s = recurrence(a, g, axis, other);
                      return forward ? shift(y, axis) * s : shift(s, axis) * y;
                    }),
                wrt(b, [a, axis, other](const Variable& g) { return recurrence(a, g, axis, other); }));
}

Variable shift(const Variable& x, int axis, double first, Where where) {
  const InOp op("shift", where);
  if (x.rank() == 0) return reshape(shift(reshape(x, {1}, where), axis, first, where), Shape{}, where);
  Tensor value = shift(x.value(), axis, first);
  const Shape shape = x.shape();
  const std::int64_t length = x.dim(axis);
  return record(op, std::move(value), wrt(x, [shape, axis, length](const Variable& g) {
                  if (length == 0) return g;
                  return place_slice(slice(g, axis, 1, length), shape, axis, 0);
                }));
}

}  // namespace gradus
