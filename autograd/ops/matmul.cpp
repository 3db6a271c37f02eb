#include "autograd/ops/matmul.hpp"

#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/record.hpp"

namespace gradus {

namespace {

/// (..., width) as (rows, width)
Variable flat(const Variable& x) {
  return reshape(x, {x.size() / x.dim(-1), x.dim(-1)});
}
Tensor flat(const Tensor& x) {
  return x.reshape({x.size() / x.dim(-1), x.dim(-1)});
}
bool has_rows(const Variable& x) {
  return x.size() > 0;
}

/// The product for operands of rank 2 and up; the gradient of each is another product.
Variable product(const Variable& a, const Variable& b, MatmulOptions t, Where where) {
  return record({"matmul", where}, matmul(a.value(), b.value(), t),
                wrt(a,
                    [b, t](const Variable& g) {
                      return t.transpose_a ? matmul(b, g, {.transpose_a = t.transpose_b, .transpose_b = true})
                                           : matmul(g, b, {.transpose_b = !t.transpose_b});
                    }),
                wrt(b, [a, t](const Variable& g) {
                  return t.transpose_b ? matmul(g, a, {.transpose_a = true, .transpose_b = t.transpose_a})
                                       : matmul(a, g, {.transpose_a = !t.transpose_a});
                }));
}

}  // namespace

Variable matmul(const Variable& a, const Variable& b, MatmulOptions options, Where where) {
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
  Tensor value = linear(x.value(), weight.value(), bias.value());
  const Shape weight_shape = weight.shape();
  return record({"linear", where}, std::move(value),
                wrt(x, [weight](const Variable& g) { return matmul(g, weight); }),
                wrt(
                    weight,
                    [x, weight_shape](const Variable& g) {
                      if (!has_rows(x) || !has_rows(g)) return Variable(zeros(weight_shape, x.dtype()));
                      return matmul(flat(g), flat(x), {.transpose_a = true});
                    },
                    [x](const Tensor& g, Tensor& sum) {
                      if (!has_rows(x) || g.size() == 0) return;
                      add_matmul(sum, flat(g), flat(x.value()), {.transpose_a = true});
                    }),
                wrt(bias, [](const Variable& g) { return g; }));
}

}  // namespace gradus
