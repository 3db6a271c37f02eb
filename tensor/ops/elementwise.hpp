#pragma once

#include "tensor/tensor.hpp"

/// Elementwise ops. Operands broadcast as in NumPy, must be of one dtype (DtypeError), and numbers mix in.
/// Throw ShapeError naming the op and both shapes.
namespace gradus {

/// What an op of one operand takes, for the length of the call: a Tensor. A dying temporary hands its buffer
/// to the result.
class TensorArgument {
 public:
  TensorArgument(const Tensor& x) noexcept : tensor_(&x) {}
  TensorArgument(Tensor&& x) noexcept : tensor_(&x), dying_(&x) {}
  TensorArgument(const TensorArgument&) = delete;
  TensorArgument& operator=(const TensorArgument&) = delete;
  ~TensorArgument() = default;

  const Tensor& tensor() const { return *tensor_; }
  /// True when the tensor's buffer may be written to.
  bool reusable() const { return dying_ != nullptr && dying_->unique(); }
  /// The tensor itself when its buffer may be written to. Its elements stay readable where they are.
  Tensor reuse() const { return std::move(*dying_); }

 protected:
  TensorArgument() = default;  // for numbers
  const Tensor* tensor_ = nullptr;
  Tensor* dying_ = nullptr;
};

/// What an op of several operands takes: a Tensor or a number.
class TensorOperand : public TensorArgument {
 public:
  using TensorArgument::TensorArgument;
  TensorOperand(double x) noexcept : number_(x) {}

  bool is_number() const { return tensor_ == nullptr; }
  double number() const { return number_; }

 private:
  double number_ = 0;
};

Tensor operator+(const TensorOperand& a, const TensorOperand& b);
Tensor operator-(const TensorOperand& a, const TensorOperand& b);
Tensor operator*(const TensorOperand& a, const TensorOperand& b);
Tensor operator/(const TensorOperand& a, const TensorOperand& b);
Tensor maximum(const TensorOperand& a, const TensorOperand& b);
Tensor minimum(const TensorOperand& a, const TensorOperand& b);
Tensor pow(const TensorOperand& a, const TensorOperand& b);
/// Comparisons give 1 or 0 in the operands' dtype.
Tensor less(const TensorOperand& a, const TensorOperand& b);
Tensor less_equal(const TensorOperand& a, const TensorOperand& b);
Tensor equal(const TensorOperand& a, const TensorOperand& b);

// One argument; `exp(std::move(x))` and temporaries are computed in place.
Tensor operator-(const TensorArgument& x);
Tensor abs(const TensorArgument& x);
Tensor sign(const TensorArgument& x);
Tensor square(const TensorArgument& x);
Tensor sqrt(const TensorArgument& x);
Tensor reciprocal(const TensorArgument& x);
Tensor exp(const TensorArgument& x);
Tensor log(const TensorArgument& x);
Tensor log1p(const TensorArgument& x);
Tensor sin(const TensorArgument& x);
Tensor cos(const TensorArgument& x);
Tensor tanh(const TensorArgument& x);
Tensor sigmoid(const TensorArgument& x);
Tensor relu(const TensorArgument& x);

/// sum += x, broadcasting x to the shape of sum; makes sum zeros_like(x) first when it is undefined.
void add_to(Tensor& sum, const Tensor& x);

/// True when no element is NaN or infinite.
bool all_finite(const Tensor& x);
/// The sum of squares, in double.
double sum_squares(const Tensor& x);
/// True when both have the same dtype, shape and bits.
bool identical(const Tensor& a, const Tensor& b);

}  // namespace gradus
