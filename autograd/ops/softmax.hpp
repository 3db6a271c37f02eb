#pragma once

#include "autograd/variable.hpp"

namespace gradus {

/// log(exp(x) / sum(exp(x))) along an axis, the last by default, computed without overflow. NaN where the
/// axis holds NaN, +infinity, or nothing but -infinity. Throws ShapeError for an axis out of range; a
/// scalar has axis 0.
Variable log_softmax(const Variable& x, int axis = -1, Where where = Where::here());
/// exp(x) / sum(exp(x)), likewise.
Variable softmax(const Variable& x, int axis = -1, Where where = Where::here());

}  // namespace gradus
