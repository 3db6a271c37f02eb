#pragma once

#include <concepts>
#include <type_traits>
#include <utility>

#include "tensor/kernels/elementwise.hpp"
#include "tensor/tensor.hpp"

/// Elementwise functions. Each is written once, for the three things it may be called on:
///
///   a Tensor:    the result is computed; of `exp(std::move(x))` and of temporaries in place.
///   a Variable:  it is recorded with its gradient as well (autograd/ops/elementwise.hpp, arithmetic.hpp).
///   a Symbol:    it is written down, in a function given to `elementwise`
///                (autograd/elementwise.hpp).
///
/// Operands broadcast as in NumPy, must be of one dtype (DtypeError), and numbers mix in, rounded to that
/// dtype. Shapes that do not broadcast throw a ShapeError that names the function and both shapes. Values and
/// derivatives at NaN, infinities and the edges of domains are PyTorch's, unless said.
namespace gradus {

/// What an op of one operand takes, for the length of the call: a Tensor. A temporary that ends with the call
/// hands its buffer to the result.
class TensorArgument {
 public:
  using ElementwiseResult = Tensor;

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

// The four operations and comparisons; these give 1 or 0 in the operands' dtype.
Tensor operator+(const TensorOperand& a, const TensorOperand& b);
Tensor operator-(const TensorOperand& a, const TensorOperand& b);
Tensor operator*(const TensorOperand& a, const TensorOperand& b);
Tensor operator/(const TensorOperand& a, const TensorOperand& b);
Tensor operator-(const TensorArgument& x);
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

/// A function by its number. There are the same for Variables and for symbols; the functions below call the
/// one for their operands, which is found in the namespace of their types.
Tensor apply(kernels::Unary op, const TensorArgument& x, Where where = {});
Tensor apply(kernels::Binary op, const TensorOperand& a, const TensorOperand& b, Where where = {});
Tensor apply(kernels::Ternary op, const TensorOperand& a, const TensorOperand& b, const TensorOperand& c,
             Where where = {});

/// A Tensor, a Variable or a Symbol.
template <class X>
concept ElementwiseOperand = requires {
  typename std::remove_cvref_t<X>::ElementwiseResult;
};

namespace detail {
/// What a function of these operands gives; void for numbers alone.
template <class... Xs>
struct ElementwiseResultOf {
  using Type = void;
};
template <class X, class... Rest>
struct ElementwiseResultOf<X, Rest...> : ElementwiseResultOf<Rest...> {};
template <ElementwiseOperand X, class... Rest>
struct ElementwiseResultOf<X, Rest...> {
  using Type = typename std::remove_cvref_t<X>::ElementwiseResult;
};
template <class... Xs>
using ElementwiseResult = typename ElementwiseResultOf<Xs...>::Type;
template <class X, class Result>
constexpr bool is_operand_for =
    std::is_arithmetic_v<std::remove_cvref_t<X>> || std::is_same_v<ElementwiseResult<X>, Result>;
}  // namespace detail

/// Tensors, or Variables, or symbols, and numbers, not all of them numbers.
template <class... Xs>
concept ElementwiseOperands = (ElementwiseOperand<Xs> || ...) &&
                              (detail::is_operand_for<Xs, detail::ElementwiseResult<Xs...>> && ...);

/// |x|; the derivative at 0 is 0.
auto abs(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::abs, std::forward<decltype(x)>(x), where);
}
/// 1, -1, or 0 at 0; NaN stays NaN, as in NumPy (PyTorch gives 0). The derivative is 0 everywhere.
auto sign(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::sign, std::forward<decltype(x)>(x), where);
}
auto square(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::square, std::forward<decltype(x)>(x), where);
}
/// The derivative at 0 is infinite.
auto sqrt(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::sqrt, std::forward<decltype(x)>(x), where);
}
/// 1 / sqrt(x)
auto rsqrt(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::rsqrt, std::forward<decltype(x)>(x), where);
}
/// 1 / x
auto reciprocal(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::reciprocal, std::forward<decltype(x)>(x), where);
}
auto exp(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::exp, std::forward<decltype(x)>(x), where);
}
/// 2^x
auto exp2(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::exp2, std::forward<decltype(x)>(x), where);
}
/// exp(x) - 1, accurate near 0.
auto expm1(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::expm1, std::forward<decltype(x)>(x), where);
}
auto log(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::log, std::forward<decltype(x)>(x), where);
}
/// log(1 + x), accurate near 0.
auto log1p(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::log1p, std::forward<decltype(x)>(x), where);
}
auto log2(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::log2, std::forward<decltype(x)>(x), where);
}
auto log10(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::log10, std::forward<decltype(x)>(x), where);
}
auto sin(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::sin, std::forward<decltype(x)>(x), where);
}
auto cos(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::cos, std::forward<decltype(x)>(x), where);
}
auto tan(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::tan, std::forward<decltype(x)>(x), where);
}
auto asin(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::asin, std::forward<decltype(x)>(x), where);
}
auto acos(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::acos, std::forward<decltype(x)>(x), where);
}
auto atan(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::atan, std::forward<decltype(x)>(x), where);
}
auto sinh(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::sinh, std::forward<decltype(x)>(x), where);
}
auto cosh(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::cosh, std::forward<decltype(x)>(x), where);
}
auto tanh(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::tanh, std::forward<decltype(x)>(x), where);
}
auto asinh(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::asinh, std::forward<decltype(x)>(x), where);
}
auto acosh(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::acosh, std::forward<decltype(x)>(x), where);
}
auto atanh(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::atanh, std::forward<decltype(x)>(x), where);
}
/// 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x.
auto erf(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::erf, std::forward<decltype(x)>(x), where);
}
/// 1 - erf(x), accurate where erf is near 1.
auto erfc(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::erfc, std::forward<decltype(x)>(x), where);
}
/// The inverse of erf; infinite at 1 and -1, NaN beyond.
auto erfinv(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::erfinv, std::forward<decltype(x)>(x), where);
}
/// log |Gamma(x)|; infinity at the poles 0, -1, -2, ...
auto lgamma(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::lgamma, std::forward<decltype(x)>(x), where);
}
/// 1 / (1 + exp(-x))
auto sigmoid(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::sigmoid, std::forward<decltype(x)>(x), where);
}
/// max(x, 0), with the derivative 0 at 0; NaN stays NaN.
auto relu(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::relu, std::forward<decltype(x)>(x), where);
}
// To whole numbers: down, up, and to the nearest (halves to the even one). The derivative is 0 everywhere.
auto floor(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::floor, std::forward<decltype(x)>(x), where);
}
auto ceil(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::ceil, std::forward<decltype(x)>(x), where);
}
auto round(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::round, std::forward<decltype(x)>(x), where);
}
/// Towards 0. The derivative is 0 everywhere.
auto trunc(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Unary::trunc, std::forward<decltype(x)>(x), where);
}

/// The larger and the smaller of two; NaN on either side wins. Where they are equal the gradient is halved
/// between them.
template <class A, class B>
requires ElementwiseOperands<A, B>
auto maximum(A&& a, B&& b, Where where = Where::here()) {
  return apply(kernels::Binary::maximum, std::forward<A>(a), std::forward<B>(b), where);
}
template <class A, class B>
requires ElementwiseOperands<A, B>
auto minimum(A&& a, B&& b, Where where = Where::here()) {
  return apply(kernels::Binary::minimum, std::forward<A>(a), std::forward<B>(b), where);
}
/// a^b; pow(x, 0) and pow(1, x) are 1 even at NaN. The derivative by a is 0 where b is 0; that by b is 0
/// where a is 0 and b is not negative. The exponents 2, 3 and -1 take a few instructions, also where they are
/// elements of a Tensor.
template <class A, class B>
requires ElementwiseOperands<A, B>
auto pow(A&& a, B&& b, Where where = Where::here()) {
  return apply(kernels::Binary::pow, std::forward<A>(a), std::forward<B>(b), where);
}
/// The angle of the point (x, y) in (-pi, pi].
template <class Y, class X>
requires ElementwiseOperands<Y, X>
auto atan2(Y&& y, X&& x, Where where = Where::here()) {
  return apply(kernels::Binary::atan2, std::forward<Y>(y), std::forward<X>(x), where);
}
/// a - n b for the whole number n that leaves a remainder of a's sign and less than |b|.
template <class A, class B>
requires ElementwiseOperands<A, B>
auto fmod(A&& a, B&& b, Where where = Where::here()) {
  return apply(kernels::Binary::fmod, std::forward<A>(a), std::forward<B>(b), where);
}

/// sqrt(a^2 + b^2) without overflow on the way; the derivatives at (0, 0) are 0.
template <class A, class B>
requires ElementwiseOperands<A, B>
auto hypot(A&& a, B&& b, Where where = Where::here()) {
  return apply(kernels::Binary::hypot, std::forward<A>(a), std::forward<B>(b), where);
}
/// log(exp(a) + exp(b)) without overflow; -infinity of two -infinities.
template <class A, class B>
requires ElementwiseOperands<A, B>
auto logaddexp(A&& a, B&& b, Where where = Where::here()) {
  return apply(kernels::Binary::logaddexp, std::forward<A>(a), std::forward<B>(b), where);
}
/// a log(b), which is 0 where a is 0, even for b = 0, unless b is NaN. Where both are 0 so are the
/// derivatives.
template <class A, class B>
requires ElementwiseOperands<A, B>
auto xlogy(A&& a, B&& b, Where where = Where::here()) {
  return apply(kernels::Binary::xlogy, std::forward<A>(a), std::forward<B>(b), where);
}

/// The n-th derivative of digamma, n >= 0 (ArgumentError). At the poles of odd n infinity, of even n > 0
/// -infinity.
template <class N, ElementwiseOperand X>
requires ElementwiseOperands<N, X>
auto polygamma(const N& n, X&& x, Where where = Where::here()) {
  return apply(kernels::Binary::polygamma, n, std::forward<X>(x), where);
}
/// The derivative of lgamma; NaN at -1, -2, ..., infinities of both signs at the two zeros.
auto digamma(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Binary::polygamma, 0, std::forward<decltype(x)>(x), where);
}

/// sin(pi x) / (pi x), 1 at 0 and 0 at the infinities.
auto sinc(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Binary::sinc, 0, std::forward<decltype(x)>(x), where);
}

// Comparisons give 1 or 0, as constants: their derivative is 0. NaN compares false, and not_equal true.
template <class A, class B>
requires ElementwiseOperands<A, B>
auto less(A&& a, B&& b, Where where = Where::here()) {
  return apply(kernels::Binary::less, std::forward<A>(a), std::forward<B>(b), where);
}
template <class A, class B>
requires ElementwiseOperands<A, B>
auto less_equal(A&& a, B&& b, Where where = Where::here()) {
  return apply(kernels::Binary::less_equal, std::forward<A>(a), std::forward<B>(b), where);
}
template <class A, class B>
requires ElementwiseOperands<A, B>
auto greater(A&& a, B&& b, Where where = Where::here()) {
  return apply(kernels::Binary::greater, std::forward<A>(a), std::forward<B>(b), where);
}
template <class A, class B>
requires ElementwiseOperands<A, B>
auto greater_equal(A&& a, B&& b, Where where = Where::here()) {
  return apply(kernels::Binary::greater_equal, std::forward<A>(a), std::forward<B>(b), where);
}
template <class A, class B>
requires ElementwiseOperands<A, B>
auto equal(A&& a, B&& b, Where where = Where::here()) {
  return apply(kernels::Binary::equal, std::forward<A>(a), std::forward<B>(b), where);
}
template <class A, class B>
requires ElementwiseOperands<A, B>
auto not_equal(A&& a, B&& b, Where where = Where::here()) {
  return apply(kernels::Binary::not_equal, std::forward<A>(a), std::forward<B>(b), where);
}

/// a * b + c, rounded once where the processor can (with AVX2, AVX-512 and NEON it does).
template <class A, class B, class C>
requires ElementwiseOperands<A, B, C>
auto fma(A&& a, B&& b, C&& c, Where where = Where::here()) {
  return apply(kernels::Ternary::fma, std::forward<A>(a), std::forward<B>(b), std::forward<C>(c), where);
}
/// a where the condition is not 0, elsewhere b; all three broadcast. What is not chosen has no influence: NaN
/// there does not spread, and its gradient is 0. No gradient goes to the condition.
template <class C, class A, class B>
requires ElementwiseOperands<C, A, B>
auto where(C&& condition, A&& a, B&& b, Where at = Where::here()) {
  return apply(kernels::Ternary::where, std::forward<C>(condition), std::forward<A>(a), std::forward<B>(b),
               at);
}
/// minimum(maximum(x, low), high): where the bounds cross, high wins, and a NaN among the three gives NaN. At
/// the bounds the gradient goes to x, beyond them to the bound.
template <class X, class L, class H>
requires ElementwiseOperands<X, L, H>
auto clamp(X&& x, L&& low, H&& high, Where where = Where::here()) {
  return apply(kernels::Ternary::clamp, std::forward<X>(x), std::forward<L>(low), std::forward<H>(high),
               where);
}

/// sum += x, broadcasting x to the shape of sum; makes sum zeros_like(x) first when it is undefined.
void add_to(Tensor& sum, const Tensor& x);

/// True when no element is NaN or infinite.
bool all_finite(const Tensor& x);
/// The sum of squares, in double.
double sum_squares(const Tensor& x);
/// True when both have the same dtype, shape and bits.
bool identical(const Tensor& a, const Tensor& b);

}  // namespace gradus
