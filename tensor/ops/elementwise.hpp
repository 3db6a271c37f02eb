#pragma once

#include "tensor/tensor.hpp"

/// Elementwise ops. Operands broadcast as in NumPy, must be of one dtype (DtypeError), and numbers mix in,
/// rounded to that dtype. Throw ShapeError naming the op and both shapes. At NaN, infinities and the edges of
/// domains the values are PyTorch's, unless said.
namespace gradus {

/// What an op of several operands takes: a Tensor or a number. A dying temporary hands its buffer to the
/// result. Throws ShapeError for an undefined Tensor.
struct TensorOperand {
  Tensor tensor;
  double number = 0;

  TensorOperand(const Tensor& x) : tensor(x) { x.dtype(); }
  TensorOperand(Tensor&& x) : tensor(std::move(x)) { tensor.dtype(); }
  TensorOperand(double x) : number(x) {}
  bool is_number() const { return !tensor.defined(); }
};

Tensor operator+(TensorOperand a, TensorOperand b);
Tensor operator-(TensorOperand a, TensorOperand b);
Tensor operator*(TensorOperand a, TensorOperand b);
Tensor operator/(TensorOperand a, TensorOperand b);
/// The larger and the smaller of two; NaN on either side wins.
Tensor maximum(TensorOperand a, TensorOperand b);
Tensor minimum(TensorOperand a, TensorOperand b);
/// a^b; pow(x, 0) and pow(1, x) are 1 even at NaN.
Tensor pow(TensorOperand a, TensorOperand b);
/// The angle of the point (x, y) in (-pi, pi].
Tensor atan2(TensorOperand y, TensorOperand x);
/// a - n b for the whole number n that leaves a remainder of a's sign and less than |b|.
Tensor fmod(TensorOperand a, TensorOperand b);

// Comparisons give 1 or 0 in the operands' dtype. NaN compares false, and not_equal true.
Tensor less(TensorOperand a, TensorOperand b);
Tensor less_equal(TensorOperand a, TensorOperand b);
Tensor greater(TensorOperand a, TensorOperand b);
Tensor greater_equal(TensorOperand a, TensorOperand b);
Tensor equal(TensorOperand a, TensorOperand b);
Tensor not_equal(TensorOperand a, TensorOperand b);
Tensor operator<(TensorOperand a, TensorOperand b);
Tensor operator<=(TensorOperand a, TensorOperand b);
Tensor operator>(TensorOperand a, TensorOperand b);
Tensor operator>=(TensorOperand a, TensorOperand b);

/// x = x + y and so on; y broadcasts to the shape of x, which stays (ShapeError). Other Tensors that share
/// x's storage keep their values. x is as before when this throws.
Tensor& operator+=(Tensor& x, TensorOperand y);
Tensor& operator-=(Tensor& x, TensorOperand y);
Tensor& operator*=(Tensor& x, TensorOperand y);
Tensor& operator/=(Tensor& x, TensorOperand y);

/// a * b + c, rounded once where the processor can (with AVX2, AVX-512 and NEON it does).
Tensor fma(TensorOperand a, TensorOperand b, TensorOperand c);
/// a where the condition is not 0, elsewhere b; all three broadcast. What is not chosen has no influence: NaN
/// there does not spread.
Tensor where(TensorOperand condition, TensorOperand a, TensorOperand b);
/// minimum(maximum(x, low), high): where the bounds cross, high wins.
Tensor clamp(TensorOperand x, TensorOperand low, TensorOperand high);

// One argument; by value, so that `exp(std::move(x))` and temporaries are computed in place.
Tensor operator-(Tensor x);
Tensor abs(Tensor x);
/// 1, -1, or 0 at 0; NaN stays NaN, as in NumPy (PyTorch gives 0).
Tensor sign(Tensor x);
Tensor square(Tensor x);
Tensor sqrt(Tensor x);
/// 1 / sqrt(x)
Tensor rsqrt(Tensor x);
Tensor reciprocal(Tensor x);
Tensor exp(Tensor x);
/// exp(x) - 1, accurate near 0.
Tensor expm1(Tensor x);
Tensor log(Tensor x);
/// log(1 + x), accurate near 0.
Tensor log1p(Tensor x);
Tensor log2(Tensor x);
Tensor sin(Tensor x);
Tensor cos(Tensor x);
Tensor tan(Tensor x);
Tensor asin(Tensor x);
Tensor acos(Tensor x);
Tensor atan(Tensor x);
Tensor sinh(Tensor x);
Tensor cosh(Tensor x);
Tensor tanh(Tensor x);
Tensor asinh(Tensor x);
Tensor acosh(Tensor x);
Tensor atanh(Tensor x);
/// 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x.
Tensor erf(Tensor x);
/// 1 - erf(x), accurate where erf is near 1.
Tensor erfc(Tensor x);
/// log |Gamma(x)|; infinity at the poles 0, -1, -2, ...
Tensor lgamma(Tensor x);
/// The n-th derivative of digamma, n >= 0 (ArgumentError). At the poles of odd n infinity, of even n > 0
/// -infinity.
Tensor polygamma(int n, Tensor x);
/// The derivative of lgamma; NaN at -1, -2, ..., infinities of both signs at the two zeros.
Tensor digamma(Tensor x);
/// 1 / (1 + exp(-x))
Tensor sigmoid(Tensor x);
/// max(x, 0); NaN stays NaN.
Tensor relu(Tensor x);
Tensor floor(Tensor x);
Tensor ceil(Tensor x);
/// To the nearest whole number, halves to the even one.
Tensor round(Tensor x);

/// sum += x, broadcasting x to the shape of sum; makes sum zeros_like(x) first when it is undefined.
void add_to(Tensor& sum, const Tensor& x);

/// True when no element is NaN or infinite.
bool all_finite(const Tensor& x);
/// The sum of squares, in double.
double sum_squares(const Tensor& x);
/// True when both have the same dtype, shape and bits.
bool identical(const Tensor& a, const Tensor& b);

}  // namespace gradus
