#pragma once

#include "tensor/tensor.hpp"

/// Elementwise ops. Operands broadcast as in NumPy, must be of one dtype (DtypeError), and numbers mix in,
/// rounded to that dtype. Throw ShapeError naming the op and both shapes. At NaN, infinities and the edges of
/// domains the values are PyTorch's, unless said.
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
/// The larger and the smaller of two; NaN on either side wins.
Tensor maximum(const TensorOperand& a, const TensorOperand& b);
Tensor minimum(const TensorOperand& a, const TensorOperand& b);
/// a^b; pow(x, 0) and pow(1, x) are 1 even at NaN.
Tensor pow(const TensorOperand& a, const TensorOperand& b);
/// The angle of the point (x, y) in (-pi, pi].
Tensor atan2(const TensorOperand& y, const TensorOperand& x);
/// a - n b for the whole number n that leaves a remainder of a's sign and less than |b|.
Tensor fmod(const TensorOperand& a, const TensorOperand& b);

// Comparisons give 1 or 0 in the operands' dtype. NaN compares false, and not_equal true.
Tensor less(const TensorOperand& a, const TensorOperand& b);
Tensor less_equal(const TensorOperand& a, const TensorOperand& b);
Tensor greater(const TensorOperand& a, const TensorOperand& b);
Tensor greater_equal(const TensorOperand& a, const TensorOperand& b);
Tensor equal(const TensorOperand& a, const TensorOperand& b);
Tensor not_equal(const TensorOperand& a, const TensorOperand& b);
Tensor operator<(const TensorOperand& a, const TensorOperand& b);
Tensor operator<=(const TensorOperand& a, const TensorOperand& b);
Tensor operator>(const TensorOperand& a, const TensorOperand& b);
Tensor operator>=(const TensorOperand& a, const TensorOperand& b);

/// x = x + y and so on; y broadcasts to the shape of x, which stays (ShapeError). Other Tensors that share
/// x's storage keep their values. x is as before when this throws.
Tensor& operator+=(Tensor& x, const TensorOperand& y);
Tensor& operator-=(Tensor& x, const TensorOperand& y);
Tensor& operator*=(Tensor& x, const TensorOperand& y);
Tensor& operator/=(Tensor& x, const TensorOperand& y);

/// a * b + c, rounded once where the processor can (with AVX2, AVX-512 and NEON it does).
Tensor fma(const TensorOperand& a, const TensorOperand& b, const TensorOperand& c);
/// a where the condition is not 0, elsewhere b; all three broadcast. What is not chosen has no influence: NaN
/// there does not spread.
Tensor where(const TensorOperand& condition, const TensorOperand& a, const TensorOperand& b);
/// minimum(maximum(x, low), high): where the bounds cross, high wins.
Tensor clamp(const TensorOperand& x, const TensorOperand& low, const TensorOperand& high);

// One argument; `exp(std::move(x))` and temporaries are computed in place.
Tensor operator-(const TensorArgument& x);
Tensor abs(const TensorArgument& x);
/// 1, -1, or 0 at 0; NaN stays NaN, as in NumPy (PyTorch gives 0).
Tensor sign(const TensorArgument& x);
Tensor square(const TensorArgument& x);
Tensor sqrt(const TensorArgument& x);
/// 1 / sqrt(x)
Tensor rsqrt(const TensorArgument& x);
Tensor reciprocal(const TensorArgument& x);
Tensor exp(const TensorArgument& x);
/// exp(x) - 1, accurate near 0.
Tensor expm1(const TensorArgument& x);
Tensor log(const TensorArgument& x);
/// log(1 + x), accurate near 0.
Tensor log1p(const TensorArgument& x);
Tensor log2(const TensorArgument& x);
Tensor sin(const TensorArgument& x);
Tensor cos(const TensorArgument& x);
Tensor tan(const TensorArgument& x);
Tensor asin(const TensorArgument& x);
Tensor acos(const TensorArgument& x);
Tensor atan(const TensorArgument& x);
Tensor sinh(const TensorArgument& x);
Tensor cosh(const TensorArgument& x);
Tensor tanh(const TensorArgument& x);
Tensor asinh(const TensorArgument& x);
Tensor acosh(const TensorArgument& x);
Tensor atanh(const TensorArgument& x);
/// 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x.
Tensor erf(const TensorArgument& x);
/// 1 - erf(x), accurate where erf is near 1.
Tensor erfc(const TensorArgument& x);
/// log |Gamma(x)|; infinity at the poles 0, -1, -2, ...
Tensor lgamma(const TensorArgument& x);
/// The n-th derivative of digamma, n >= 0 (ArgumentError). At the poles of odd n infinity, of even n > 0
/// -infinity.
Tensor polygamma(int n, const TensorArgument& x);
/// The derivative of lgamma; NaN at -1, -2, ..., infinities of both signs at the two zeros.
Tensor digamma(const TensorArgument& x);
/// 1 / (1 + exp(-x))
Tensor sigmoid(const TensorArgument& x);
/// max(x, 0); NaN stays NaN.
Tensor relu(const TensorArgument& x);
Tensor floor(const TensorArgument& x);
Tensor ceil(const TensorArgument& x);
/// To the nearest whole number, halves to the even one.
Tensor round(const TensorArgument& x);

/// sum += x, broadcasting x to the shape of sum; makes sum zeros_like(x) first when it is undefined.
void add_to(Tensor& sum, const Tensor& x);

/// True when no element is NaN or infinite.
bool all_finite(const Tensor& x);
/// The sum of squares, in double.
double sum_squares(const Tensor& x);
/// True when both have the same dtype, shape and bits.
bool identical(const Tensor& a, const Tensor& b);

}  // namespace gradus
