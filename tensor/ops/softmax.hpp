#pragma once

#include "tensor/tensor.hpp"

/// Softmax and related functions. The largest element is subtracted first, so that nothing overflows.
namespace gradus {

/// exp(x) / sum(exp(x)) along an axis, and its logarithm. Where the entries along the axis contain NaN or
/// +infinity or are all -infinity, the results are NaN. Throw ShapeError for an axis out of range; a scalar
/// has axis 0.
Tensor softmax(const Tensor& x, int axis = -1);
Tensor log_softmax(const Tensor& x, int axis = -1);

/// The gradients with respect to x, for a gradient g of y: y (g - sum(g y)) for y = softmax(x), and g -
/// exp(y) sum(g) for y = log_softmax(x).
Tensor softmax_backward(const Tensor& g, const Tensor& y, int axis = -1);
Tensor log_softmax_backward(const Tensor& g, const Tensor& y, int axis = -1);

}  // namespace gradus
