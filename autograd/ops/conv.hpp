#pragma once

#include "autograd/variable.hpp"
#include "tensor/ops/conv.hpp"

/// Convolutions, as documented in tensor/ops/conv.hpp; differentiable to any order. A default-made bias is
/// none.
namespace gradus {

Variable conv1d(const Variable& x, const Variable& weight, const Variable& bias = Variable(),
                Conv1dOptions options = {}, Where where = Where::here());
Variable conv_transpose1d(const Variable& x, const Variable& weight, const Variable& bias = Variable(),
                          ConvTranspose1dOptions options = {}, Where where = Where::here());
Variable conv2d(const Variable& x, const Variable& weight, const Variable& bias = Variable(),
                Conv2dOptions options = {}, Where where = Where::here());
Variable conv_transpose2d(const Variable& x, const Variable& weight, const Variable& bias = Variable(),
                          ConvTranspose2dOptions options = {}, Where where = Where::here());

}  // namespace gradus
