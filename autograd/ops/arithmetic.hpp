#pragma once

#include <concepts>

#include "autograd/variable.hpp"
#include "tensor/ops/elementwise.hpp"

/// The functions of several operands of tensor/ops/elementwise.hpp on Variables, and operators; numbers mix
/// in, `1 + x`, `x / 2`, and Tensors, `x * mask`, which are constants: no gradient flows to them. The place
/// of an operator's call is that of its first operand.
namespace gradus {

Variable operator+(const VariableOperand& a, const VariableOperand& b);
Variable operator-(const VariableOperand& a, const VariableOperand& b);
Variable operator*(const VariableOperand& a, const VariableOperand& b);
Variable operator/(const VariableOperand& a, const VariableOperand& b);
Variable operator-(const VariableOperand& x);

// Comparisons give 1 or 0, as constants.
Variable operator<(const VariableOperand& a, const VariableOperand& b);
Variable operator<=(const VariableOperand& a, const VariableOperand& b);
Variable operator>(const VariableOperand& a, const VariableOperand& b);
Variable operator>=(const VariableOperand& a, const VariableOperand& b);

// Beside a Tensor.
Variable operator+(const VariableArgument& a, const ConstantOperand& b);
Variable operator+(const ConstantOperand& a, const VariableArgument& b);
Variable operator-(const VariableArgument& a, const ConstantOperand& b);
Variable operator-(const ConstantOperand& a, const VariableArgument& b);
Variable operator*(const VariableArgument& a, const ConstantOperand& b);
Variable operator*(const ConstantOperand& a, const VariableArgument& b);
Variable operator/(const VariableArgument& a, const ConstantOperand& b);
Variable operator/(const ConstantOperand& a, const VariableArgument& b);
Variable operator<(const VariableArgument& a, const ConstantOperand& b);
Variable operator<(const ConstantOperand& a, const VariableArgument& b);
Variable operator<=(const VariableArgument& a, const ConstantOperand& b);
Variable operator<=(const ConstantOperand& a, const VariableArgument& b);
Variable operator>(const VariableArgument& a, const ConstantOperand& b);
Variable operator>(const ConstantOperand& a, const VariableArgument& b);
Variable operator>=(const VariableArgument& a, const ConstantOperand& b);
Variable operator>=(const ConstantOperand& a, const VariableArgument& b);

/// x = x + y and so on: x becomes the result, a new node of the tape. y is a Variable, a constant Tensor or a
/// number. The shape may change, as y may be larger; what x was before keeps its value and gradient.
Variable& operator+=(Variable& x, const VariableOperand& y);
Variable& operator+=(Variable& x, const ConstantOperand& y);
Variable& operator-=(Variable& x, const VariableOperand& y);
Variable& operator-=(Variable& x, const ConstantOperand& y);
Variable& operator*=(Variable& x, const VariableOperand& y);
Variable& operator*=(Variable& x, const ConstantOperand& y);
Variable& operator/=(Variable& x, const VariableOperand& y);
Variable& operator/=(Variable& x, const ConstantOperand& y);
namespace detail {
template <class P>
P& refuse_change(P& p) {
  static_assert(
      always_false<P>,
      "a Parameter is no result of a computation: optimizers change it, or p.mutable_value() += tensor; "
      "start from Variable x = p");
  return p;
}
}  // namespace detail
// Not possible: they say what to write instead.
template <std::same_as<Parameter> P, class Y>
P& operator+=(P& p, const Y&) {
  return detail::refuse_change(p);
}
template <std::same_as<Parameter> P, class Y>
P& operator-=(P& p, const Y&) {
  return detail::refuse_change(p);
}
template <std::same_as<Parameter> P, class Y>
P& operator*=(P& p, const Y&) {
  return detail::refuse_change(p);
}
template <std::same_as<Parameter> P, class Y>
P& operator/=(P& p, const Y&) {
  return detail::refuse_change(p);
}

/// A function by its number.
Variable apply(kernels::Binary op, const VariableOperand& a, const VariableOperand& b,
               Where where = Where::here());
Variable apply(kernels::Ternary op, const VariableOperand& a, const VariableOperand& b,
               const VariableOperand& c, Where where = Where::here());

}  // namespace gradus
