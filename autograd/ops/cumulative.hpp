#pragma once

#include "autograd/variable.hpp"
#include "tensor/ops/cumulative.hpp"

/// Running sums and products along an axis, as documented in tensor/ops/cumulative.hpp, and differences.
namespace gradus {

Variable cumsum(const Variable& x, int axis, CumsumOptions options = {}, Where where = Where::here());
/// The gradient does not divide, so zeros are no problem.
Variable cumprod(const Variable& x, int axis, Where where = Where::here());
Variable cumprod_derivative(const Variable& x, List<Variable> directions, int axis,
                            Where where = Where::here());
Variable cumprod_gradient(const Variable& g, const Variable& x, List<Variable> directions, int axis,
                          Where where = Where::here());
/// Each direction is the gradient of the other with respect to b.
Variable recurrence(const Variable& a, const Variable& b, int axis, Direction direction = Direction::forward,
                    Where where = Where::here());
Variable shift(const Variable& x, int axis, double first = 0, Where where = Where::here());
/// x[i + 1] - x[i] along the axis, whose length n becomes max(0, n - 1). Throws ShapeError for an axis out of
/// range.
Variable diff(const Variable& x, int axis = -1, Where where = Where::here());

}  // namespace gradus
