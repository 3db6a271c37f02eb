#pragma once

#include "tensor/tensor.hpp"

namespace gradus {

/// y[i] = log(exp(x[0]) + ... + exp(x[i])) along the axis, without overflow, accumulated in double beside the
/// largest element so far. -infinity while all elements are; infinity from the first one on that is. Throws
/// ShapeError for an axis out of range; a scalar has axis 0.
Tensor logcumsumexp(const Tensor& x, int axis);

}  // namespace gradus
