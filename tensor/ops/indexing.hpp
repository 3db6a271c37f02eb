#pragma once

#include "tensor/indices.hpp"
#include "tensor/rows.hpp"
#include "tensor/tensor.hpp"

/// Gathering and scattering by ids. Ids count from 0; for one that is out of range, such as a negative one,
/// these throw ShapeError, naming the id, its position and the range. Values that are added to the same
/// element are added in the order of the ids, whatever the number of threads.
namespace gradus {

/// out[.., i.., ..] = x[.., ids[i..], ..]: the ids' axes replace the axis.
Tensor index_select(const Tensor& x, int axis, const Indices& ids);
/// sum[.., ids[i..], ..] += x[.., i.., ..]: the adjoint of index_select.
void index_add(Tensor& sum, int axis, const Indices& ids, const Tensor& x);

/// index_select along the first axis: (ids' shape, width...).
Tensor gather_rows(const Tensor& table, const Indices& ids);
/// table[ids[i]] += values[i]
void scatter_add_rows(Tensor& table, const Indices& ids, const Tensor& values);

/// out[i, j, k] = x[i, ids[i, j, k], k], for axis 1 of three, as PyTorch's gather. The result has the ids'
/// shape, whose other axes must not be longer than x's.
Tensor gather(const Tensor& x, int axis, const Indices& ids);
/// sum[i, ids[i, j, k], k] += x[i, j, k]: the adjoint of gather. x has the ids' shape.
void scatter_add(Tensor& sum, int axis, const Indices& ids, const Tensor& x);
/// Like gather, but the other axes broadcast, as NumPy's take_along_axis.
Tensor take_along(const Tensor& x, int axis, const Indices& ids);
/// One entry for each position along the other axes: out[i, k] = x[i, ids[i, k], k], for axis 1 of three. The
/// ids and the result have the shape of x without the axis.
Tensor pick(const Tensor& x, int axis, const Indices& ids);

/// Repeats entry i along the axis counts[i] times in succession. Throws ShapeError unless `counts` is a
/// vector of the axis's length without negative numbers.
Tensor repeat_interleave(const Tensor& x, const Indices& counts, int axis);

/// x with `value` wherever the mask is not 0. The mask broadcasts to x's shape.
Tensor masked_fill(const Tensor& x, const Tensor& mask, double value);

/// The ids broadcast to a larger shape.
Indices broadcast_to(const Indices& ids, const Shape& shape);
/// Throws ShapeError, naming `op`, unless all ids are in 0..length-1.
void check_ids(const char* op, const Indices& ids, std::int64_t length);

namespace detail {
/// The shape of the result of take_along.
Shape taken_along(const Shape& shape, int axis, const Indices& ids);
/// The ids that repeat_interleave selects along an axis of this length.
Indices interleaved_ids(const Indices& counts, std::int64_t length);
}  // namespace detail

}  // namespace gradus
