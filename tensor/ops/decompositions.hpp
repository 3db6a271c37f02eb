#pragma once

#include <optional>

#include "tensor/tensor.hpp"

/// Decompositions of the matrices in the last two axes; leading axes are batches. They are Eigen's
/// (eigen.tuxfamily.org), each matrix by one thread, so that results do not depend on the number of threads.
/// Decompositions leave the signs of their vectors open; here they are fixed, so that equal matrices have
/// equal results, and vectors do not jump as a matrix changes a little:
///
///   svd, eigh   the element of largest size in each column of u, or of the vectors, is positive (of several
///               the first)
///   qr          no element on r's diagonal is negative
///
/// PyTorch's signs differ. All throw ShapeError for less than two axes, and NumericError, naming the matrix
/// of the batch, for NaN and infinities. Matrices without elements are allowed.
namespace gradus {

template <class X>
struct Svd {
  X u;   // (..., m, k): orthonormal columns; k = min(m, n)
  X s;   // (..., k): the singular values, descending
  X vt;  // (..., k, n): orthonormal rows
};
/// The reduced singular value decomposition a = u diag(s) vt (Golub and Van Loan, section 2.4), by Jacobi's
/// rotations of a triangular factor. a: (..., m, n), wide or tall.
Svd<Tensor> svd(const Tensor& a);

template <class X>
struct Eigh {
  X values;   // (..., n): ascending
  X vectors;  // (..., n, n): orthonormal columns
};
/// The eigenvalues and eigenvectors of symmetric matrices, a = vectors diag(values) vectors^T. a: (..., n,
/// n); only its lower triangle is read.
Eigh<Tensor> eigh(const Tensor& a);

template <class X>
struct Qr {
  X q;  // (..., m, k): orthonormal columns; k = min(m, n)
  X r;  // (..., k, n): upper triangular (of a wide matrix, trapezoidal)
};
/// The reduced QR factorization a = q r by Householder reflections. a: (..., m, n), wide or tall.
Qr<Tensor> qr(const Tensor& a);

struct LstsqOptions {
  /// Singular values up to this share of the largest one count as 0; by default the machine epsilon times the
  /// larger length of the matrix, as numpy.linalg.lstsq.
  std::optional<double> rcond = {};
};
/// The x for which the norm of a x - b is least; of several that of least norm, also where a has not full
/// rank (by its singular values). a: (..., m, n), wide or tall; b: (..., m, k), or a vector (m), the same for
/// all of the batch, for which the result is (..., n); leading axes broadcast. In f64 inside, also for f32,
/// whose result and gradients are rounded at the end.
Tensor lstsq(const Tensor& a, const Tensor& b, LstsqOptions options = {});

namespace detail {
/// The pseudo-inverse of a as factors: v diag(1 / s) u^T, where 1 / s is 0 for what counts as 0.
struct PseudoInverse {
  Tensor u, inverse_s, vt;  // as Svd, of f64; inverse_s: (..., k, 1)
};
PseudoInverse pseudo_inverse(const Tensor& a, LstsqOptions options);
/// Its product with b of f64, (..., m, k), or that of its transpose, with b (..., n, k).
Tensor multiply(const PseudoInverse& inverse, const Tensor& b, bool transposed);
/// b as matrices, where a vector becomes a matrix of one column. Throws what lstsq throws.
Shape lstsq_columns(const Tensor& a, const Tensor& b);
/// Throws ShapeError for less than two axes, and NumericError for what is not finite.
void check_decomposed(const char* op, const Tensor& a);
}  // namespace detail

}  // namespace gradus
