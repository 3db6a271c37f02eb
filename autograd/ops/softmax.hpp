#pragma once

#include "autograd/variable.hpp"

/// As documented in tensor/ops/softmax.hpp.
namespace gradus {

Variable log_softmax(const Variable& x, int axis = -1, Where where = Where::here());
Variable softmax(const Variable& x, int axis = -1, Where where = Where::here());

}  // namespace gradus
