#pragma once

#include "autograd/variable.hpp"
#include "tensor/ops/conv.hpp"

namespace gradus {

/// Convolution along the last axis. x: (batch, channels, length); weight: (out, channels / groups, width);
/// bias: (out), or default-made for none. Options: stride, padding, dilation, groups, causal; the formula,
/// the result's length and what it throws are documented in tensor/ops/conv.hpp. Differentiable to any order.
Variable conv1d(const Variable& x, const Variable& weight, const Variable& bias = Variable(),
                Conv1dOptions options = {}, Where where = Where::here());
/// Its adjoint with respect to x, as an op of its own. x: (batch, in, length); weight: (in, channels /
/// groups, width); bias: (channels), or default-made for none.
Variable conv_transpose1d(const Variable& x, const Variable& weight, const Variable& bias = Variable(),
                          ConvTranspose1dOptions options = {}, Where where = Where::here());

}  // namespace gradus
