#include "autograd/ops/reduction.hpp"

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/record.hpp"
#include "tensor/ops.hpp"

namespace gradus {

namespace {
/// x's shape with the axes reduced to length 1, so that it broadcasts back.
Shape kept_shape(Shape shape, std::span<const int> axes) {
  for (const int axis : axes) shape = shape.with(axis, 1);
  return shape;
}
}  // namespace

Variable sum(const Variable& x, Where where) {
  const Shape shape = x.shape();
  return record({"sum", where}, sum(x.value()),
                wrt(x, [shape](const Variable& g) { return broadcast_to(g, shape); }));
}

Variable sum(const Variable& x, std::span<const int> axes, bool keepdims, Where where) {
  Tensor value = sum(x.value(), axes, keepdims);
  const Shape shape = x.shape(), kept = kept_shape(shape, axes);
  return record({"sum", where}, std::move(value),
                wrt(x, [shape, kept](const Variable& g) { return broadcast_to(reshape(g, kept), shape); }));
}

Variable sum(const Variable& x, int axis, bool keepdims, Where where) {
  return sum(x, std::span<const int>(&axis, 1), keepdims, where);
}

Variable mean(const Variable& x, Where where) {
  return sum(x, where) * VariableOperand(1.0 / static_cast<double>(x.size()), where);
}

Variable mean(const Variable& x, int axis, bool keepdims, Where where) {
  const double count = static_cast<double>(x.dim(axis));
  return sum(x, axis, keepdims, where) * VariableOperand(1.0 / count, where);
}

Variable max(const Variable& x, int axis, bool keepdims, Where where) {
  const Tensor kept = max(x.value(), axis, true);
  const Shape kept_shape = kept.shape();
  Tensor value = keepdims ? kept : kept.reshape(kept_shape.erased(axis));
  return record({"max", where}, std::move(value), wrt(x, [x, kept, kept_shape, axis](const Variable& g) {
                  const Tensor largest = equal(x.value(), kept);
                  return reshape(g, kept_shape) * Variable(largest / sum(largest, axis, true));
                }));
}

Variable sum_to(const Variable& x, const Shape& shape, Where where) {
  if (x.shape() == shape) return x;
  const Shape from = x.shape();
  return record({"sum_to", where}, sum_to(x.value(), shape),
                wrt(x, [from](const Variable& g) { return broadcast_to(g, from); }));
}

Variable broadcast_to(const Variable& x, const Shape& shape, Where where) {
  if (x.shape() == shape) return x;
  return record({"broadcast_to", where}, broadcast_to(x.value(), shape),
                wrt(x, [](const Variable& g) { return g; }));
}

}  // namespace gradus
