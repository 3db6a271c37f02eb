#include "autograd/ops/vectors.hpp"

#include <cmath>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/record.hpp"
#include "tensor/ops.hpp"

namespace gradus {

namespace {

/// The gradient of cdist with respect to a, as detail::cdist_gradient, in differentiable ops: that of the
/// norm of all differences.
Variable cdist_slopes(const Variable& g, const Variable& a, const Variable& b, CdistOptions options) {
  const Variable apart = unsqueeze(a, -2) - unsqueeze(b, -3);  // (..., m, n, d)
  const double p = options.p;
  if (p == 0) return sum(apart * 0, {-2});
  const Tensor& v = apart.value();
  const Tensor zero = equal(v, 0);
  // y, and 1 where it is 0, so that nothing divides by that; the differences there are 0 too.
  const Variable y = norm(apart, {-1}, {.p = p, .keepdims = true});
  const Variable divisor = y + equal(y.value(), 0);
  const Variable outside = unsqueeze(g, -1);
  if (p == 2) return sum(outside * (apart / divisor), {-2});
  if (p == 1) return sum(outside * sign(v), {-2});
  if (std::isinf(p)) {
    const Tensor extreme = equal(abs(v), max(abs(v), {-1}, true));
    return sum(outside * (sign(v) * extreme / sum(extreme, -1, true)), {-2});
  }
  const Variable size = where(Variable(zero), 1, abs(apart)) / divisor;
  return sum(outside * (pow(size, p - 1) * sign(v)), {-2});
}

}  // namespace

Variable cross(const Variable& a, const Variable& b, int axis, Where where) {
  const InOp op("cross", where);
  Tensor value = cross(a.value(), b.value(), axis);
  const int from_end = detail::cross_axis(a.shape(), b.shape(), axis);
  return record(op, std::move(value),
                wrt(a, [b, from_end](const Variable& g) { return cross(b, g, from_end); }),
                wrt(b, [a, from_end](const Variable& g) { return cross(g, a, from_end); }));
}

Variable trace(const Variable& x, Where where) {
  const InOp op("trace", where);
  return record(op, trace(x.value()), wrt(x, [shape = x.shape()](const Variable& g) {
                  const std::int64_t shorter = std::min(shape[-2], shape[-1]);
                  const Variable ends = unsqueeze(g, -1);
                  return place_diagonal(broadcast_to(ends, ends.shape().with(-1, shorter)), shape);
                }));
}

Variable kron(const Variable& a, const Variable& b, Where where) {
  const InOp op("kron", where);
  const detail::KronShapes shapes(a.shape(), b.shape());
  const Variable blocks = mul(reshape(a, shapes.a, where), reshape(b, shapes.b, where), where);
  return reshape(blocks, shapes.result, where);
}

Variable cdist(const Variable& a, const Variable& b, CdistOptions options, Where where) {
  const InOp op("cdist", where);
  const Tensor y = cdist(a.value(), b.value(), options);
  return record(
      op, y,
      wrt(
          a, [a, b, options](const Variable& g) { return cdist_slopes(g, a, b, options); },
          [x = a.value(), z = b.value(), y, options](const Tensor& g) {
            return detail::cdist_gradient(g, x, z, y, options);
          }),
      wrt(
          b, [a, b, options](const Variable& g) { return cdist_slopes(transpose(g), b, a, options); },
          [x = a.value(), z = b.value(), y, options](const Tensor& g) {
            return detail::cdist_gradient(transpose(g), z, x, transpose(y), options);
          }));
}

}  // namespace gradus
