#pragma once

#include <span>
#include <vector>

#include "autograd/variable.hpp"

/// Ops that move elements without computing on them.
namespace gradus {

/// x itself as a new node: a derivative taken with respect to it is a partial one, whatever x depends on.
Variable identity(const Variable& x, Where where = Where::here());
/// The same elements, row-major, under another shape of the same size.
Variable reshape(const Variable& x, const Shape& shape, Where where = Where::here());
/// The axes in another order: out.dim(i) = x.dim(axes[i]).
Variable permute(const Variable& x, std::span<const int> axes, Where where = Where::here());
/// Two axes swapped, the last two by default.
Variable transpose(const Variable& x, int a = -2, int b = -1, Where where = Where::here());
/// One after the other along an axis; their shapes agree elsewhere. Throws ShapeError for no parts.
Variable concat(std::span<const Variable> parts, int axis, Where where = Where::here());
/// Along a new axis; the shapes are equal.
Variable stack(std::span<const Variable> parts, int axis = 0, Where where = Where::here());
/// Entries begin..end-1 along an axis.
Variable slice(const Variable& x, int axis, std::int64_t begin, std::int64_t end,
               Where where = Where::here());
/// The i-th entry along the first axis, which is dropped: x[t] of a (time, ...) sequence.
Variable select(const Variable& x, std::int64_t i, Where where = Where::here());
/// A tensor of zeros of the shape with x at begin along the axis: the adjoint of slice.
Variable place_slice(const Variable& x, const Shape& shape, int axis, std::int64_t begin,
                     Where where = Where::here());

}  // namespace gradus
