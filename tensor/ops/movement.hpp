#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <vector>

#include "tensor/tensor.hpp"

/// Ops that move elements without computing on them. Axes may be negative, counting from the end; an axis out
/// of range is a ShapeError. For a tensor repeated up to a larger shape (PyTorch's expand) see broadcast_to.
namespace gradus {

/// Which entries along an axis: `{.begin = 1, .end = -1}`, `{.step = -1}`, all by default. Negative bounds
/// count from the end and open ones reach the end of the axis, as in Python; but where Python clips a bound
/// past the end or gives nothing because begin lies behind end, a ShapeError is thrown.
struct Slice {
  std::optional<std::int64_t> begin = {};
  std::optional<std::int64_t> end = {};  // the first entry left out
  std::int64_t step = 1;                 // not 0; negative: backwards
};

/// The same elements, row-major, under another shape; one length may be -1 and is worked out. Shares storage.
Tensor reshape(const Tensor& x, const Shape& shape);
Tensor reshape(const Tensor& x, std::initializer_list<std::int64_t> dims);
/// The axes first..last as one; all by default. A scalar becomes (1).
Tensor flatten(const Tensor& x, int first = 0, int last = -1);
/// Without an axis of length 1 (ShapeError for another length), or without all of them.
Tensor squeeze(const Tensor& x, int axis);
Tensor squeeze(const Tensor& x);
/// With a new axis of length 1 at `axis` of the result.
Tensor unsqueeze(const Tensor& x, int axis);

/// The axes in another order: out.dim(i) = x.dim(axes[i]). Throws ShapeError unless each is named once.
Tensor permute(const Tensor& x, std::span<const int> axes);
inline Tensor permute(const Tensor& x, std::initializer_list<int> axes) {
  return permute(x, std::span(axes.begin(), axes.size()));
}
/// Two axes swapped; the last two by default.
Tensor transpose(const Tensor& x, int a = -2, int b = -1);
/// The entries along the listed axes in reverse order.
Tensor flip(const Tensor& x, std::span<const int> axes);
inline Tensor flip(const Tensor& x, std::initializer_list<int> axes) {
  return flip(x, std::span(axes.begin(), axes.size()));
}
/// Entry i along the axis goes to i + shift, and around the end: NumPy's roll.
Tensor roll(const Tensor& x, std::int64_t shift, int axis);

/// Tensors of one shape but for the axis, one after the other. Throws ShapeError for none, DtypeError for
/// several dtypes.
Tensor concat(std::span<const Tensor> parts, int axis);
inline Tensor concat(std::initializer_list<Tensor> parts, int axis) {
  return concat(std::span(parts.begin(), parts.size()), axis);
}
/// Tensors of one shape along a new axis.
Tensor stack(std::span<const Tensor> parts, int axis = 0);
inline Tensor stack(std::initializer_list<Tensor> parts, int axis = 0) {
  return stack(std::span(parts.begin(), parts.size()), axis);
}
/// Pieces of the listed lengths along the axis, which must add up to its length; or `parts` equal ones.
/// Throws ShapeError when they do not fill the axis. Along the first axis they share storage.
std::vector<Tensor> split(const Tensor& x, std::span<const std::int64_t> lengths, int axis = 0);
inline std::vector<Tensor> split(const Tensor& x, std::initializer_list<std::int64_t> lengths, int axis = 0) {
  return split(x, std::span(lengths.begin(), lengths.size()), axis);
}
std::vector<Tensor> split(const Tensor& x, std::int64_t parts, int axis = 0);
/// At most `parts` pieces of one length along the axis, the last one what is left, as PyTorch's.
std::vector<Tensor> chunk(const Tensor& x, std::int64_t parts, int axis = 0);

/// Entries begin..end-1 along an axis. Along the first one longer than 1 it shares storage.
Tensor slice(const Tensor& x, int axis, std::int64_t begin, std::int64_t end);
Tensor slice(const Tensor& x, int axis, const Slice& which);
/// A slice of each of the first axes.
Tensor slice(const Tensor& x, std::span<const Slice> which);
inline Tensor slice(const Tensor& x, std::initializer_list<Slice> which) {
  return slice(x, std::span(which.begin(), which.size()));
}
/// sum[.., begin + i, ..] += x[.., i, ..]: the adjoint of slice.
void add_to_slice(Tensor& sum, const Tensor& x, int axis, std::int64_t begin);
/// The same for slices of the first axes.
void add_to_slice(Tensor& sum, const Tensor& x, std::span<const Slice> which);
/// The i-th entry along the axis, which is dropped. i may be negative. Throws ShapeError when out of range.
Tensor select(const Tensor& x, int axis, std::int64_t i);
/// All of them, in order.
std::vector<Tensor> unstack(const Tensor& x, int axis = 0);

/// How many entries to put before and after those of an axis.
struct Padding {
  std::int64_t before = 0, after = 0;
};
enum class PadMode {
  constant,   // a value
  reflect,    // mirrored at the first and last entry, which are not repeated: at most length - 1 entries
  replicate,  // the first and last entry again; the axis is not empty
};
struct PadOptions {
  PadMode mode = PadMode::constant;
  double value = 0;
};
/// With entries put around those of each axis, one Padding an axis. Throws ShapeError for another number of
/// them, a negative one, or more than the mode can give.
Tensor pad(const Tensor& x, std::span<const Padding> widths, PadOptions options = {});
inline Tensor pad(const Tensor& x, std::initializer_list<Padding> widths, PadOptions options = {}) {
  return pad(x, std::span(widths.begin(), widths.size()), options);
}

/// The whole tensor counts[i] times along axis i: NumPy's tile, PyTorch's repeat. More counts than axes put
/// new axes in front. Throws ShapeError for fewer, or a negative one.
Tensor repeat(const Tensor& x, std::span<const std::int64_t> counts);
inline Tensor repeat(const Tensor& x, std::initializer_list<std::int64_t> counts) {
  return repeat(x, std::span(counts.begin(), counts.size()));
}
/// Each entry along the axis `count` times in a row.
Tensor repeat_interleave(const Tensor& x, std::int64_t count, int axis);

/// Two axes, and how far right of (below, when negative) the main diagonal.
struct DiagonalOptions {
  int offset = 0;
  int axis1 = -2, axis2 = -1;
};
/// The entries [.., i, .., i + offset, ..] of two axes, as a last axis in their place; (0) where there are
/// none.
Tensor diagonal(const Tensor& x, DiagonalOptions options = {});
/// sum's diagonal += x: the adjoint of diagonal.
void add_to_diagonal(Tensor& sum, const Tensor& x, DiagonalOptions options = {});
/// A vector (n) as the diagonal of a square matrix of n + |offset| rows; a matrix's diagonal as a vector.
/// Throws ShapeError for other ranks.
Tensor diag(const Tensor& x, int offset = 0);
/// The lower (upper) triangle of the last two axes, 0 elsewhere: entries [.., i, j] with j - i <= offset
/// (>= offset) are kept. Throws ShapeError below rank 2.
Tensor tril(const Tensor& x, int offset = 0);
Tensor triu(const Tensor& x, int offset = 0);

namespace detail {
/// The shape of the result of flatten; of unsqueeze, for a possibly negative axis.
Shape flattened(const Shape& shape, int first, int last);
Shape unsqueezed(const Shape& shape, int axis);
Shape squeezed(const Shape& shape);
/// Throws ShapeError unless the lengths fill the axis.
void check_lengths(const Shape& shape, std::span<const std::int64_t> lengths, int axis);
/// The lengths of `parts` equal pieces of an axis, and of chunk's.
std::vector<std::int64_t> equal_lengths(const Shape& shape, std::int64_t parts, int axis);
std::vector<std::int64_t> chunk_lengths(const Shape& shape, std::int64_t parts, int axis);
/// Where each entry of a padded axis comes from, for reflect and replicate.
std::vector<std::int32_t> padded_sources(PadMode mode, std::int64_t length, Padding width);
void check_padding(const Shape& shape, std::span<const Padding> widths);
/// The shapes of the results of repeat_interleave, and of diag for a vector.
Shape interleaved(const Shape& shape, std::int64_t count, int axis);
Shape diag_matrix(const Shape& shape, int offset);
void check_counts(const Shape& shape, std::span<const std::int64_t> counts);
}  // namespace detail

}  // namespace gradus
