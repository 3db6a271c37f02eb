#pragma once

#include "autograd/variable.hpp"
#include "tensor/indices.hpp"

namespace gradus {

/// out[i...] = table[ids[i...]]: table (height, width...), out (ids' shape, width...). The gradient is
/// row-sparse. Throws ShapeError naming an id out of range.
Variable gather_rows(const Variable& table, const Indices& ids, Where where = Where::here());
/// A (height, width...) tensor of zeros with values[i...] added at row ids[i...]: the adjoint of gather_rows.
Variable scatter_rows(const Variable& values, const Indices& ids, std::int64_t height,
                      Where where = Where::here());

}  // namespace gradus
