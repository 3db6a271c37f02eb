#include "tensor/ops/linalg.hpp"

#include <Eigen/Cholesky>
#include <Eigen/LU>
#include <Eigen/SVD>

#include <fmt/ranges.h>

#include <cmath>
#include <limits>

#include "tensor/ops.hpp"
#include "tensor/ops/batches.hpp"
#include "tensor/support/parallel.hpp"
#include "tensor/support/scaled.hpp"

namespace gradus {

namespace {

using detail::batch_place;
using detail::leading;
using detail::with_matrix;

template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using View = Eigen::Map<Matrix<T>>;
template <class T>
using ConstView = Eigen::Map<const Matrix<T>>;

/// "the matrix", or "the matrix of batch (2, 0)".
std::string matrix_name(const Shape& batches, std::int64_t batch) {
  if (batches.rank() == 0) return "the matrix";
  return fmt::format("the matrix of batch ({})", fmt::join(batches.index_of(batch), ", "));
}

void check_square(const char* op, const Tensor& a) {
  if (a.rank() < 2 || a.dim(-1) != a.dim(-2)) {
    fail<ShapeError>("{}: a of shape {}; it must be square, (..., n, n)", op, a.shape());
  }
}
void check_dtypes(const char* op, const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype()) {
    fail<DtypeError>("{}: a is {}, b is {}; convert one with to()", op, name_of(a.dtype()),
                     name_of(b.dtype()));
  }
}

std::int64_t count_of(const Tensor& a) {
  return leading(a.shape()).size();
}

/// Runs body(i) for each matrix of a batch, in parallel; each costs about n^3 operations.
template <class Body>
void for_matrices(std::int64_t batches, std::int64_t n, Body&& body) {
  parallel::for_each(batches, n * n * n + 1, body);
}

/// Throws NumericError for the first matrix with a NaN or an infinity that `reads(row, col)`.
template <class Reads>
void check_finite(const char* op, const Tensor& a, Reads&& reads) {
  const std::int64_t n = a.dim(-1);
  if (all_finite(a)) return;
  for (std::int64_t i = 0; i < a.size(); ++i) {
    const std::int64_t row = i / n % n, col = i % n;
    if (std::isfinite(a.at(i)) || !reads(row, col)) continue;
    fail<NumericError>(
        "{}: {} holds {} at ({}, {}); find the op that made it with Tape({{.check_finite = "
        "true}})",
        op, matrix_name(leading(a.shape()), i / (n * n)), a.at(i), row, col);
  }
}

/// The order of the first leading minor that is not positive, found by the unblocked algorithm. If that finds
/// none, because it rounds differently than Eigen, n.
template <class T>
std::int64_t first_bad_minor(const ConstView<T>& a) {
  Matrix<T> l = a;
  for (Eigen::Index j = 0; j < l.rows(); ++j) {
    const T pivot = l(j, j) - l.row(j).head(j).squaredNorm();
    if (!(pivot > 0)) return j + 1;
    l(j, j) = std::sqrt(pivot);
    for (Eigen::Index i = j + 1; i < l.rows(); ++i)
      l(i, j) = (l(i, j) - l.row(i).head(j).dot(l.row(j).head(j))) / l(j, j);
  }
  return l.rows();
}

/// b as matrices, where a vector becomes a matrix of one column.
Tensor columns(const char* op, const Tensor& a, const Tensor& b) {
  check_dtypes(op, a, b);
  Tensor matrices = b.rank() == 1 ? b.reshape({b.dim(0), 1}) : b;
  if (matrices.rank() < 2 || matrices.dim(-2) != a.dim(-1)) {
    fail<ShapeError>("{}: a of shape {}, b of shape {}; b must be (..., {}, k) or a vector of {}", op,
                     a.shape(), b.shape(), a.dim(-1), a.dim(-1));
  }
  return matrices;
}
Tensor as_given(const Tensor& x, const Tensor& b) {
  return b.rank() == 1 ? x.reshape(x.shape().erased(-1)) : x;
}

template <class T>
void solve_triangle(const ConstView<T>& a, View<T> x, TriangularOptions o) {
  const auto run = [&](auto view) {
    constexpr auto kind = static_cast<unsigned>(decltype(view)::value);
    if (o.transpose) {
      // The transpose's triangle is the other one.
      constexpr unsigned flipped = kind ^ (Eigen::Lower | Eigen::Upper);
      a.transpose().template triangularView<flipped>().solveInPlace(x);
    } else {
      a.template triangularView<kind>().solveInPlace(x);
    }
  };
  using Eigen::Lower, Eigen::Upper, Eigen::UnitLower, Eigen::UnitUpper;
  if (o.upper) {
    o.unit_diagonal ? run(std::integral_constant<unsigned, UnitUpper>{})
                    : run(std::integral_constant<unsigned, Upper>{});
  } else {
    o.unit_diagonal ? run(std::integral_constant<unsigned, UnitLower>{})
                    : run(std::integral_constant<unsigned, Lower>{});
  }
}

/// The sign of the permutation that brings 0..n-1 into this order.
double parity(std::span<const std::int32_t> order) {
  std::vector<bool> seen(order.size(), false);
  double sign = 1;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (seen[i]) continue;
    std::size_t length = 0;
    for (std::size_t j = i; !seen[j]; j = static_cast<std::size_t>(order[j]), ++length) seen[j] = true;
    if (length % 2 == 0) sign = -sign;
  }
  return sign;
}

/// The factors without a check that the matrices are finite, for determinants.
LuFactors factor(const Tensor& a) {
  const std::int64_t n = a.dim(-1), batches = count_of(a);
  LuFactors out{a, {}};
  std::vector<std::int32_t> order(static_cast<std::size_t>(batches * n));
  const auto factorize = [&]<class T>(T* data) {
    if (n == 0) return;
    for_matrices(batches, n, [&](std::int64_t i) {
      View<T> view(data + i * n * n, n, n);
      const Eigen::PartialPivLU<Eigen::Ref<Matrix<T>>> lu(view);
      for (std::int64_t row = 0; row < n; ++row)
        order[static_cast<std::size_t>(i * n + lu.permutationP().indices()[row])] =
            static_cast<std::int32_t>(row);
    });
  };
  visit_elements(factorize, out.lu);
  out.row_order = Indices(std::move(order), a.shape().erased(-1));
  return out;
}

/// Calls use(i, sign of the row order, LU) for each matrix i. Every (n + 1)-th element is of U's diagonal.
template <class T, class Use>
void for_pivots(const LuFactors& factors, Use&& use) {
  const std::int64_t n = factors.lu.dim(-1);
  for (std::int64_t i = 0; i < count_of(factors.lu); ++i) {
    const auto at = static_cast<std::size_t>(i * n), length = static_cast<std::size_t>(n);
    use(i, parity(factors.row_order.values().subspan(at, length)), factors.lu.data<T>() + i * n * n);
  }
}

/// The product of the pivots and the row order's sign. It may leave T's range where its parts come back.
template <class T>
Scaled determinant(double sign, const T* lu, std::int64_t n) {
  Scaled product{sign};
  for (std::int64_t row = 0; row < n; ++row) product = product * static_cast<double>(lu[row * (n + 1)]);
  return product;
}

/// The cofactors of a singular matrix, by its singular value decomposition.
template <class T>
Matrix<T> cofactors_by_svd(const ConstView<T>& a) {
  const Eigen::JacobiSVD<Matrix<T>> svd(a, Eigen::ComputeFullU | Eigen::ComputeFullV);
  const auto& s = svd.singularValues();
  Eigen::Matrix<T, Eigen::Dynamic, 1> others(s.size());
  for (Eigen::Index i = 0; i < s.size(); ++i) {
    Scaled product;
    for (Eigen::Index k = 0; k < s.size(); ++k) {
      if (k != i) product = product * static_cast<double>(s[k]);
    }
    others[i] = static_cast<T>(product.value());
  }
  const T sign = svd.matrixU().determinant() * svd.matrixV().determinant();
  return svd.matrixU() * (sign * others).asDiagonal() * svd.matrixV().transpose();
}

}  // namespace

Tensor dot(const Tensor& a, const Tensor& b) {
  check_dtypes("dot", a, b);
  if (a.rank() == 0 || b.rank() == 0 || a.dim(-1) != b.dim(-1)) {
    fail<ShapeError>("dot: a of shape {}, b of shape {}; their last lengths must be equal", a.shape(),
                     b.shape());
  }
  return sum(a * b, -1);
}

Tensor outer(const Tensor& a, const Tensor& b) {
  check_dtypes("outer", a, b);
  if (a.rank() == 0 || b.rank() == 0)
    fail<ShapeError>("outer: a of shape {}, b of shape {}; a scalar is not a vector, use *", a.shape(),
                     b.shape());
  broadcast_shapes("outer", a.shape().erased(-1), b.shape().erased(-1));
  return a.reshape(a.shape().inserted(a.rank(), 1)) * b.reshape(b.shape().inserted(b.rank() - 1, 1));
}

Tensor cholesky(const Tensor& a, CholeskyOptions options) {
  check_square("cholesky", a);
  check_finite("cholesky", a, [](std::int64_t row, std::int64_t col) { return col <= row; });
  const std::int64_t n = a.dim(-1), batches = count_of(a);
  Tensor out = a;
  std::vector<std::int64_t> bad_minor(static_cast<std::size_t>(batches), 0);
  const auto factorize = [&]<class T>(T* data, const T* given) {
    if (n == 0) return;
    for_matrices(batches, n, [&](std::int64_t i) {
      View<T> view(data + i * n * n, n, n);
      const Eigen::LLT<Eigen::Ref<Matrix<T>>> llt(view);
      if (llt.info() != Eigen::Success) {
        bad_minor[static_cast<std::size_t>(i)] = first_bad_minor<T>(ConstView<T>(given + i * n * n, n, n));
      }
      view.template triangularView<Eigen::StrictlyUpper>().setZero();
    });
  };
  visit_elements(factorize, out, a);
  for (std::int64_t i = 0; i < batches; ++i) {
    const std::int64_t minor = bad_minor[static_cast<std::size_t>(i)];
    if (minor == 0) continue;
    fail<NumericError>(
        "cholesky: {} is not positive definite: its leading minor of order {} is not positive; is it "
        "symmetric? A small number added to its diagonal helps against rounding",
        matrix_name(leading(a.shape()), i), minor);
  }
  return options.upper ? transpose(out) : out;
}

Tensor triangular_solve(const Tensor& a, const Tensor& b, TriangularOptions options) {
  check_square("triangular_solve", a);
  const Tensor right = columns("triangular_solve", a, b);
  check_finite("triangular_solve", a, [&](std::int64_t row, std::int64_t col) {
    return row == col ? !options.unit_diagonal : (row < col) == options.upper;
  });
  const std::int64_t n = a.dim(-1), k = right.dim(-1);
  for (std::int64_t i = 0; !options.unit_diagonal && i < count_of(a) * n; ++i) {
    if (a.at(i / n * n * n + i % n * (n + 1)) != 0) continue;
    fail<NumericError>("triangular_solve: {} is singular: 0 at ({}, {}) of its diagonal",
                       matrix_name(leading(a.shape()), i / n), i % n, i % n);
  }
  const Shape left_batches = leading(a.shape()), right_batches = leading(right.shape());
  const Shape batches = broadcast_shapes("triangular_solve", left_batches, right_batches);
  Tensor out = broadcast_to(right, with_matrix(batches, n, k));
  if (out.size() == 0) return as_given(out, b);
  const auto solve_all = [&]<class T>(T* data, const T* triangles) {
    for_matrices(batches.size(), n, [&](std::int64_t i) {
      solve_triangle<T>(ConstView<T>(triangles + batch_place(i, batches, left_batches) * n * n, n, n),
                        View<T>(data + i * n * k, n, k), options);
    });
  };
  visit_elements(solve_all, out, a);
  return as_given(out, b);
}

LuFactors lu_factor(const Tensor& a, const char* op) {
  check_square(op, a);
  check_finite(op, a, [](std::int64_t, std::int64_t) { return true; });
  return factor(a);
}

void check_regular(const char* op, const LuFactors& factors) {
  const std::int64_t n = factors.lu.dim(-1);
  for (std::int64_t i = 0; i < count_of(factors.lu) * n; ++i) {
    if (factors.lu.at(i / n * n * n + i % n * (n + 1)) != 0) continue;
    fail<NumericError>("{}: {} is singular: pivot {} of its LU factors is 0", op,
                       matrix_name(leading(factors.lu.shape()), i / n), i % n);
  }
}

Tensor lu_solve(const LuFactors& factors, const Tensor& b, bool transpose) {
  const Tensor& lu = factors.lu;
  const Tensor right = columns("solve", lu, b);
  const std::int64_t n = lu.dim(-1), k = right.dim(-1);
  const Shape left_batches = leading(lu.shape()), right_batches = leading(right.shape());
  const Shape batches = broadcast_shapes("solve", left_batches, right_batches);
  check_regular("solve", factors);
  Tensor out = Tensor::uninitialized(with_matrix(batches, n, k), lu.dtype());
  const auto solve_all = [&]<class T>(T* data, const T* lus, const T* rights) {
    if (out.size() == 0) return;
    for_matrices(batches.size(), n, [&](std::int64_t i) {
      const std::int64_t place = batch_place(i, batches, left_batches);
      const ConstView<T> a(lus + place * n * n, n, n);
      const ConstView<T> from(rights + batch_place(i, batches, right_batches) * n * k, n, k);
      const std::int32_t* const order = factors.row_order.data() + place * n;
      View<T> x(data + i * n * k, n, k);
      if (!transpose) {  // L U x = P b
        for (std::int64_t row = 0; row < n; ++row) x.row(row) = from.row(order[row]);
        a.template triangularView<Eigen::UnitLower>().solveInPlace(x);
        a.template triangularView<Eigen::Upper>().solveInPlace(x);
      } else {  // U^T L^T P x = b
        Matrix<T> y = from;
        a.transpose().template triangularView<Eigen::Lower>().solveInPlace(y);
        a.transpose().template triangularView<Eigen::UnitUpper>().solveInPlace(y);
        for (std::int64_t row = 0; row < n; ++row) x.row(order[row]) = y.row(row);
      }
    });
  };
  visit_elements(solve_all, out, lu, right);
  return as_given(out, b);
}

Tensor solve(const Tensor& a, const Tensor& b) {
  check_square("solve", a);
  columns("solve", a, b);
  return lu_solve(lu_factor(a, "solve"), b);
}

Tensor inverse(const Tensor& a) {
  const LuFactors factors = lu_factor(a, "inverse");
  check_regular("inverse", factors);
  return lu_solve(factors, eye(a.dim(-1), a.dtype()));
}

Tensor det(const Tensor& a) {
  check_square("det", a);
  const LuFactors factors = factor(a);
  const std::int64_t n = a.dim(-1);
  Tensor out = Tensor::uninitialized(leading(a.shape()), a.dtype());
  const auto multiply = [&]<class T>(T* to) {
    for_pivots<T>(factors, [&](std::int64_t i, double sign, const T* lu) {
      to[i] = static_cast<T>(determinant<T>(sign, lu, n).value());
    });
  };
  visit_elements(multiply, out);
  return out;
}

SignAndLog<Tensor> slogdet(const Tensor& a) {
  check_square("slogdet", a);
  const LuFactors factors = factor(a);
  const std::int64_t n = a.dim(-1);
  SignAndLog<Tensor> out{Tensor::uninitialized(leading(a.shape()), a.dtype()),
                         Tensor::uninitialized(leading(a.shape()), a.dtype())};
  const auto add_logs = [&]<class T>(T* logs) {
    T* const signs = out.sign.mutable_data<T>();
    for_pivots<T>(factors, [&](std::int64_t i, double sign, const T* lu) {
      double log_abs = 0;
      for (std::int64_t row = 0; row < n; ++row) {
        const auto pivot = static_cast<double>(lu[row * (n + 1)]);
        log_abs += std::log(std::abs(pivot));
        sign *= std::isnan(pivot) ? pivot : pivot > 0 ? 1.0 : pivot < 0 ? -1.0 : 0.0;
      }
      signs[i] = static_cast<T>(sign);
      logs[i] = static_cast<T>(log_abs);
    });
  };
  visit_elements(add_logs, out.log_abs);
  return out;
}

Tensor logdet(const Tensor& a) {
  check_square("logdet", a);  // so that the error names logdet
  SignAndLog<Tensor> parts = slogdet(a);
  const auto mark = [&]<class T>(T* logs, const T* signs) {
    for (std::int64_t i = 0; i < parts.sign.size(); ++i) {
      if (signs[i] < 0) logs[i] = std::numeric_limits<T>::quiet_NaN();
    }
  };
  visit_elements(mark, parts.log_abs, parts.sign);
  return std::move(parts.log_abs);
}

Tensor cofactors(const Tensor& a) {
  const LuFactors factors = lu_factor(a, "cofactors");
  const std::int64_t n = a.dim(-1);
  Tensor out = Tensor::uninitialized_like(a);
  const auto compute = [&]<class T>(T* data, const T* lus, const T* given) {
    if (n == 0) return;
    for_matrices(count_of(a), n, [&](std::int64_t i) {
      const ConstView<T> lu(lus + i * n * n, n, n);
      View<T> to(data + i * n * n, n, n);
      if ((lu.diagonal().array() == T{0}).any()) {
        to = cofactors_by_svd<T>(ConstView<T>(given + i * n * n, n, n));
        return;
      }
      // With P a = L U: a^-T = P^T L^-T U^-T, row by row.
      Matrix<T> y = Matrix<T>::Identity(n, n);
      lu.transpose().template triangularView<Eigen::Lower>().solveInPlace(y);
      lu.transpose().template triangularView<Eigen::UnitUpper>().solveInPlace(y);
      const std::int32_t* const order = factors.row_order.data() + i * n;
      const double sign = parity(std::span(order, static_cast<std::size_t>(n)));
      const Scaled det = determinant<T>(sign, lu.data(), n);
      for (std::int64_t row = 0; row < n; ++row) {
        for (std::int64_t col = 0; col < n; ++col)
          to(order[row], col) = static_cast<T>((det * static_cast<double>(y(row, col))).value());
      }
    });
  };
  visit_elements(compute, out, factors.lu, a);
  return out;
}

}  // namespace gradus
