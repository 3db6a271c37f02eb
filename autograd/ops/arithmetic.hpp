#pragma once

#include "autograd/variable.hpp"
#include "tensor/ops/elementwise.hpp"

/// The functions of several operands of tensor/ops/elementwise.hpp on Variables, and operators; numbers mix
/// in: `1 + x`, `x / 2`. The place of an operator's call is that of its first operand.
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

/// A function by its number.
Variable apply(kernels::Binary op, const VariableOperand& a, const VariableOperand& b,
               Where where = Where::here());
Variable apply(kernels::Ternary op, const VariableOperand& a, const VariableOperand& b,
               const VariableOperand& c, Where where = Where::here());

}  // namespace gradus
