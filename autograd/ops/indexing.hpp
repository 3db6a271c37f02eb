#pragma once

#include "autograd/variable.hpp"
#include "tensor/indices.hpp"

/// Picking and adding by ids, with gradients of every order. Ids go from 0; one out of range, negative ones
/// included, is a ShapeError that names the id, its position and the range. Equal ids add up in their order,
/// whatever the number of threads. See tensor/ops/indexing.hpp.
namespace gradus {

/// out[i...] = table[ids[i...]]: table (height, width...), out (ids' shape, width...). The gradient is
/// row-sparse.
Variable gather_rows(const Variable& table, const Indices& ids, Where where = Where::here());
/// A (height, width...) tensor of zeros with values[i...] added at row ids[i...]: the adjoint of gather_rows.
Variable scatter_rows(const Variable& values, const Indices& ids, std::int64_t height,
                      Where where = Where::here());

/// out[.., i.., ..] = x[.., ids[i..], ..]: the axis is replaced by the ids' shape.
Variable index_select(const Variable& x, int axis, const Indices& ids, Where where = Where::here());
/// x with values[.., i.., ..] added at [.., ids[i..], ..]: of the shape of x.
Variable index_add(const Variable& x, int axis, const Indices& ids, const Variable& values,
                   Where where = Where::here());

/// out[i, j, k] = x[i, ids[i, j, k], k], for axis 1 of three; out has the ids' shape, whose other axes are no
/// longer than x's (PyTorch's gather).
Variable gather(const Variable& x, int axis, const Indices& ids, Where where = Where::here());
/// x with values[i, j, k] added at [i, ids[i, j, k], k], for axis 1 of three; values have the ids' shape.
Variable scatter_add(const Variable& x, int axis, const Indices& ids, const Variable& values,
                     Where where = Where::here());
/// As gather, but the other axes broadcast: NumPy's take_along_axis.
Variable take_along(const Variable& x, int axis, const Indices& ids, Where where = Where::here());
/// One entry for each position of the other axes: out[i, k] = x[i, ids[i, k], k], for axis 1 of three.
Variable pick(const Variable& x, int axis, const Indices& ids, Where where = Where::here());

/// Entry i along the axis counts[i] times in a row.
Variable repeat_interleave(const Variable& x, const Indices& counts, int axis, Where where = Where::here());
/// x, but `value` where the mask, which broadcasts to x's shape, is not 0; no gradient goes there.
Variable masked_fill(const Variable& x, const Tensor& mask, double value, Where where = Where::here());

}  // namespace gradus
