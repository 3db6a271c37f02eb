#pragma once

#include "autograd/variable.hpp"
#include "tensor/ops/linalg.hpp"

/// Linear algebra on matrices in the last two axes; leading axes are batches, which broadcast. What each
/// computes and throws is documented in tensor/ops/linalg.hpp. All are differentiable to any order. The
/// formulas are those of Giles, "An extended collection of matrix derivative results for forward and reverse
/// mode algorithmic differentiation" (2008); Cholesky's is Murray's (2016).
namespace gradus {

Variable dot(const Variable& a, const Variable& b, Where where = Where::here());
Variable outer(const Variable& a, const Variable& b, Where where = Where::here());
/// a is assumed to be symmetric, and so is its gradient (Murray, "Differentiation of the Cholesky
/// decomposition", 2016, equation 10).
Variable cholesky(const Variable& a, CholeskyOptions options = {}, Where where = Where::here());
/// The gradient of the triangle that is not read is 0.
Variable triangular_solve(const Variable& a, const Variable& b, TriangularOptions options = {},
                          Where where = Where::here());
/// a is factored once, for derivatives of every order.
Variable solve(const Variable& a, const Variable& b, Where where = Where::here());
// One of the two may be a Tensor, a constant.
template <class A, class B>
requires detail::VariableAndTensor<A, B> Variable dot(const A& a, const B& b, Where where = Where::here()) {
  return dot(detail::as_variable(a), detail::as_variable(b), where);
}
template <class A, class B>
requires detail::VariableAndTensor<A, B> Variable outer(const A& a, const B& b, Where where = Where::here()) {
  return outer(detail::as_variable(a), detail::as_variable(b), where);
}
template <class A, class B>
requires detail::VariableAndTensor<A, B> Variable solve(const A& a, const B& b, Where where = Where::here()) {
  return solve(detail::as_variable(a), detail::as_variable(b), where);
}

Variable inverse(const Variable& a, Where where = Where::here());
/// The gradient is the matrix of cofactors, also where a is singular; there, and where
/// a is nearly so, the second derivative is computed from n^2 minors, which takes n^4 elements of memory.
Variable det(const Variable& a, Where where = Where::here());
/// Differentiating these two at a singular matrix throws NumericError.
SignAndLog<Variable> slogdet(const Variable& a, Where where = Where::here());
Variable logdet(const Variable& a, Where where = Where::here());

}  // namespace gradus
