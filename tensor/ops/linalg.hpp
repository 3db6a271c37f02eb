#pragma once

#include "tensor/indices.hpp"
#include "tensor/tensor.hpp"

/// Linear algebra on the matrices in the last two axes; leading axes are batches, which broadcast.
/// Factorizations are Eigen's (eigen.tuxfamily.org). Each matrix is factorized by one thread, so that results
/// do not depend on the number of threads. Matrices without elements are allowed; their determinant is 1.
///
/// All throw ShapeError for a matrix that is not square and for shapes that do not fit, and DtypeError for
/// operands of different dtypes. Factorizations throw NumericError for NaN and infinities in the matrix, but
/// not for those in right-hand sides. Errors about values name the matrix of the batch.
namespace gradus {

/// Dot products along the last axis: (..., n) and (..., n) to (...); leading axes broadcast.
Tensor dot(const Tensor& a, const Tensor& b);
/// Outer products along the last axis: (..., m) and (..., n) to (..., m, n); leading axes broadcast.
Tensor outer(const Tensor& a, const Tensor& b);

struct CholeskyOptions {
  bool upper = false;  // return L^T instead
};
/// The lower triangular L with a positive diagonal such that a = L L^T. a: (..., n, n), symmetric positive
/// definite; only its lower triangle is read. Throws NumericError, naming the first leading minor that is not
/// positive, when it is not positive definite.
Tensor cholesky(const Tensor& a, CholeskyOptions options = {});

struct TriangularOptions {
  bool upper = false;          // a is upper triangular; else lower
  bool transpose = false;      // solve a^T x = b
  bool unit_diagonal = false;  // assume that a's diagonal is 1, without reading it
};
/// Solves a x = b for a triangular a, whose other triangle is not read. a: (..., n, n); b: (..., n, k), or a
/// vector (n). Throws NumericError for a 0 on the diagonal.
Tensor triangular_solve(const Tensor& a, const Tensor& b, TriangularOptions options = {});

/// The factorization P a = L U with partial pivoting (Golub and Van Loan, section 3.4), which solutions,
/// inverses and determinants are computed from.
struct LuFactors {
  Tensor lu;          // (..., n, n): U above and on the diagonal, L below, whose diagonal is 1
  Indices row_order;  // (..., n): row i of P a is row row_order[i] of a
};
/// The factors of a matrix, which may be singular. Errors name `op`.
LuFactors lu_factor(const Tensor& a, const char* op = "lu_factor");
/// Throws NumericError, naming `op`, the matrix and the pivot, when a factorized matrix is singular.
void check_regular(const char* op, const LuFactors& factors);
/// Solves a x = b, or a^T x = b if `transpose`, from the factors of a. b is as for solve. Throws NumericError
/// when a is singular.
Tensor lu_solve(const LuFactors& factors, const Tensor& b, bool transpose = false);

/// Solves a x = b. a: (..., n, n); b: (..., n, k), or a vector (n), the same for all of the batch, for which
/// the result is (..., n). Throws NumericError when a is singular.
Tensor solve(const Tensor& a, const Tensor& b);
/// The inverse. Throws NumericError when a is singular. For equations, `solve` is faster and more accurate.
Tensor inverse(const Tensor& a);
/// The determinant, (..., n, n) to (...): 0 for a singular matrix, NaN for one that contains NaN.
Tensor det(const Tensor& a);
/// The determinant as sign * exp(log_abs), without overflow: 0 and -infinity for a singular matrix.
template <class LogAbs>
struct SignAndLog {
  Tensor sign;     // (...): 1, -1 or 0; NaN for a matrix that contains NaN
  LogAbs log_abs;  // (...)
};
SignAndLog<Tensor> slogdet(const Tensor& a);
/// log(det(a)): NaN for a negative determinant, -infinity for a determinant of 0.
Tensor logdet(const Tensor& a);
/// The matrix of cofactors, (..., n, n), which is the derivative of det: det(a) a^-T if a is invertible,
/// otherwise the limit of that (from a = U S V^T: det(U) det(V) U cofactors(S) V^T).
Tensor cofactors(const Tensor& a);

}  // namespace gradus
