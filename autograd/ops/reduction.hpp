#pragma once

#include <span>

#include "autograd/variable.hpp"

/// Sums, means and maxima, and broadcasting, the adjoint of summing.
namespace gradus {

/// The sum of all elements, a scalar; or over the listed axes (negative from the end), which are kept with
/// length 1 when keepdims. Throws ShapeError for an axis out of range or named twice.
Variable sum(const Variable& x, Where where = Where::here());
Variable sum(const Variable& x, std::span<const int> axes, bool keepdims = false,
             Where where = Where::here());
Variable sum(const Variable& x, int axis, bool keepdims = false, Where where = Where::here());
/// The mean of all elements; NaN for an empty tensor.
Variable mean(const Variable& x, Where where = Where::here());
Variable mean(const Variable& x, int axis, bool keepdims = false, Where where = Where::here());
/// The largest along the axis; where several are largest the gradient is shared evenly. Throws ShapeError
/// for an empty axis.
Variable max(const Variable& x, int axis, bool keepdims = false, Where where = Where::here());
/// x summed down to a shape that broadcasts to x's.
Variable sum_to(const Variable& x, const Shape& shape, Where where = Where::here());
/// x repeated up to a shape it broadcasts to.
Variable broadcast_to(const Variable& x, const Shape& shape, Where where = Where::here());

}  // namespace gradus
