#pragma once

#include "tensor/indices.hpp"
#include "tensor/rows.hpp"
#include "tensor/tensor.hpp"

/// Picking and adding by ids, and the adjoints. Ids go from 0; one out of range, negative ones included, is a
/// ShapeError that names the id, its position and the range. What is added at one place is added in the order
/// of the ids, whatever the number of threads.
namespace gradus {

/// out[.., i.., ..] = x[.., ids[i..], ..]: the axis is replaced by the ids' shape.
Tensor index_select(const Tensor& x, int axis, const Indices& ids);
/// sum[.., ids[i..], ..] += x[.., i.., ..]: the adjoint of index_select.
void index_add(Tensor& sum, int axis, const Indices& ids, const Tensor& x);

/// index_select of rows: (ids' shape, width...).
Tensor gather_rows(const Tensor& table, const Indices& ids);
/// table[ids[i]] += values[i]
void scatter_add_rows(Tensor& table, const Indices& ids, const Tensor& values);

/// out[i, j, k] = x[i, ids[i, j, k], k], for axis 1 of three; out has the ids' shape, whose other axes are no
/// longer than x's (PyTorch's gather).
Tensor gather(const Tensor& x, int axis, const Indices& ids);
/// sum[i, ids[i, j, k], k] += x[i, j, k]: the adjoint of gather. x has the ids' shape.
void scatter_add(Tensor& sum, int axis, const Indices& ids, const Tensor& x);
/// As gather, but the other axes broadcast: NumPy's take_along_axis.
Tensor take_along(const Tensor& x, int axis, const Indices& ids);
/// One entry for each position of the other axes: out[i, k] = x[i, ids[i, k], k], for axis 1 of three. The
/// shape of x without the axis, which is that of ids.
Tensor pick(const Tensor& x, int axis, const Indices& ids);

/// Entry i along the axis counts[i] times in a row. Throws ShapeError unless counts is a vector of the axis's
/// length, or for a negative one.
Tensor repeat_interleave(const Tensor& x, const Indices& counts, int axis);

/// x, but `value` where the mask, which broadcasts to x's shape, is not 0.
Tensor masked_fill(const Tensor& x, const Tensor& mask, double value);

/// ids repeated up to a larger shape.
Indices broadcast_to(const Indices& ids, const Shape& shape);
/// Throws ShapeError, naming op, unless each id is in 0..length-1.
void check_ids(const char* op, const Indices& ids, std::int64_t length);

namespace detail {
/// The shape of the result of take_along.
Shape taken_along(const Shape& shape, int axis, const Indices& ids);
/// The ids that repeat_interleave selects along an axis of that length.
Indices interleaved_ids(const Indices& counts, std::int64_t length);
}  // namespace detail

}  // namespace gradus
