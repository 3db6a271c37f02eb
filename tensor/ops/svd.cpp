#include <Eigen/SVD>

#include <atomic>
#include <cmath>
#include <limits>

#include "tensor/ops.hpp"
#include "tensor/ops/batches.hpp"
#include "tensor/ops/decompositions.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus {

namespace {

using detail::leading;
using detail::with_matrix;

template <class T>
using RowMajor = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using Columns = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>;

/// Of square matrices, without fixed signs.
Svd<Tensor> square_svd(const Tensor& a) {
  const std::int64_t n = a.dim(-1);
  Svd<Tensor> out{Tensor::uninitialized_like(a), Tensor::uninitialized(a.shape().erased(-1), a.dtype()),
                  Tensor::uninitialized_like(a)};
  const auto decompose = [&]<class T>(T* us, const T* matrices) {
    T *const values = out.s.mutable_data<T>(), *const vts = out.vt.mutable_data<T>();
    std::atomic<bool> failed{false};
    parallel::for_each(leading(a.shape()).size(), 50 * n * n * n, [&](std::int64_t i) {
      const Columns<T> matrix = Eigen::Map<const RowMajor<T>>(matrices + i * n * n, n, n);
      const Eigen::JacobiSVD<Columns<T>, Eigen::NoQRPreconditioner> found(
          matrix, Eigen::ComputeFullU | Eigen::ComputeFullV);
      if (found.info() != Eigen::Success) {
        failed = true;
        return;
      }
      Eigen::Map<RowMajor<T>>(us + i * n * n, n, n) = found.matrixU();
      Eigen::Map<Eigen::Matrix<T, Eigen::Dynamic, 1>>(values + i * n, n) = found.singularValues();
      Eigen::Map<RowMajor<T>>(vts + i * n * n, n, n) = found.matrixV().transpose();
    });
    if (failed) fail<NumericError>("svd: of a matrix that is not finite");
  };
  if (a.size() > 0) visit_elements(decompose, out.u, a);
  return out;
}

/// Turns each pair of vectors so that the element of largest size in u is positive.
void fix_signs(Tensor& u, Tensor& vt) {
  const std::int64_t m = u.dim(-2), k = u.dim(-1), n = vt.dim(-1);
  visit_dtype(u.dtype(), [&]<class T>(T) {
    T *const us = u.mutable_data<T>(), *const vts = vt.mutable_data<T>();
    for (std::int64_t pair = 0; pair < leading(u.shape()).size() * k; ++pair) {
      T* const column = us + pair / k * m * k + pair % k;
      T largest{0};
      for (std::int64_t row = 0; row < m; ++row)
        if (std::abs(column[row * k]) > std::abs(largest)) largest = column[row * k];
      if (largest >= 0) continue;
      for (std::int64_t row = 0; row < m; ++row) column[row * k] = -column[row * k];
      for (std::int64_t col = 0; col < n; ++col) vts[pair * n + col] = -vts[pair * n + col];
    }
  });
}

}  // namespace

Svd<Tensor> svd(const Tensor& a) {
  detail::check_decomposed("svd", a);
  // Of what is not square, its triangular factor is decomposed.
  const bool wide = a.dim(-2) < a.dim(-1), square = a.dim(-2) == a.dim(-1);
  const Qr<Tensor> outer = square ? Qr<Tensor>{} : qr(wide ? transpose(a) : a);
  Svd<Tensor> out = square_svd(square ? a : wide ? transpose(outer.r) : outer.r);
  if (!square) (wide ? out.vt : out.u) = wide ? matmul(out.vt, transpose(outer.q)) : matmul(outer.q, out.u);
  fix_signs(out.u, out.vt);
  return out;
}

detail::PseudoInverse detail::pseudo_inverse(const Tensor& a, LstsqOptions options) {
  if (options.rcond && !(*options.rcond >= 0 && *options.rcond < 1))
    fail<ArgumentError>("lstsq: an rcond of {}; it must be 0 or more and less than 1", *options.rcond);
  check_decomposed("lstsq", a);
  Svd<Tensor> parts = svd(a.to(Dtype::f64));
  const double eps = a.dtype() == Dtype::f32 ? double{std::numeric_limits<float>::epsilon()}
                                             : std::numeric_limits<double>::epsilon();
  const double share = options.rcond.value_or(eps * static_cast<double>(std::max(a.dim(-2), a.dim(-1))));
  const std::int64_t k = parts.s.dim(-1);
  Tensor inverse = Tensor::uninitialized_like(parts.s);
  const double* const s = parts.s.data<double>();
  double* const to = inverse.mutable_data<double>();
  for (std::int64_t i = 0; i < parts.s.size(); ++i) to[i] = s[i] > share * s[i - i % k] ? 1 / s[i] : 0;
  return {std::move(parts.u), unsqueeze(inverse, -1), std::move(parts.vt)};
}

Tensor detail::multiply(const PseudoInverse& inverse, const Tensor& b, bool transposed) {
  if (transposed) return matmul(inverse.u, inverse.inverse_s * matmul(inverse.vt, b));
  return matmul(inverse.vt, inverse.inverse_s * matmul(inverse.u, b, {.transpose_a = true}),
                {.transpose_a = true});
}

Shape detail::lstsq_columns(const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype())
    fail<DtypeError>("lstsq: a is {}, b is {}; convert one with to()", name_of(a.dtype()),
                     name_of(b.dtype()));
  if (a.rank() < 2) fail<ShapeError>("lstsq: a of shape {}; it must be (..., m, n)", a.shape());
  const Shape matrices = b.rank() == 1 ? Shape{b.dim(0), 1} : b.shape();
  if (matrices.rank() < 2 || matrices[-2] != a.dim(-2))
    fail<ShapeError>("lstsq: a of shape {}, b of shape {}; b must be (..., {}, k) or a vector of {}",
                     a.shape(), b.shape(), a.dim(-2), a.dim(-2));
  broadcast_shapes("lstsq", leading(a.shape()), leading(matrices));
  return matrices;
}

Tensor lstsq(const Tensor& a, const Tensor& b, LstsqOptions options) {
  const Tensor right = b.reshape(detail::lstsq_columns(a, b));
  const Tensor exact = detail::multiply(detail::pseudo_inverse(a, options), right.to(Dtype::f64), false);
  const Tensor x = exact.to(a.dtype());
  return b.rank() == 1 ? x.reshape(x.shape().erased(-1)) : x;
}

}  // namespace gradus
