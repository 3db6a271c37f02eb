#pragma once

#include <span>

#include "tensor/tensor.hpp"

/// Ops that move elements without computing on them.
namespace gradus {

/// The axes in another order: out.dim(i) = x.dim(axes[i]).
Tensor permute(const Tensor& x, std::span<const int> axes);
/// Two axes swapped; the last two by default.
Tensor transpose(const Tensor& x, int a = -2, int b = -1);
/// Tensors of one shape but for the axis, one after the other. Throws ShapeError for none.
Tensor concat(std::span<const Tensor> parts, int axis);
/// Tensors of one shape along a new axis.
Tensor stack(std::span<const Tensor> parts, int axis = 0);
/// Entries begin..end-1 along an axis.
Tensor slice(const Tensor& x, int axis, std::int64_t begin, std::int64_t end);
/// sum[.., begin + i, ..] += x[.., i, ..]: the adjoint of slice.
void add_to_slice(Tensor& sum, const Tensor& x, int axis, std::int64_t begin);

}  // namespace gradus
