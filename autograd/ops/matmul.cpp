#include "autograd/ops/matmul.hpp"

#include "autograd/compact.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/record.hpp"

namespace gradus {

namespace {

/// (..., width) as (rows, width)
Shape flat(const Shape& shape) {
  std::int64_t rows = 1;
  for (int axis = 0; axis + 1 < shape.rank(); ++axis) rows *= shape[axis];
  return {rows, shape[-1]};
}
Variable flat(const Variable& x) {
  return reshape(x, flat(x.shape()));
}
Tensor flat(const Tensor& x) {
  return x.reshape(flat(x.shape()));
}

/// The product for operands of rank 2 and up; the gradient of each is another product.
Variable product(const Variable& a, const Variable& b, MatmulOptions t, Where where) {
  const InOp op("matmul", where);
  Tensor value = matmul(a.value(), b.value(), t);
  // A matrix that serves a whole batch: the sum over the batch is one product, like the forward.
  const bool shared = b.rank() == 2 && a.rank() > 2 && !t.transpose_a;
  const Shape of_result = value.shape();
  const int rank = of_result.rank();
  return record(op, std::move(value),
                wrt(a, batching([b, t](const Variable& g) {
                      return t.transpose_a ? matmul(b, g, {.transpose_a = t.transpose_b, .transpose_b = true})
                                           : matmul(g, b, {.transpose_b = !t.transpose_b});
                    })),
                wrt(b, batching([a, t, shared, rank, of_result](const Variable& g) {
                      const Variable left = shared ? flat(a) : a;
                      const Variable up = shared ? reshape(g, batched(g, rank, flat(of_result))) : g;
                      return t.transpose_b
                                 ? matmul(up, left, {.transpose_a = true, .transpose_b = t.transpose_a})
                                 : matmul(left, up, {.transpose_a = !t.transpose_a});
                    })));
}

}  // namespace

Variable matmul(const Variable& a, const Variable& b, MatmulOptions options, Where where) {
  const InOp op("matmul", where);
  if (!a.value().defined() || !b.value().defined()) matmul(a.value(), b.value(), options);  // throws
  if (a.rank() >= 2 && b.rank() >= 2) return product(a, b, options, where);
  if (a.rank() == 0 || b.rank() == 0) matmul(a.value(), b.value(), options);  // throws
  const Variable left = a.rank() == 1 ? reshape(a, {1, a.dim(0)}, where) : a;
  const Variable right = b.rank() == 1 ? reshape(b, {b.dim(0), 1}, where) : b;
  if (a.rank() == 1) options.transpose_a = false;
  if (b.rank() == 1) options.transpose_b = false;
  const Variable full = product(left, right, options, where);
  Shape shape = full.shape();
  if (b.rank() == 1) shape = shape.erased(-1);
  if (a.rank() == 1) shape = shape.erased(b.rank() == 1 ? -1 : -2);
  return reshape(full, shape, where);
}

Variable linear(const Variable& x, const Variable& weight, const Variable& bias, Where where) {
  const InOp op("linear", where);
  detail::refuse_recording(weight);
  Tensor value = linear(x.value(), weight.value(), bias.value());
  return record(
      op, std::move(value), wrt(x, batching([weight](const Variable& g) { return matmul(g, weight); })),
      wrt(
          weight, [x](const Variable& g) { return matmul(flat(g), flat(x), {.transpose_a = true}); },
          [x](const Tensor& g) { return matmul(flat(g), flat(x.value()), {.transpose_a = true}); },
          [x](const Tensor& g, Tensor& sum) {
            add_matmul(sum, flat(g), flat(x.value()), {.transpose_a = true});
          }),
      wrt(bias, batching([](const Variable& g) { return g; })));
}

}  // namespace gradus
