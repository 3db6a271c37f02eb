#pragma once

#include "autograd/variable.hpp"
#include "tensor/ops/logcumsumexp.hpp"

namespace gradus {

/// As documented in tensor/ops/logcumsumexp.hpp, with gradients of every order. No exponential in them is
/// above 1, so none overflows; the gradient through results of -infinity is 0.
Variable logcumsumexp(const Variable& x, int axis, Where where = Where::here());

}  // namespace gradus
