#pragma once

#include "tensor/tensor.hpp"

/// Elementwise ops. Operands broadcast as in NumPy, must be of one dtype (DtypeError), and numbers mix in.
/// Throw ShapeError naming the op and both shapes.
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

/// True when no element is NaN or infinite.
bool all_finite(const Tensor& x);
/// The sum of squares, in double.
double sum_squares(const Tensor& x);
/// True when both have the same dtype, shape and bits.
bool identical(const Tensor& a, const Tensor& b);

}  // namespace gradus
