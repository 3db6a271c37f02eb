#pragma once

#include "autograd/variable.hpp"

/// Elementwise ops of two operands, which broadcast as in NumPy; numbers mix in: `1 + x`, `x / 2`.
/// Throw ShapeError for shapes that do not broadcast, DtypeError for different dtypes.
namespace gradus {

Variable operator+(const VariableOperand& a, const VariableOperand& b);
Variable operator-(const VariableOperand& a, const VariableOperand& b);
Variable operator*(const VariableOperand& a, const VariableOperand& b);
Variable operator/(const VariableOperand& a, const VariableOperand& b);
Variable operator-(const VariableOperand& x);

/// The larger and the smaller of two; where they are equal the gradient is halved between them.
Variable maximum(const VariableOperand& a, const VariableOperand& b);
Variable minimum(const VariableOperand& a, const VariableOperand& b);

}  // namespace gradus
