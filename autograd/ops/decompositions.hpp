#pragma once

#include "autograd/variable.hpp"
#include "tensor/ops/decompositions.hpp"

/// Decompositions, as documented in tensor/ops/decompositions.hpp, differentiable to any order.
namespace gradus {

/// The gradient is that of Townsend, "Differentiating the singular value decomposition" (2016). That of s
/// alone is always finite. That of u and vt is not, as PyTorch's, where two singular values are equal, as the
/// vectors have no derivative there, where two are 0, and where one is 0 and the matrix is not square.
Svd<Variable> svd(const Variable& a, Where where = Where::here());
/// The gradient is symmetric, though only the lower triangle of a is read (Giles, "An extended collection of
/// matrix derivative results", 2008, section 3.1). That of the vectors is not finite, as PyTorch's, where two
/// eigenvalues are equal.
Eigh<Variable> eigh(const Variable& a, Where where = Where::here());
/// The gradient is that of Walter and Lehmann, "Algorithmic differentiation of linear algebra functions"
/// (2012), as Seeger et al., "Auto-differentiating linear algebra" (2017), write it. Throws NumericError in
/// the sweep back where the first min(m, n) columns of a are linearly dependent.
Qr<Variable> qr(const Variable& a, Where where = Where::here());
/// The gradient is that of Golub and Pereyra, "The differentiation of pseudo-inverses and nonlinear least
/// squares problems whose variables separate" (1973): a's rank is taken for constant. a is decomposed once,
/// for derivatives of every order.
Variable lstsq(const Variable& a, const Variable& b, LstsqOptions options = {}, Where where = Where::here());
// One of the two may be a Tensor, a constant.
template <class A, class B>
requires detail::VariableAndTensor<A, B> Variable lstsq(const A& a, const B& b, LstsqOptions options = {},
                                                        Where where = Where::here()) {
  return lstsq(detail::as_variable(a), detail::as_variable(b), options, where);
}

}  // namespace gradus
