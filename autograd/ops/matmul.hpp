#pragma once

#include "autograd/variable.hpp"
#include "tensor/ops.hpp"

namespace gradus {

/// The product over the last axis of a and the last but one of b, (m, k) by (k, n), over broadcast leading
/// axes; a vector on the left is a row, on the right a column, and its axis is dropped from the result.
/// Throws ShapeError when the inner lengths differ.
Variable matmul(const Variable& a, const Variable& b, MatmulOptions options = {},
                Where where = Where::here());
/// x W^T + b over the last axis of x. weight: (out, in); bias: (out), or default-made for none.
Variable linear(const Variable& x, const Variable& weight, const Variable& bias, Where where = Where::here());

}  // namespace gradus
