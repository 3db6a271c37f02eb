#pragma once

#include "tensor/tensor.hpp"

/// Products of matrices.
namespace gradus {

struct MatmulOptions {
  bool transpose_a = false;
  bool transpose_b = false;
};
/// The product of the last two axes, (m, k) by (k, n), over broadcast leading axes; a vector on the left is a
/// row, on the right a column, and its axis is dropped from the result. Transposed operands are not copied.
Tensor matmul(const Tensor& a, const Tensor& b, MatmulOptions options = {});
/// sum += matmul(a, b) for matrices or a common batch.
void add_matmul(Tensor& sum, const Tensor& a, const Tensor& b, MatmulOptions options = {});
/// x W^T + b over the last axis of x. weight: (out, in); bias: (out) or undefined.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias);

}  // namespace gradus
