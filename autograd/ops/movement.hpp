#pragma once

#include <initializer_list>
#include <vector>

#include "autograd/variable.hpp"
#include "tensor/ops/movement.hpp"

/// Ops that move elements without computing on them, with gradients of every order. What each does and throws
/// is documented at its namesake for tensors, in tensor/ops/movement.hpp. A concat, stack, split, chunk or
/// unstack is one node, however many parts it has.
namespace gradus {

/// x itself as a new node: a derivative taken with respect to it is a partial one, whatever x depends on.
Variable identity(const Variable& x, Where where = Where::here());

Variable reshape(const Variable& x, const Shape& shape, Where where = Where::here());
Variable reshape(const Variable& x, std::initializer_list<std::int64_t> dims, Where where = Where::here());
Variable reshape(const Variable& x, std::integral auto length, Where where = Where::here()) {
  return reshape(x, {static_cast<std::int64_t>(length)}, where);
}
Variable flatten(const Variable& x, int first = 0, int last = -1, Where where = Where::here());
Variable squeeze(const Variable& x, int axis, Where where = Where::here());
Variable squeeze(const Variable& x, Where where = Where::here());
Variable unsqueeze(const Variable& x, int axis, Where where = Where::here());

Variable permute(const Variable& x, List<int> axes, Where where = Where::here());
Variable transpose(const Variable& x, int a = -2, int b = -1, Where where = Where::here());
Variable flip(const Variable& x, List<int> axes, Where where = Where::here());
Variable roll(const Variable& x, std::int64_t shift, int axis, Where where = Where::here());

Variable concat(List<Variable> parts, int axis, Where where = Where::here());
Variable stack(List<Variable> parts, int axis = 0, Where where = Where::here());
std::vector<Variable> split(const Variable& x, List<std::int64_t> lengths, int axis = 0,
                            Where where = Where::here());
inline std::vector<Variable> split(const Variable& x, std::initializer_list<std::int64_t> lengths,
                                   int axis = 0, Where where = Where::here()) {
  return split(x, List<std::int64_t>(lengths), axis, where);
}
std::vector<Variable> split(const Variable& x, std::int64_t parts, int axis = 0, Where where = Where::here());
std::vector<Variable> chunk(const Variable& x, std::int64_t parts, int axis = 0, Where where = Where::here());
/// The steps of a (time, ...) sequence. Its gradient is one stack: cheaper than a `select` for each entry
/// where many are used.
std::vector<Variable> unstack(const Variable& x, int axis = 0, Where where = Where::here());

Variable slice(const Variable& x, int axis, std::int64_t begin, std::int64_t end,
               Where where = Where::here());
Variable slice(const Variable& x, int axis, const Slice& which, Where where = Where::here());
Variable slice(const Variable& x, List<Slice> which, Where where = Where::here());
/// Along the first axis, or another: x[t] of a (time, ...) sequence.
Variable select(const Variable& x, std::int64_t i, Where where = Where::here());
Variable select(const Variable& x, int axis, std::int64_t i, Where where = Where::here());
/// A tensor of zeros of the shape to which x is added at begin along the axis, or at the slices: the adjoint
/// of slice. So -0 becomes 0, as 0 + -0 is, in the gradient of whatever reads a part of a tensor (slice,
/// select, diagonal, gather and so on). Where each element is moved once (split, permute, pad) it keeps its
/// sign.
Variable place_slice(const Variable& x, const Shape& shape, int axis, std::int64_t begin,
                     Where where = Where::here());
Variable place_slice(const Variable& x, const Shape& shape, List<Slice> which, Where where = Where::here());
/// sum with x added from begin on along the axis. To add many slices, move the sum from one call to the next:
/// then none copies it.
Variable add_slice(Variable sum, const Variable& x, int axis, std::int64_t begin,
                   Where where = Where::here());

Variable pad(const Variable& x, List<Padding> widths, PadOptions options = {}, Where where = Where::here());
Variable repeat(const Variable& x, List<std::int64_t> counts, Where where = Where::here());
Variable repeat_interleave(const Variable& x, std::int64_t count, int axis, Where where = Where::here());

Variable diagonal(const Variable& x, DiagonalOptions options = {}, Where where = Where::here());
/// A tensor of zeros of the shape with x as its diagonal: the adjoint of diagonal.
Variable place_diagonal(const Variable& x, const Shape& shape, DiagonalOptions options = {},
                        Where where = Where::here());
Variable diag(const Variable& x, int offset = 0, Where where = Where::here());
Variable tril(const Variable& x, int offset = 0, Where where = Where::here());
Variable triu(const Variable& x, int offset = 0, Where where = Where::here());

}  // namespace gradus
