#pragma once

#include <cstdint>
#include <optional>

#include "tensor/indices.hpp"
#include "tensor/tensor.hpp"

/// Finding, counting and looking up: where numbers stand in a sorted list, which there are and how often, and
/// a function given by a table.
namespace gradus {

struct SearchOptions {
  bool right = false;  // after those that are equal, not before
};
/// For each of the values, before which entry of the sorted numbers it would have to stand for them to remain
/// sorted, as numpy.searchsorted and torch.searchsorted: the number of entries that are less (with `right`,
/// less or equal). sorted: a vector (n), for values of any shape, or (..., n) for values (..., m) with the
/// same leading lengths; the result has the shape of the values. NaN is greater than everything else, as in
/// `sort`. Throws ShapeError, DtypeError, and ArgumentError, naming the place, where the numbers are not
/// sorted.
Indices searchsorted(const Tensor& sorted, const Tensor& values, SearchOptions options = {});

/// The different elements in ascending order, the place of each element among them, and how often each is
/// there: values = those of x without repetition, x = values[inverse]. Of slices along an axis the same, with
/// x = index_select(values, axis, inverse).
template <class Values>
struct Unique {
  Values values;    // (count); of slices x's shape, with count of them along the axis
  Indices inverse;  // x's shape; of slices (x.dim(axis))
  Indices counts;   // (count)
};
/// As torch.unique: of the whole tensor, flat. -0 equals 0 and is the one that comes first; NaN equals
/// nothing, so each NaN is a value of its own.
Unique<Tensor> unique(const Tensor& x);
Unique<Indices> unique(const Indices& ids);
/// The different slices along an axis, as torch.unique with dim and numpy.unique with axis: the rows of a
/// matrix for axis 0, its columns for 1. They compare element by element, in row-major order, and the first
/// two that differ decide. Of equal slices the one that comes first is given; a slice with a NaN equals
/// nothing. Throws ShapeError when there is no such axis.
Unique<Tensor> unique(const Tensor& x, int axis);
Unique<Indices> unique(const Indices& ids, int axis);

/// The positions of the elements that are not 0, in row-major order, an index for each axis: (count, rank),
/// as torch.nonzero. NaN is not 0.
Indices nonzero(const Tensor& x);

struct BincountOptions {
  std::int64_t minlength = 0;  // of the result, which is longer where an id is larger
};
/// How often each id occurs: (max(largest id + 1, minlength)). The ids may have any shape. Throws ShapeError
/// for a negative one, and ArgumentError for a negative minlength.
Indices bincount(const Indices& ids, BincountOptions options = {});
/// The sum of the weights of each id, added in the order of the ids. The weights have the ids' shape
/// (ShapeError).
Tensor bincount(const Indices& ids, const Tensor& weights, BincountOptions options = {});

/// What an interpolated function is outside of its table; without a number, the value at its end.
struct InterpOptions {
  std::optional<double> left = {}, right = {};
};
/// The piecewise linear function through the points (xp, fp) at x, as numpy.interp. xp: (n), ascending; fp:
/// (n); x and the result: any shape. NaN where x is NaN. Throws ShapeError and DtypeError, and ArgumentError,
/// naming the place, unless each xp is greater than the one before.
Tensor interp(const Tensor& x, const Tensor& xp, const Tensor& fp, InterpOptions options = {});

namespace detail {
/// The length of bincount's result. Throws for what bincount refuses.
std::int64_t bincount_length(const Indices& ids, BincountOptions options);
/// Throws what interp throws; `op` names it.
void check_interp(const Tensor& x, const Tensor& xp, const Tensor& fp);
/// The segment of the table that serves each x: i for xp[i] <= x < xp[i + 1], and the first or last one
/// beyond.
Indices interp_segments(const Tensor& x, const Tensor& xp);
/// All ids one further: the other ends of the segments.
Indices next_ids(const Indices& ids);
}  // namespace detail

}  // namespace gradus
