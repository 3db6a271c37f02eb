#include "autograd/ops/softmax.hpp"

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/indexing.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/record.hpp"
#include "tensor/ops.hpp"

namespace gradus {

namespace {

/// g, taken from that of the likeliest element of each row where one of a row is nearly 1. The sum of g y is
/// near to its g then, and little is left of their difference.
Variable from_likeliest(const Variable& g, const Tensor& y, int axis) {
  if (any(greater(y, 0.5)).item() == 0) return g;
  return g - unsqueeze(pick(g, axis, argmax(y, axis)), axis);
}

}  // namespace

Variable log_softmax(const Variable& x, int axis, Where where) {
  const InOp op("log_softmax", where);
  if (x.rank() == 0) return reshape(log_softmax(reshape(x, {1}, where), axis, where), Shape{}, where);
  const Tensor value = log_softmax(x.value(), axis);
  return record(
      op, value,
      wrt(
          x,
          [axis](const Variable& g, const Variable& y) {  // g - p sum(g), also where p = exp(y) rounds to 1
            return -(g * expm1(y)) - exp(y) * (sum(g, axis, true) - g);
          },
          [value, axis](const Tensor& g) { return log_softmax_backward(g, value, axis); }));
}

Variable softmax(const Variable& x, int axis, Where where) {
  const InOp op("softmax", where);
  if (x.rank() == 0) return reshape(softmax(reshape(x, {1}, where), axis, where), Shape{}, where);
  const Tensor value = softmax(x.value(), axis);
  return record(op, value,
                wrt(
                    x,
                    [axis](const Variable& g, const Variable& y) {
                      const Variable d = from_likeliest(g, y.value(), axis);
                      return y * (d - sum(d * y, axis, true));
                    },
                    [value, axis](const Tensor& g) { return softmax_backward(g, value, axis); }));
}

}  // namespace gradus
