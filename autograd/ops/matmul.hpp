#pragma once

#include "autograd/variable.hpp"
#include "tensor/ops.hpp"

/// Products of matrices, as documented in tensor/ops/matmul.hpp; a default-made bias is none.
namespace gradus {

Variable matmul(const Variable& a, const Variable& b, MatmulOptions options = {},
                Where where = Where::here());
Variable linear(const Variable& x, const Variable& weight, const Variable& bias, Where where = Where::here());

}  // namespace gradus
