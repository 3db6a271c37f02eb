#pragma once

#include "autograd/variable.hpp"

/// Elementwise functions of one argument.
namespace gradus {

/// |x|; the derivative at 0 is 0.
Variable abs(const Variable& x, Where where = Where::here());
Variable square(const Variable& x, Where where = Where::here());
Variable sqrt(const Variable& x, Where where = Where::here());
Variable reciprocal(const Variable& x, Where where = Where::here());
Variable exp(const Variable& x, Where where = Where::here());
Variable log(const Variable& x, Where where = Where::here());
/// log(1 + x), accurate near 0.
Variable log1p(const Variable& x, Where where = Where::here());
Variable sin(const Variable& x, Where where = Where::here());
Variable cos(const Variable& x, Where where = Where::here());
Variable tanh(const Variable& x, Where where = Where::here());
/// 1 / (1 + exp(-x))
Variable sigmoid(const Variable& x, Where where = Where::here());
/// max(x, 0); the derivative at 0 is 0.
Variable relu(const Variable& x, Where where = Where::here());

}  // namespace gradus
