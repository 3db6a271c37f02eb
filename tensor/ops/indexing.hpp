#pragma once

#include "tensor/indices.hpp"
#include "tensor/rows.hpp"
#include "tensor/tensor.hpp"

/// Gathering by ids, and the adjoint.
namespace gradus {

/// out[i...] = table[ids[i...]]: (ids' shape, width...). Throws ShapeError naming an id out of range.
Tensor gather_rows(const Tensor& table, const Indices& ids);
/// table[ids[i]] += values[i]
void scatter_add_rows(Tensor& table, const Indices& ids, const Tensor& values);
/// out[i] = x[i, ids[i]] over the last axis: the shape of x without it.
Tensor take_along_last(const Tensor& x, const Indices& ids);

}  // namespace gradus
