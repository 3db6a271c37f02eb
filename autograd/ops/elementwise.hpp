#pragma once

#include "autograd/variable.hpp"
#include "tensor/ops/elementwise.hpp"

/// The functions of one argument of tensor/ops/elementwise.hpp on Variables.
namespace gradus {

/// By its number.
Variable apply(kernels::Unary op, const Variable& x, Where where = Where::here());

}  // namespace gradus
