#pragma once

#include "autograd/variable.hpp"
#include "tensor/ops/scan.hpp"

namespace gradus {

/// h[t] = a[t] * h[t-1] + b[t] along the first axis, h[-1] being `start`, which may be without a value, as
/// documented in tensor/ops/scan.hpp. One node, whose gradient is one scan from the end.
Variable linear_scan(const Variable& a, const Variable& b, const Variable& start = {},
                     Where where = Where::here());

}  // namespace gradus
