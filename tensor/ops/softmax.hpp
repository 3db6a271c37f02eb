#pragma once

#include "tensor/axes.hpp"
#include "tensor/tensor.hpp"

/// Softmax and its relatives, shifted by the largest so that nothing overflows.
namespace gradus {

/// exp(x) / sum(exp(x)) along an axis, and its logarithm. NaN along an axis that holds NaN, +infinity, or
/// nothing but -infinity. Throw ShapeError for an axis out of range; a scalar has axis 0.
Tensor softmax(const Tensor& x, int axis = -1);
Tensor log_softmax(const Tensor& x, int axis = -1);
/// log(sum(exp(x))) over all axes, one, or several; -infinity over nothing, or over nothing but -infinity.
Tensor logsumexp(const Tensor& x, const Axes& axes = {}, bool keepdims = false);

/// y (g - sum(g y)), the gradient of y = softmax(x); and g - exp(y) sum(g), that of y = log_softmax(x).
Tensor softmax_backward(const Tensor& g, const Tensor& y, int axis = -1);
Tensor log_softmax_backward(const Tensor& g, const Tensor& y, int axis = -1);

}  // namespace gradus
