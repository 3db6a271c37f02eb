#include "autograd/ops/cumulative.hpp"

#include <algorithm>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/record.hpp"
#include "tensor/ops.hpp"

namespace gradus {

Variable cumsum(const Variable& x, int axis, CumsumOptions options, Where where) {
  const InOp op("cumsum", where);
  return record(op, cumsum(x.value(), axis, options), wrt(x, [axis, options](const Variable& g) {
                  return cumsum(g, axis, {.reverse = !options.reverse});
                }));
}

Variable cumprod(const Variable& x, int axis, Where where) {
  const InOp op("cumprod", where);
  const Tensor value = cumprod(x.value(), axis);
  // dx[i] = (the product of all before i) * s[i], where s[i] = g[i] + x[i+1] s[i+1].
  const auto gradient = [axis](const auto& y, const auto& factors, const auto& g) {
    return shift(y, axis, 1) * recurrence(factors, g, axis, Direction::backward);
  };
  return record(op, value,
                wrt(
                    x, [=](const Variable& g, const Variable& y) { return gradient(y, x, g); },
                    [=, factors = x.value()](const Tensor& g) { return gradient(value, factors, g); }));
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

Variable diff(const Variable& x, int axis, Where where) {
  const InOp op("diff", where);
  const Tensor v = x.value();
  const std::int64_t n = v.dim(axis), rest = std::max<std::int64_t>(0, n - 1);
  return record(op, slice(v, axis, n - rest, n) - slice(v, axis, 0, rest),
                wrt(x, [shape = v.shape(), axis, begin = n - rest](const Variable& g) {
                  return place_slice(g, shape, axis, begin) - place_slice(g, shape, axis, 0);
                }));
}

}  // namespace gradus
