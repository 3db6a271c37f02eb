#pragma once

#include "autograd/variable.hpp"
#include "tensor/ops/indexing.hpp"

/// Picking and adding by ids, with gradients of every order. Each is documented at its namesake for tensors,
/// in tensor/ops/indexing.hpp.
namespace gradus {

/// The gradient is row-sparse.
Variable gather_rows(const Variable& table, const Indices& ids, Where where = Where::here());
/// A (height, width...) tensor of zeros with values[i...] added at row ids[i...]: the adjoint of gather_rows.
Variable scatter_rows(const Variable& values, const Indices& ids, std::int64_t height,
                      Where where = Where::here());

Variable index_select(const Variable& x, int axis, const Indices& ids, Where where = Where::here());
/// The result is x with the values added, of the shape of x.
Variable index_add(const Variable& x, int axis, const Indices& ids, const Variable& values,
                   Where where = Where::here());

Variable gather(const Variable& x, int axis, const Indices& ids, Where where = Where::here());
/// The result is x with the values added; they have the ids' shape.
Variable scatter_add(const Variable& x, int axis, const Indices& ids, const Variable& values,
                     Where where = Where::here());
Variable take_along(const Variable& x, int axis, const Indices& ids, Where where = Where::here());
Variable pick(const Variable& x, int axis, const Indices& ids, Where where = Where::here());

Variable repeat_interleave(const Variable& x, const Indices& counts, int axis, Where where = Where::here());
/// No gradient goes where the mask is not 0.
Variable masked_fill(const Variable& x, const Tensor& mask, double value, Where where = Where::here());

}  // namespace gradus
