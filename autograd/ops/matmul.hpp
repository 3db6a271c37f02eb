#pragma once

#include "autograd/variable.hpp"
#include "tensor/ops.hpp"

/// Products of matrices, as documented in tensor/ops/matmul.hpp; a default-made bias is none. One of two
/// operands may be a Tensor, a constant.
namespace gradus {

Variable matmul(const Variable& a, const Variable& b, MatmulOptions options = {},
                Where where = Where::here());
template <class A, class B>
requires detail::VariableAndTensor<A, B> Variable matmul(const A& a, const B& b, MatmulOptions options = {},
                                                         Where where = Where::here()) {
  return matmul(detail::as_variable(a), detail::as_variable(b), options, where);
}
Variable linear(const Variable& x, const Variable& weight, const Variable& bias, Where where = Where::here());
inline Variable linear(const Tensor& x, const Variable& weight, const Variable& bias,
                       Where where = Where::here()) {
  return linear(Variable(x), weight, bias, where);
}

}  // namespace gradus
