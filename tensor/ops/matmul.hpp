#pragma once

#include "tensor/tensor.hpp"

/// Products of matrices.
namespace gradus {

struct MatmulOptions {
  bool transpose_a = false;
  bool transpose_b = false;
};
/// Products of the matrices in the last two axes, (m, k) by (k, n); leading axes are batches, which
/// broadcast. A vector on the left counts as a row and one on the right as a column, and the result lacks
/// that axis. Transposed operands are not copied. Throws ShapeError and DtypeError.
Tensor matmul(const Tensor& a, const Tensor& b, MatmulOptions options = {});
/// sum += matmul(a, b), for operands of rank 2 or more.
void add_matmul(Tensor& sum, const Tensor& a, const Tensor& b, MatmulOptions options = {});
/// x weight^T + bias. x: (..., in); weight: (out, in); bias: (out), or undefined; result: (..., out). The
/// weight may be compact (tensor/compact.hpp), x is f32 then.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias);

}  // namespace gradus
