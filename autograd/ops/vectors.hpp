#pragma once

#include "autograd/variable.hpp"
#include "tensor/ops/vectors.hpp"

/// Functions of vectors and matrices, as documented in tensor/ops/vectors.hpp, with gradients of every order.
namespace gradus {

Variable cross(const Variable& a, const Variable& b, int axis = -1, Where where = Where::here());
Variable trace(const Variable& x, Where where = Where::here());
Variable kron(const Variable& a, const Variable& b, Where where = Where::here());
/// The gradient at a distance of 0 is 0, as PyTorch's. That of an infinite order goes to the coordinate that
/// is furthest apart; several share it evenly (PyTorch gives each the whole of it).
Variable cdist(const Variable& a, const Variable& b, CdistOptions options = {}, Where where = Where::here());

// One of the two may be a Tensor, a constant.
template <class A, class B>
requires detail::VariableAndTensor<A, B> Variable cross(const A& a, const B& b, int axis = -1,
                                                        Where where = Where::here()) {
  return cross(detail::as_variable(a), detail::as_variable(b), axis, where);
}
template <class A, class B>
requires detail::VariableAndTensor<A, B> Variable kron(const A& a, const B& b, Where where = Where::here()) {
  return kron(detail::as_variable(a), detail::as_variable(b), where);
}
template <class A, class B>
requires detail::VariableAndTensor<A, B> Variable cdist(const A& a, const B& b, CdistOptions options = {},
                                                        Where where = Where::here()) {
  return cdist(detail::as_variable(a), detail::as_variable(b), options, where);
}

}  // namespace gradus
