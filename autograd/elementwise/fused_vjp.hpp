#pragma once

// Internal: not part of the public interface.

#include "tensor/kernels/elementwise.hpp"
#include "tensor/tensor.hpp"

/// The derivatives of derivatives.hpp on tensors, each in one pass.
namespace gradus::detail {

/// local_vjp(op, g, v): g and v are of one shape.
Tensor fused_vjp(kernels::Unary op, const Tensor& g, const Tensor& v);
/// local_vjp<operand>(op, g, a, b, y): a, b and y broadcast to g's shape and are undefined where they are not
/// read.
template <int operand>
Tensor fused_vjp(kernels::Binary op, const Tensor& g, const Tensor& a, const Tensor& b, const Tensor& y);

}  // namespace gradus::detail
