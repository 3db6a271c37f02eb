#pragma once

#include <initializer_list>
#include <span>
#include <vector>

#include "autograd/variable.hpp"
#include "tensor/ops/movement.hpp"

/// Ops that move elements without computing on them, with gradients of every order. Axes may be negative.
/// What each does and throws is documented at its namesake for tensors, in tensor/ops/movement.hpp; for a
/// Variable repeated up to a larger shape (PyTorch's expand) see broadcast_to.
namespace gradus {

/// x itself as a new node: a derivative taken with respect to it is a partial one, whatever x depends on.
Variable identity(const Variable& x, Where where = Where::here());

/// The same elements, row-major, under another shape of the same size; one length may be -1.
Variable reshape(const Variable& x, const Shape& shape, Where where = Where::here());
Variable reshape(const Variable& x, std::initializer_list<std::int64_t> dims, Where where = Where::here());
/// The axes first..last as one.
Variable flatten(const Variable& x, int first = 0, int last = -1, Where where = Where::here());
/// Without an axis of length 1, or without all of them.
Variable squeeze(const Variable& x, int axis, Where where = Where::here());
Variable squeeze(const Variable& x, Where where = Where::here());
/// With a new axis of length 1.
Variable unsqueeze(const Variable& x, int axis, Where where = Where::here());

/// The axes in another order: out.dim(i) = x.dim(axes[i]).
Variable permute(const Variable& x, std::span<const int> axes, Where where = Where::here());
inline Variable permute(const Variable& x, std::initializer_list<int> axes, Where where = Where::here()) {
  return permute(x, std::span(axes.begin(), axes.size()), where);
}
/// Two axes swapped, the last two by default.
Variable transpose(const Variable& x, int a = -2, int b = -1, Where where = Where::here());
/// The entries along the listed axes in reverse order.
Variable flip(const Variable& x, std::span<const int> axes, Where where = Where::here());
inline Variable flip(const Variable& x, std::initializer_list<int> axes, Where where = Where::here()) {
  return flip(x, std::span(axes.begin(), axes.size()), where);
}
/// Entry i along the axis goes to i + shift, wrapping around at the end.
Variable roll(const Variable& x, std::int64_t shift, int axis, Where where = Where::here());

/// One after the other along an axis; their shapes agree elsewhere. One node, however many parts.
Variable concat(std::span<const Variable> parts, int axis, Where where = Where::here());
inline Variable concat(std::initializer_list<Variable> parts, int axis, Where where = Where::here()) {
  return concat(std::span(parts.begin(), parts.size()), axis, where);
}
/// Along a new axis; the shapes are equal. One node, however many parts.
Variable stack(std::span<const Variable> parts, int axis = 0, Where where = Where::here());
inline Variable stack(std::initializer_list<Variable> parts, int axis = 0, Where where = Where::here()) {
  return stack(std::span(parts.begin(), parts.size()), axis, where);
}
/// Pieces of the listed lengths along the axis, or `parts` equal ones. One node, however many pieces.
std::vector<Variable> split(const Variable& x, std::span<const std::int64_t> lengths, int axis = 0,
                            Where where = Where::here());
inline std::vector<Variable> split(const Variable& x, std::initializer_list<std::int64_t> lengths,
                                   int axis = 0, Where where = Where::here()) {
  return split(x, std::span(lengths.begin(), lengths.size()), axis, where);
}
std::vector<Variable> split(const Variable& x, std::int64_t parts, int axis = 0, Where where = Where::here());
/// At most `parts` pieces of one length along the axis, the last one what is left.
std::vector<Variable> chunk(const Variable& x, std::int64_t parts, int axis = 0, Where where = Where::here());

/// All entries along the axis, which is dropped: the steps of a (time, ...) sequence. One node, whose
/// gradient is one stack: cheaper than a `select` for each entry where many are used.
std::vector<Variable> unstack(const Variable& x, int axis = 0, Where where = Where::here());

/// Entries begin..end-1 along an axis; any Slice of it; a Slice of each of the first axes.
Variable slice(const Variable& x, int axis, std::int64_t begin, std::int64_t end,
               Where where = Where::here());
Variable slice(const Variable& x, int axis, const Slice& which, Where where = Where::here());
Variable slice(const Variable& x, std::span<const Slice> which, Where where = Where::here());
inline Variable slice(const Variable& x, std::initializer_list<Slice> which, Where where = Where::here()) {
  return slice(x, std::span(which.begin(), which.size()), where);
}
/// The i-th entry along the first axis, or another, which is dropped: x[t] of a (time, ...) sequence.
Variable select(const Variable& x, std::int64_t i, Where where = Where::here());
Variable select(const Variable& x, int axis, std::int64_t i, Where where = Where::here());
/// A tensor of zeros of the shape with x at begin along the axis, or at the slices: the adjoint of slice.
Variable place_slice(const Variable& x, const Shape& shape, int axis, std::int64_t begin,
                     Where where = Where::here());
Variable place_slice(const Variable& x, const Shape& shape, std::span<const Slice> which,
                     Where where = Where::here());

/// sum with x added from begin on along the axis. To add many slices, move the sum from one call to the next:
/// then none copies it.
Variable add_slice(Variable sum, const Variable& x, int axis, std::int64_t begin,
                   Where where = Where::here());

/// With entries put around those of each axis, one Padding an axis.
Variable pad(const Variable& x, std::span<const Padding> widths, PadOptions options = {},
             Where where = Where::here());
inline Variable pad(const Variable& x, std::initializer_list<Padding> widths, PadOptions options = {},
                    Where where = Where::here()) {
  return pad(x, std::span(widths.begin(), widths.size()), options, where);
}
/// The whole tensor counts[i] times along axis i; more counts than axes put new axes in front.
Variable repeat(const Variable& x, std::span<const std::int64_t> counts, Where where = Where::here());
inline Variable repeat(const Variable& x, std::initializer_list<std::int64_t> counts,
                       Where where = Where::here()) {
  return repeat(x, std::span(counts.begin(), counts.size()), where);
}
/// Each entry along the axis `count` times in a row.
Variable repeat_interleave(const Variable& x, std::int64_t count, int axis, Where where = Where::here());

/// The entries [.., i, .., i + offset, ..] of two axes, as a last axis in their place.
Variable diagonal(const Variable& x, DiagonalOptions options = {}, Where where = Where::here());
/// A tensor of zeros of the shape with x as its diagonal: the adjoint of diagonal.
Variable place_diagonal(const Variable& x, const Shape& shape, DiagonalOptions options = {},
                        Where where = Where::here());
/// A vector as the diagonal of a square matrix; a matrix's diagonal as a vector.
Variable diag(const Variable& x, int offset = 0, Where where = Where::here());
/// The lower (upper) triangle of the last two axes, 0 elsewhere.
Variable tril(const Variable& x, int offset = 0, Where where = Where::here());
Variable triu(const Variable& x, int offset = 0, Where where = Where::here());

}  // namespace gradus
