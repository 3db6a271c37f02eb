#include "autograd/ops/decompositions.hpp"

#include <array>
#include <vector>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/linalg.hpp"
#include "autograd/ops/matmul.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/record.hpp"
#include "tensor/ops.hpp"

// Each gradient is written once, as a template: over Tensors for a plain sweep, with the results that were
// computed, and over Variables for a recorded one, which decomposes the matrix anew, as an op on the tape.

namespace gradus {

namespace {

using detail::value_of;

template <class X>
bool is_there(const X& g) {
  return value_of(g).defined();
}

template <class X>
X skew(const X& x) {
  return x - transpose(x);
}
/// (..., k) as (..., k, 1) and (..., 1, k).
template <class X>
X as_column(const X& s) {
  return unsqueeze(s, -1);
}
template <class X>
X as_row(const X& s) {
  return unsqueeze(s, -2);
}

/// (..., k) as diagonal matrices (..., k, k).
template <class X>
X as_diagonal(const X& s) {
  return as_column(s) * eye(s.dim(-1), s.dtype());
}

/// A gradient, or zeros where nothing depends on that result.
template <class X>
X or_zeros(const X& g, const X& like) {
  return is_there(g) ? g : X(zeros_like(value_of(like)));
}

/// With X = skew(u^T gu) and Y = skew(v^T gv), what stands between u and vt in the gradient (Townsend,
/// equations 20 to 22) is the matrix of (X_ij s_j + s_i Y_ij) / (s_j^2 - s_i^2) with gs on its diagonal. It
/// is written as halves of (X + Y) / (s_j - s_i) and (X - Y) / (s_j + s_i), which do not cancel where s_i and
/// s_j are near.
template <class X>
X svd_gradient(std::span<const X> g, const X& u, const X& s, const X& vt) {
  const std::int64_t m = u.dim(-2), n = vt.dim(-1), k = s.dim(-1);
  const bool of_vectors = is_there(g[0]) || is_there(g[2]);
  X inner = as_diagonal(or_zeros(g[1], s));
  if (!of_vectors) return matmul(matmul(u, inner), vt);
  const X gu = or_zeros(g[0], u), gvt = or_zeros(g[2], vt);
  const X from_u = matmul(u, gu, {.transpose_a = true}), from_v = matmul(vt, gvt, {.transpose_b = true});
  const X x = skew(from_u), y = skew(from_v);
  const X apart = as_row(s) - as_column(s), together = as_row(s) + as_column(s);
  // On the diagonal x and y are 0, whatever they are divided by.
  const Tensor one = eye(k, s.dtype());
  inner = inner + ((x + y) / (apart + one) + (x - y) / (together + one)) * 0.5;
  X total = matmul(matmul(u, inner), vt);
  // What leaves the space that the vectors span.
  if (is_there(g[0]) && m > k) total = total + matmul((gu - matmul(u, from_u)) / as_row(s), vt);
  if (is_there(g[2]) && n > k)
    total = total + matmul(u, (gvt - matmul(from_v, vt, {.transpose_a = true})) / as_column(s));
  return total;
}

template <class X>
X eigh_gradient(std::span<const X> g, const X& values, const X& vectors) {
  X inner = as_diagonal(or_zeros(g[0], values));
  if (is_there(g[1])) {
    const X turned = skew(matmul(vectors, g[1], {.transpose_a = true}));
    const X apart = as_row(values) - as_column(values);
    inner = inner + turned / (apart + eye(values.dim(-1), values.dtype())) * 0.5;
  }
  return matmul(matmul(vectors, inner), vectors, {.transpose_b = true});
}

/// Of a matrix that is not wide: (gq + q S) r^-T, where S is the symmetric matrix of the lower triangle of
/// r gr^T - gq^T q.
template <class X>
X tall_qr_gradient(const X& gq, const X& gr, const X& q, const X& r) {
  const X m = matmul(r, gr, {.transpose_b = true}) - matmul(gq, q, {.transpose_a = true});
  const X lower = tril(m), symmetric = lower + transpose(tril(m, -1));
  return transpose(triangular_solve(r, transpose(gq + matmul(q, symmetric)), {.upper = true}));
}
/// Of a wide matrix, a = (a1 a2): a1 = q r1 is square, and r2 = q^T a2.
template <class X>
X qr_gradient(std::span<const X> g, const X& q, const X& r) {
  const std::int64_t k = r.dim(-2), n = r.dim(-1);
  const X gq = or_zeros(g[0], q), gr = or_zeros(g[1], r);
  if (n == k) return tall_qr_gradient(gq, gr, q, r);
  const X a2 = matmul(q, slice(r, -1, k, n)), gr2 = slice(gr, -1, k, n);
  const X more = gq + matmul(a2, gr2, {.transpose_b = true});
  const std::array<X, 2> parts{tall_qr_gradient(more, slice(gr, -1, 0, k), q, slice(r, -1, 0, k)),
                               matmul(q, gr2)};
  return concat(parts, -1);
}

struct SvdGradient {
  Variable a;
  Svd<Tensor> parts;

  void operator()(std::span<const Tensor> g, std::span<const bool>, std::span<Tensor> out) const {
    out[0] = svd_gradient<Tensor>(g, parts.u, parts.s, parts.vt);
  }
  std::vector<Variable> operator()(std::span<const Variable> g) const {
    const auto [u, s, vt] = svd(a);
    return {svd_gradient<Variable>(g, u, s, vt)};
  }
};
struct EighGradient {
  Variable a;
  Eigh<Tensor> parts;

  void operator()(std::span<const Tensor> g, std::span<const bool>, std::span<Tensor> out) const {
    out[0] = eigh_gradient<Tensor>(g, parts.values, parts.vectors);
  }
  std::vector<Variable> operator()(std::span<const Variable> g) const {
    const auto [values, vectors] = eigh(a);
    return {eigh_gradient<Variable>(g, values, vectors)};
  }
};
struct QrGradient {
  Variable a;
  Qr<Tensor> parts;

  void operator()(std::span<const Tensor> g, std::span<const bool>, std::span<Tensor> out) const {
    out[0] = qr_gradient<Tensor>(g, parts.q, parts.r);
  }
  std::vector<Variable> operator()(std::span<const Variable> g) const {
    const auto [q, r] = qr(a);
    return {qr_gradient<Variable>(g, q, r)};
  }
};

/// x in another dtype, as a part of an op.
Variable converted(const Variable& x, Dtype dtype, Where where) {
  if (x.dtype() == dtype) return x;
  const InOp op("lstsq", where);
  return record(op, x.value().to(dtype),
                wrt(x, [from = x.dtype()](const Variable& g) { return converted(g, from, Where::here()); }));
}

/// The product with the pseudo-inverse of a (or of its transpose), whose factors serve every derivative too.
Variable by_inverse(const Variable& a, const detail::PseudoInverse& inverse, const Variable& b,
                    bool transposed, Where where) {
  const InOp op("lstsq", where);
  const auto again = [a, inverse](const Variable& v, bool of_transpose) {
    return by_inverse(a, inverse, v, of_transpose, Where::here());
  };
  return record(op, detail::multiply(inverse, b.value(), transposed),
                // With p the pseudo-inverse of m = a, or of its transpose, and x = p b:
                // -p^T g x^T + (b - m x) (p p^T g)^T + p^T x (g - p m g)^T.
                wrt(a,
                    [a, b, again, transposed](const Variable& g, const Variable& x) {
                      const auto by_m = [&](const Variable& v) {
                        return matmul(a, v, {.transpose_a = transposed});
                      };
                      const MatmulOptions outer{.transpose_b = true};
                      const Variable gb = again(g, !transposed);
                      const Variable left = b - by_m(x), free = g - again(by_m(g), transposed);
                      const Variable of_m = matmul(left, again(gb, transposed), outer) -
                                            matmul(gb, x, outer) + matmul(again(x, !transposed), free, outer);
                      return transposed ? transpose(of_m) : of_m;
                    }),
                wrt(b, [again, transposed](const Variable& g) { return again(g, !transposed); }));
}

}  // namespace

Svd<Variable> svd(const Variable& a, Where where) {
  const InOp op("svd", where);
  const Svd<Tensor> parts = svd(a.value());
  auto [u, s, vt] = record(op, std::array{parts.u, parts.s, parts.vt}, jointly({a}, SvdGradient{a, parts}));
  return {std::move(u), std::move(s), std::move(vt)};
}

Eigh<Variable> eigh(const Variable& a, Where where) {
  const InOp op("eigh", where);
  const Eigh<Tensor> parts = eigh(a.value());
  auto [values, vectors] =
      record(op, std::array{parts.values, parts.vectors}, jointly({a}, EighGradient{a, parts}));
  return {std::move(values), std::move(vectors)};
}

Qr<Variable> qr(const Variable& a, Where where) {
  const InOp op("qr", where);
  const Qr<Tensor> parts = qr(a.value());
  auto [q, r] = record(op, std::array{parts.q, parts.r}, jointly({a}, QrGradient{a, parts}));
  return {std::move(q), std::move(r)};
}

Variable lstsq(const Variable& a, const Variable& b, LstsqOptions options, Where where) {
  const InOp op("lstsq", where);
  const Variable right = reshape(b, detail::lstsq_columns(a.value(), b.value()), where);
  // In f64, as each product of the gradient would lose digits by the condition of a.
  const detail::PseudoInverse inverse = detail::pseudo_inverse(a.value(), options);
  const Variable exact =
      by_inverse(converted(a, Dtype::f64, where), inverse, converted(right, Dtype::f64, where), false, where);
  const Variable x = converted(exact, a.dtype(), where);
  return b.rank() == 1 ? reshape(x, x.shape().erased(-1), where) : x;
}

}  // namespace gradus
