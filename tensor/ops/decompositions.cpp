#include "tensor/ops/decompositions.hpp"

#include <Eigen/Eigenvalues>
#include <Eigen/QR>

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "tensor/ops.hpp"
#include "tensor/ops/batches.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus {

namespace {

using detail::leading;
using detail::with_matrix;

template <class T>
using RowMajor = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using Columns = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>;

/// "the matrix", or "the matrix of batch (2, 0)".
std::string matrix_name(const Shape& batches, std::int64_t batch) {
  if (batches.rank() == 0) return "the matrix";
  return fmt::format("the matrix of batch ({})", fmt::join(batches.index_of(batch), ", "));
}

/// Throws NumericError for the first matrix with a NaN or an infinity that `reads(row, col)`.
template <class Reads>
void check_finite(const char* op, const Tensor& a, Reads&& reads) {
  if (all_finite(a)) return;
  const std::int64_t m = a.dim(-2), n = a.dim(-1);
  for (std::int64_t i = 0; i < a.size(); ++i) {
    const std::int64_t row = i / n % m, col = i % n;
    if (std::isfinite(a.at(i)) || !reads(row, col)) continue;
    fail<NumericError>(
        "{}: {} holds {} at ({}, {}); find the op that made it with Tape({{.check_finite = true}})", op,
        matrix_name(leading(a.shape()), i / (m * n)), a.at(i), row, col);
  }
}
void check_matrix(const char* op, const Tensor& a) {
  if (a.rank() < 2) fail<ShapeError>("{}: a of shape {}; it must be a matrix, (..., m, n)", op, a.shape());
}

}  // namespace

void detail::check_decomposed(const char* op, const Tensor& a) {
  check_matrix(op, a);
  check_finite(op, a, [](std::int64_t, std::int64_t) { return true; });
}

Eigh<Tensor> eigh(const Tensor& a) {
  check_matrix("eigh", a);
  const std::int64_t n = a.dim(-1);
  if (a.dim(-2) != n) fail<ShapeError>("eigh: a of shape {}; it must be square, (..., n, n)", a.shape());
  check_finite("eigh", a, [](std::int64_t row, std::int64_t col) { return col <= row; });
  const Shape batches = leading(a.shape());
  Eigh<Tensor> out{Tensor::uninitialized(a.shape().erased(-1), a.dtype()), Tensor::uninitialized_like(a)};
  std::vector<char> failed(static_cast<std::size_t>(batches.size()), 0);
  const auto decompose = [&]<class T>(T* values, const T* matrices) {
    T* const vectors = out.vectors.mutable_data<T>();
    parallel::for_each(batches.size(), 10 * n * n * n, [&](std::int64_t i) {
      const Columns<T> matrix = Eigen::Map<const RowMajor<T>>(matrices + i * n * n, n, n);
      const Eigen::SelfAdjointEigenSolver<Columns<T>> found(matrix);
      if (found.info() != Eigen::Success) {
        failed[static_cast<std::size_t>(i)] = 1;
        return;
      }
      Eigen::Map<Eigen::Matrix<T, Eigen::Dynamic, 1>>(values + i * n, n) = found.eigenvalues();
      Eigen::Map<RowMajor<T>> to(vectors + i * n * n, n, n);
      to = found.eigenvectors();
      for (Eigen::Index col = 0; col < n; ++col) {
        Eigen::Index largest = 0;
        to.col(col).cwiseAbs().maxCoeff(&largest);
        if (to(largest, col) < 0) to.col(col) = -to.col(col);
      }
    });
  };
  if (a.size() > 0) visit_elements(decompose, out.values, a);
  const auto bad = std::ranges::find(failed, 1);
  if (bad != failed.end())
    fail<NumericError>("eigh: the iteration for {} did not converge",
                       matrix_name(batches, bad - failed.begin()));
  return out;
}

Qr<Tensor> qr(const Tensor& a) {
  detail::check_decomposed("qr", a);
  const Shape batches = leading(a.shape());
  const std::int64_t m = a.dim(-2), n = a.dim(-1), k = std::min(m, n);
  Qr<Tensor> out{Tensor::uninitialized(with_matrix(batches, m, k), a.dtype()),
                 Tensor::uninitialized(with_matrix(batches, k, n), a.dtype())};
  const auto factorize = [&]<class T>(T* qs, const T* matrices) {
    T* const rs = out.r.mutable_data<T>();
    parallel::for_each(batches.size(), 4 * m * n * k, [&](std::int64_t i) {
      Columns<T> matrix = Eigen::Map<const RowMajor<T>>(matrices + i * m * n, m, n);
      // Eigen squares the elements, which must not leave T: in units of a power of two no digit is lost.
      const T largest = matrix.cwiseAbs().maxCoeff();
      const int unit = largest > 0 ? std::ilogb(largest) : 0;
      matrix = matrix.unaryExpr([&](T v) { return std::ldexp(v, -unit); }).eval();
      const Eigen::HouseholderQR<Columns<T>> found(matrix);
      Eigen::Map<RowMajor<T>> q(qs + i * m * k, m, k), r(rs + i * k * n, k, n);
      q = found.householderQ() * Columns<T>::Identity(m, k);
      r = found.matrixQR().topRows(k).template triangularView<Eigen::Upper>();
      r = r.unaryExpr([&](T v) { return std::ldexp(v, unit); }).eval();
      for (Eigen::Index row = 0; row < k; ++row) {
        if (!(r(row, row) < 0)) continue;
        r.row(row).tail(n - row) = -r.row(row).tail(n - row);
        q.col(row) = -q.col(row);
      }
    });
  };
  if (k > 0 && batches.size() > 0) visit_elements(factorize, out.q, a);
  return out;
}

}  // namespace gradus
