#pragma once

#include <span>
#include <vector>

#include "tensor/indices.hpp"
#include "tensor/rows.hpp"
#include "tensor/tensor.hpp"

/// Ops on tensors, without gradients (those on Variables are in autograd/ops). Operands broadcast as in
/// NumPy, must be of one dtype (DtypeError), and numbers mix in. All throw ShapeError naming the op and both
/// shapes.
namespace gradus {

/// What a binary op takes: a Tensor or a number. A dying temporary hands its buffer to the result.
struct TensorOperand {
  Tensor tensor;
  double number = 0;

  TensorOperand(const Tensor& x) : tensor(x) {}
  TensorOperand(Tensor&& x) noexcept : tensor(std::move(x)) {}
  TensorOperand(double x) : number(x) {}
  bool is_number() const { return !tensor.defined(); }
};

Tensor operator+(TensorOperand a, TensorOperand b);
Tensor operator-(TensorOperand a, TensorOperand b);
Tensor operator*(TensorOperand a, TensorOperand b);
Tensor operator/(TensorOperand a, TensorOperand b);
Tensor maximum(TensorOperand a, TensorOperand b);
Tensor minimum(TensorOperand a, TensorOperand b);
Tensor pow(TensorOperand a, TensorOperand b);
/// Comparisons give 1 or 0 in the operands' dtype.
Tensor less(TensorOperand a, TensorOperand b);
Tensor less_equal(TensorOperand a, TensorOperand b);
Tensor equal(TensorOperand a, TensorOperand b);

// One argument; by value, so that `exp(std::move(x))` and temporaries are computed in place.
Tensor operator-(Tensor x);
Tensor abs(Tensor x);
Tensor sign(Tensor x);
Tensor square(Tensor x);
Tensor sqrt(Tensor x);
Tensor reciprocal(Tensor x);
Tensor exp(Tensor x);
Tensor log(Tensor x);
Tensor log1p(Tensor x);
Tensor sin(Tensor x);
Tensor cos(Tensor x);
Tensor tanh(Tensor x);
Tensor sigmoid(Tensor x);
Tensor relu(Tensor x);

/// sum += x, broadcasting x to the shape of sum; makes sum zeros_like(x) first when it is undefined.
void add_to(Tensor& sum, const Tensor& x);

/// The sum of all elements, or over the listed axes (kept with length 1 when keepdims).
Tensor sum(const Tensor& x);
Tensor sum(const Tensor& x, std::span<const int> axes, bool keepdims = false);
Tensor sum(const Tensor& x, int axis, bool keepdims = false);
Tensor mean(const Tensor& x);
/// The largest element along the axis. Throws ShapeError for an empty axis.
Tensor max(const Tensor& x, int axis, bool keepdims = false);
/// Sums x down to a shape that broadcasts to x's: the adjoint of broadcasting.
Tensor sum_to(const Tensor& x, const Shape& shape);
/// x repeated to a larger shape. Throws ShapeError unless x's shape broadcasts to it.
Tensor broadcast_to(const Tensor& x, const Shape& shape);

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

/// out[i...] = table[ids[i...]]: (ids' shape, width...). Throws ShapeError naming an id out of range.
Tensor gather_rows(const Tensor& table, const Indices& ids);
/// table[ids[i]] += values[i]
void scatter_add_rows(Tensor& table, const Indices& ids, const Tensor& values);
/// out[i] = x[i, ids[i]] over the last axis: the shape of x without it.
Tensor take_along_last(const Tensor& x, const Indices& ids);

/// Over the last axis.
Tensor log_softmax(const Tensor& x);

/// True when no element is NaN or infinite.
bool all_finite(const Tensor& x);
/// The sum of squares, in double.
double sum_squares(const Tensor& x);
/// True when both have the same dtype, shape and bits.
bool identical(const Tensor& a, const Tensor& b);

}  // namespace gradus
