#pragma once

#include "tensor/indices.hpp"
#include "tensor/tensor.hpp"

/// Linear algebra on matrices in the last two axes; leading axes are batches, which broadcast. Factorizations
/// are Eigen's (eigen.tuxfamily.org), one matrix on one thread, so that results do not depend on the number
/// of threads. Matrices of size 0 are fine: their determinant is 1.
///
/// All throw ShapeError for a matrix that is not square or shapes that do not fit, DtypeError for operands of
/// different dtypes. Factorizations throw NumericError for NaN and infinities in the matrix; right-hand
/// sides may hold what they like. Errors about values name the batch.
namespace gradus {

/// The sum of a * b over the last axis, (..., n) and (..., n) to (...), over broadcast leading axes.
Tensor dot(const Tensor& a, const Tensor& b);
/// Every product of an element of a by one of b, (..., m) and (..., n) to (..., m, n).
Tensor outer(const Tensor& a, const Tensor& b);

struct CholeskyOptions {
  bool upper = false;  // give L^T instead
};
/// The lower triangular L with a = L L^T and a positive diagonal. a: (..., n, n), symmetric positive
/// definite, of which only the lower triangle is read. Throws NumericError where it is not positive definite,
/// naming the first leading minor that is not positive.
Tensor cholesky(const Tensor& a, CholeskyOptions options = {});

struct TriangularOptions {
  bool upper = false;          // a is upper triangular; else lower
  bool transpose = false;      // solve a^T x = b
  bool unit_diagonal = false;  // take a's diagonal for ones, without reading it
};
/// x with a x = b for a triangular a, of which the other triangle is not read. a: (..., n, n); b: (..., n,
/// k), or (n), a vector. Throws NumericError for a 0 on the diagonal.
Tensor triangular_solve(const Tensor& a, const Tensor& b, TriangularOptions options = {});

/// P a = L U with partial pivoting (Golub and Van Loan, section 3.4): what solving, inverting and
/// determinants share.
struct LuFactors {
  Tensor lu;          // (..., n, n): U above and on the diagonal, L below, whose diagonal is 1
  Indices row_order;  // (..., n): row i of P a is row row_order[i] of a
};
/// The factors, of a singular matrix too. Errors name `op`.
LuFactors lu_factor(const Tensor& a, const char* op = "lu_factor");
/// Throws NumericError, naming `op`, the batch and the pivot, when a factored matrix is singular.
void check_regular(const char* op, const LuFactors& factors);
/// x with a x = b, or a^T x = b when transpose, for the factors of a. b as for solve. Throws NumericError
/// when a is singular.
Tensor lu_solve(const LuFactors& factors, const Tensor& b, bool transpose = false);

/// x with a x = b. a: (..., n, n); b: (..., n, k), or (n), a vector, which then serves every batch and leaves
/// (..., n). Throws NumericError where a is singular.
Tensor solve(const Tensor& a, const Tensor& b);
/// The inverse. Throws NumericError where a is singular. To solve equations, `solve` is faster and closer.
Tensor inverse(const Tensor& a);
/// The determinant, (..., n, n) to (...); 0 for a singular matrix, NaN for one with NaN.
Tensor det(const Tensor& a);
/// The determinant as sign * exp(log_abs), which does not overflow; 0 and -infinity for a singular matrix.
template <class LogAbs>
struct SignAndLog {
  Tensor sign;     // (...): 1, -1 or 0; NaN for a matrix with NaN
  LogAbs log_abs;  // (...)
};
SignAndLog<Tensor> slogdet(const Tensor& a);
/// log(det(a)): NaN for a negative determinant, -infinity for 0.
Tensor logdet(const Tensor& a);
/// The matrix of cofactors, (..., n, n): the derivative of det, det(a) a^-T where a can be inverted, and the
/// limit of that where it cannot (by a = U S V^T: det(U) det(V) U cofactors(S) V^T).
Tensor cofactors(const Tensor& a);

}  // namespace gradus
