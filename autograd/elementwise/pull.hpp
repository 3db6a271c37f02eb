#pragma once

// Internal: not part of the public interface.

#include "tensor/kernels/kernels.hpp"
#include "tensor/tensor.hpp"

/// The derivatives of derivatives.hpp on tensors, each in one pass.
namespace gradus::detail {

/// pull(op, g, v): g and v are of one shape.
Tensor pull_values(kernels::Unary op, const Tensor& g, const Tensor& v);
/// pull_first(op, g, a, b) and pull_second(op, g, a, b, y): a, b and y broadcast to g's shape and are
/// undefined where they are not read.
Tensor pull_first_values(kernels::Binary op, const Tensor& g, const Tensor& a, const Tensor& b);
Tensor pull_second_values(kernels::Binary op, const Tensor& g, const Tensor& a, const Tensor& b,
                          const Tensor& y);

}  // namespace gradus::detail
