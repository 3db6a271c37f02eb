#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <vector>

#include "tensor/support/list.hpp"
#include "tensor/tensor.hpp"

/// Ops that move elements without computing on them. Negative axes count from the end; for an axis out of
/// range they throw ShapeError. PyTorch's expand is broadcast_to (reduction.hpp).
namespace gradus {

/// A range of entries along an axis: `{.begin = 1, .end = -1}`, `{.step = -1}`; all entries by default. As in
/// Python, negative bounds count from the end, and omitted ones stand for the ends of the axis. Unlike in
/// Python, a bound that is out of range, or a begin that lies beyond end, is a ShapeError.
struct Slice {
  std::optional<std::int64_t> begin = {};
  std::optional<std::int64_t> end = {};  // not included
  std::int64_t step = 1;                 // not 0; negative steps go backwards
};

/// The same elements in another shape, sharing storage. One length may be -1, to be inferred.
Tensor reshape(const Tensor& x, const Shape& shape);
Tensor reshape(const Tensor& x, std::initializer_list<std::int64_t> dims);
Tensor reshape(const Tensor& x, std::integral auto length) {
  return x.reshape(length);
}
/// Merges the axes first..last, by default all, into one. A scalar becomes a tensor of shape (1).
Tensor flatten(const Tensor& x, int first = 0, int last = -1);
/// Removes an axis of length 1 (throws ShapeError for another length), or all axes of length 1.
Tensor squeeze(const Tensor& x, int axis);
Tensor squeeze(const Tensor& x);
/// Inserts an axis of length 1, which is `axis` of the result.
Tensor unsqueeze(const Tensor& x, int axis);

/// Reorders the axes: out.dim(i) = x.dim(axes[i]). Throws ShapeError unless each axis is listed once.
Tensor permute(const Tensor& x, List<int> axes);
/// Swaps two axes, by default the last two.
Tensor transpose(const Tensor& x, int a = -2, int b = -1);
/// Reverses the order of the entries along the listed axes.
Tensor flip(const Tensor& x, List<int> axes);
/// Moves entry i along the axis to i + shift, modulo the axis's length, as NumPy's roll.
Tensor roll(const Tensor& x, std::int64_t shift, int axis);

/// Joins tensors along an existing axis; their other lengths must be equal. Throws ShapeError when they are
/// not or when there are no tensors, DtypeError for different dtypes.
Tensor concat(List<Tensor> parts, int axis);
/// Joins tensors of equal shapes along a new axis. Throws as concat does.
Tensor stack(List<Tensor> parts, int axis = 0);
/// Splits along an axis into pieces of the given lengths, or into `parts` equal pieces. Throws ShapeError
/// unless the pieces fill the axis exactly. Pieces along the first axis share storage with x.
std::vector<Tensor> split(const Tensor& x, List<std::int64_t> lengths, int axis = 0);
inline std::vector<Tensor> split(const Tensor& x, std::initializer_list<std::int64_t> lengths, int axis = 0) {
  return split(x, List<std::int64_t>(lengths), axis);  // {2} is a list, not a number of parts
}
std::vector<Tensor> split(const Tensor& x, std::int64_t parts, int axis = 0);
/// Splits along an axis into at most `parts` pieces of equal length, the last maybe shorter (PyTorch's
/// chunk).
std::vector<Tensor> chunk(const Tensor& x, std::int64_t parts, int axis = 0);

/// Entries begin..end-1 along an axis. A slice that is contiguous in memory shares storage.
Tensor slice(const Tensor& x, int axis, std::int64_t begin, std::int64_t end);
Tensor slice(const Tensor& x, int axis, const Slice& which);
/// which[i] along axis i, for the first which.size() axes.
Tensor slice(const Tensor& x, List<Slice> which);
/// sum[.., begin + i, ..] += x[.., i, ..]: the adjoint of slice.
void add_to_slice(Tensor& sum, const Tensor& x, int axis, std::int64_t begin);
/// The same for slices along the first axes.
void add_to_slice(Tensor& sum, const Tensor& x, List<Slice> which);
namespace detail {
/// Zeros of that shape, with x as the slice from `begin` of the axis, or as slices along the first axes.
Tensor placed(const Tensor& x, const Shape& shape, int axis, std::int64_t begin);
Tensor placed(const Tensor& x, const Shape& shape, List<Slice> which);
}  // namespace detail
/// Entry i along the axis, which the result lacks. A negative i counts from the end. Throws ShapeError when
/// it is out of range.
Tensor select(const Tensor& x, int axis, std::int64_t i);
/// All of them, in order.
std::vector<Tensor> unstack(const Tensor& x, int axis = 0);

/// How many entries to add before and after those of an axis.
struct Padding {
  std::int64_t before = 0, after = 0;
};
enum class PadMode {
  constant,   // PadOptions::value
  reflect,    // the entries mirrored at the first and last one, not repeating these: at most length - 1
  replicate,  // copies of the first and last entry; the axis must not be empty
};
struct PadOptions {
  PadMode mode = PadMode::constant;
  double value = 0;
};
/// Adds entries at both ends of each axis; `widths` has one Padding for each axis. Throws ShapeError when it
/// has not, for a negative width, and for a width that the mode does not allow.
Tensor pad(const Tensor& x, List<Padding> widths, PadOptions options = {});

/// Repeats the whole tensor counts[i] times along axis i, as NumPy's tile and PyTorch's repeat. If there are
/// more counts than axes, axes of length 1 are added in front. Throws ShapeError for fewer, and for negative
/// ones.
Tensor repeat(const Tensor& x, List<std::int64_t> counts);
/// Repeats each entry along the axis `count` times in succession.
Tensor repeat_interleave(const Tensor& x, std::int64_t count, int axis);

/// A diagonal of two axes, `offset` entries to the right of the main diagonal, or below it when negative.
struct DiagonalOptions {
  int offset = 0;
  int axis1 = -2, axis2 = -1;
};
/// The entries [.., i, .., i + offset, ..], where the two axes are replaced by one axis at the end, which has
/// length 0 when the diagonal lies outside.
Tensor diagonal(const Tensor& x, DiagonalOptions options = {});
/// diagonal(sum) += x: the adjoint of diagonal.
void add_to_diagonal(Tensor& sum, const Tensor& x, DiagonalOptions options = {});
/// For a vector (n), the square matrix of n + |offset| rows with the vector on that diagonal and 0 elsewhere;
/// for a matrix, that diagonal as a vector. Throws ShapeError for other ranks.
Tensor diag(const Tensor& x, int offset = 0);
/// The lower (upper) triangle of the matrices in the last two axes, with 0 elsewhere: entries [.., i, j] with
/// j - i <= offset (>= offset) are kept. Throws ShapeError for ranks below 2.
Tensor tril(const Tensor& x, int offset = 0);
Tensor triu(const Tensor& x, int offset = 0);

namespace detail {
/// The index in the original axis of each entry of a padded axis, for reflect and replicate.
std::vector<std::int32_t> padded_sources(PadMode mode, std::int64_t length, Padding width);
void check_padding(const Shape& shape, List<Padding> widths);
}  // namespace detail

}  // namespace gradus
