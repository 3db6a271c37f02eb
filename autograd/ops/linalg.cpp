#include "autograd/ops/linalg.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/einsum.hpp"
#include "autograd/ops/matmul.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/record.hpp"
#include "tensor/ops.hpp"

namespace gradus {

namespace {

/// (...) as (..., 1): an axis put in before `from_end` others.
Variable with_axis(const Variable& x, int from_end = 0) {
  return reshape(x, x.shape().inserted(x.rank() - from_end, 1));
}

/// A constant (n, n) of 1 under the diagonal, 1/2 on it and 0 over it.
Variable half_triangle(std::int64_t n, Dtype dtype) {
  Tensor out = Tensor::uninitialized({n, n}, dtype);
  visit_dtype(dtype, [&](auto tag) {
    using T = decltype(tag);
    T* to = out.mutable_data<T>();
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 0; j < n; ++j) *to++ = static_cast<T>(i > j ? 1 : i == j ? 0.5 : 0);
    }
  });
  return Variable(std::move(out));
}

/// The gradient with respect to a of x with a x = b (or a^T x = b): minus the outer product of the gradient
/// of b and x, summed over the right sides.
Variable solved_gradient(const Variable& b_gradient, const Variable& x, bool transposed) {
  return transposed ? -matmul(x, b_gradient, {.transpose_b = true})
                    : -matmul(b_gradient, x, {.transpose_b = true});
}

Variable triangular(const Variable& a, const Variable& b, TriangularOptions o, Where where) {
  const InOp op("triangular_solve", where);
  TriangularOptions back = o;
  back.transpose = !o.transpose;
  return record(
      op, triangular_solve(a.value(), b.value(), o),
      wrt(a,
          [a, o, back](const Variable& g, const Variable& x) {
            const Variable full = solved_gradient(triangular(a, g, back, Where::here()), x, o.transpose);
            return o.upper ? triu(full, o.unit_diagonal ? 1 : 0) : tril(full, o.unit_diagonal ? -1 : 0);
          }),
      wrt(b, [a, back](const Variable& g) { return triangular(a, g, back, Where::here()); }));
}

/// x with a x = b (or a^T x = b), b a matrix, by the factors of a, which serve every derivative too.
Variable solve_factored(const Variable& a, const LuFactors& factors, const Variable& b, bool transposed,
                        Where where) {
  const InOp op("solve", where);
  return record(op, lu_solve(factors, b.value(), transposed),
                wrt(a,
                    [a, factors, transposed](const Variable& g, const Variable& x) {
                      const Variable b_gradient = solve_factored(a, factors, g, !transposed, Where::here());
                      return solved_gradient(b_gradient, x, transposed);
                    }),
                wrt(b, [a, factors, transposed](const Variable& g) {
                  return solve_factored(a, factors, g, !transposed, Where::here());
                }));
}

/// A vector as one column, and back.
template <class Solve>
Variable with_columns(const Variable& b, Solve&& solve) {
  if (b.rank() != 1) return solve(b);
  const Variable x = solve(with_axis(b));
  return reshape(x, x.shape().erased(-1));
}

/// Whether every matrix is far enough from a singular one to differentiate its inverse: beyond, what cancels
/// in the derivatives of det(a) a^-T leaves less than three digits.
bool is_regular(const Tensor& a) {
  const std::int64_t n = a.dim(-1);
  const LuFactors factors = lu_factor(a, "det");
  const double eps = a.dtype() == Dtype::f32 ? std::numeric_limits<float>::epsilon()
                                             : std::numeric_limits<double>::epsilon();
  for (std::int64_t begin = 0; n > 0 && begin < a.size(); begin += n * n) {
    double smallest = std::numeric_limits<double>::infinity(), largest = 0;
    for (std::int64_t row = 0; row < n; ++row) {
      const double pivot = std::abs(factors.lu.at(begin + row * (n + 1)));
      smallest = std::min(smallest, pivot);
      largest = std::max(largest, pivot);
    }
    if (smallest <= 1000 * eps * largest) return false;
  }
  return true;
}

/// The cofactors of a in differentiable ops. Where one of a's matrices is singular, or nearly: the
/// determinants of all minors, (..., n, n, n - 1, n - 1).
Variable cofactors(const Variable& a) {
  const std::int64_t n = a.dim(-1);
  if (is_regular(a.value())) return with_axis(with_axis(det(a))) * transpose(inverse(a));
  // kept[i]: the identity without row i
  Tensor kept = zeros({n, n - 1, n}, a.dtype()), signs = zeros({n, n}, a.dtype());
  visit_dtype(a.dtype(), [&](auto tag) {
    using T = decltype(tag);
    T* const rows = kept.mutable_data<T>();
    T* const to = signs.mutable_data<T>();
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 0; j < n; ++j) {
        to[i * n + j] = (i + j) % 2 == 0 ? T{1} : T{-1};
        if (j < n - 1) rows[(i * (n - 1) + j) * n + j + (j >= i ? 1 : 0)] = T{1};
      }
    }
  });
  const Variable without(kept);
  return det(einsum("ipq,...qr,jsr->...ijps", {without, a, without})) * Variable(signs);
}

/// The gradient of log|det(a)|: a^-T.
auto log_gradient(const Variable& a) {
  return [a](const Variable& g) { return with_axis(with_axis(g)) * transpose(inverse(a)); };
}

}  // namespace

Variable dot(const Variable& a, const Variable& b, Where where) {
  const InOp op("dot", where);
  return record(op, dot(a.value(), b.value()), wrt(a, [b](const Variable& g) { return with_axis(g) * b; }),
                wrt(b, [a](const Variable& g) { return with_axis(g) * a; }));
}

Variable outer(const Variable& a, const Variable& b, Where where) {
  const InOp op("outer", where);
  return record(op, outer(a.value(), b.value()),
                wrt(a, [b](const Variable& g) { return dot(g, with_axis(b, 1)); }),
                wrt(b, [a](const Variable& g) { return dot(transpose(g), with_axis(a, 1)); }));
}

Variable cholesky(const Variable& a, CholeskyOptions options, Where where) {
  const InOp op("cholesky", where);
  const Variable lower = record(
      op, cholesky(a.value()),
      // L^-T S L^-1 with S the symmetric part of Phi(L^T g), where Phi takes the lower triangle and half of
      // the diagonal.
      wrt(a, [](const Variable& g, const Variable& l) {
        const std::int64_t n = l.dim(-1);
        const Variable phi = matmul(l, g, {.transpose_a = true}) * half_triangle(n, l.dtype());
        const Variable symmetric = (phi + transpose(phi)) * 0.5;
        const TriangularOptions by_transpose{.transpose = true};
        return triangular_solve(l, transpose(triangular_solve(l, symmetric, by_transpose)), by_transpose);
      }));
  return options.upper ? transpose(lower, -2, -1, where) : lower;
}

Variable triangular_solve(const Variable& a, const Variable& b, TriangularOptions options, Where where) {
  return with_columns(b, [&](const Variable& right) { return triangular(a, right, options, where); });
}

Variable solve(const Variable& a, const Variable& b, Where where) {
  const InOp op("solve", where);
  const LuFactors factors = lu_factor(a.value(), "solve");
  return with_columns(b,
                      [&](const Variable& right) { return solve_factored(a, factors, right, false, where); });
}

Variable inverse(const Variable& a, Where where) {
  const InOp op("inverse", where);
  return record(op, inverse(a.value()), wrt(a, [](const Variable& g, const Variable& y) {
                  return -matmul(matmul(y, g, {.transpose_a = true}), y, {.transpose_b = true});
                }));
}

Variable det(const Variable& a, Where where) {
  const InOp op("det", where);
  return record(op, det(a.value()),
                wrt(
                    a, [a](const Variable& g) { return with_axis(with_axis(g)) * cofactors(a); },
                    [a](const Tensor& g) {
                      const int rank = g.rank();
                      return g.reshape(g.shape().inserted(rank, 1).inserted(rank + 1, 1)) *
                             cofactors(a.value());
                    }));
}

SignAndLog<Variable> slogdet(const Variable& a, Where where) {
  const InOp op("slogdet", where);
  SignAndLog<Tensor> parts = slogdet(a.value());
  return {std::move(parts.sign), record(op, std::move(parts.log_abs), wrt(a, log_gradient(a)))};
}

Variable logdet(const Variable& a, Where where) {
  const InOp op("logdet", where);
  return record(op, logdet(a.value()), wrt(a, log_gradient(a)));
}

}  // namespace gradus
