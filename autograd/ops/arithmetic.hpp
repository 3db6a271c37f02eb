#pragma once

#include "autograd/variable.hpp"

/// Elementwise ops of several operands, which broadcast as in NumPy; numbers mix in: `1 + x`, `x / 2`. Throw
/// ShapeError for shapes that do not broadcast, DtypeError for different dtypes. The place of a call is that
/// of its first operand.
namespace gradus {

Variable operator+(const VariableOperand& a, const VariableOperand& b);
Variable operator-(const VariableOperand& a, const VariableOperand& b);
Variable operator*(const VariableOperand& a, const VariableOperand& b);
Variable operator/(const VariableOperand& a, const VariableOperand& b);
Variable operator-(const VariableOperand& x);

/// The larger and the smaller of two; where they are equal the gradient is halved between them.
Variable maximum(const VariableOperand& a, const VariableOperand& b);
Variable minimum(const VariableOperand& a, const VariableOperand& b);
/// a^b. The derivative by a is 0 where b is 0; that by b is 0 where a is 0 and b is not negative.
Variable pow(const VariableOperand& a, const VariableOperand& b);
/// The angle of the point (x, y) in (-pi, pi].
Variable atan2(const VariableOperand& y, const VariableOperand& x);
/// a - n b for the whole number n that leaves a remainder of a's sign and less than |b|.
Variable fmod(const VariableOperand& a, const VariableOperand& b);

/// a where the condition is not 0, elsewhere b. What is not chosen has no influence on the value, and its
/// gradient is 0. No gradient goes to the condition.
Variable where(const VariableOperand& condition, const VariableOperand& a, const VariableOperand& b);

// Comparisons give 1 or 0, as constants: their derivative is 0. NaN compares false, and not_equal true.
Variable less(const VariableOperand& a, const VariableOperand& b);
Variable less_equal(const VariableOperand& a, const VariableOperand& b);
Variable greater(const VariableOperand& a, const VariableOperand& b);
Variable greater_equal(const VariableOperand& a, const VariableOperand& b);
Variable equal(const VariableOperand& a, const VariableOperand& b);
Variable not_equal(const VariableOperand& a, const VariableOperand& b);
Variable operator<(const VariableOperand& a, const VariableOperand& b);
Variable operator<=(const VariableOperand& a, const VariableOperand& b);
Variable operator>(const VariableOperand& a, const VariableOperand& b);
Variable operator>=(const VariableOperand& a, const VariableOperand& b);

}  // namespace gradus
