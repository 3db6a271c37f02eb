#pragma once

#include <span>
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
/// A Tensor beside Variables is a constant: no gradient flows to it. Operands broadcast as in NumPy, must be
/// of one dtype (DtypeError), and numbers mix in, rounded to that dtype. Shapes that do not broadcast throw a
/// ShapeError that names the function and both shapes. Values and derivatives at NaN, infinities and the
/// edges of domains are PyTorch's, unless said.
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
  bool reusable() const { return dying_ != nullptr && dying_->disposable(); }
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
/// What a function of these operands gives: of Tensors a Tensor, else what the first other one gives; void
/// for numbers alone.
template <class Found, class... Xs>
struct ElementwiseResultOf {
  using Type = Found;
};
template <class Found, class X, class... Rest>
struct ElementwiseResultOf<Found, X, Rest...> : ElementwiseResultOf<Found, Rest...> {};
template <class Found, ElementwiseOperand X, class... Rest>
struct ElementwiseResultOf<Found, X, Rest...>
    : ElementwiseResultOf<typename std::remove_cvref_t<X>::ElementwiseResult, Rest...> {};
template <class Found, ElementwiseOperand X, class... Rest>
requires(!std::is_void_v<Found> &&
         !std::is_same_v<Found, Tensor>) struct ElementwiseResultOf<Found, X, Rest...> {
  using Type = Found;
};
template <class... Xs>
using ElementwiseResult = typename ElementwiseResultOf<void, Xs...>::Type;
/// A Tensor among operands that can be made of one, such as Variables, is a constant.
template <class X, class Result>
constexpr bool is_constant_for =
    std::is_same_v<std::remove_cvref_t<X>, Tensor> && !std::is_same_v<Result, Tensor> &&
    std::is_constructible_v<Result, const Tensor&>;
template <class X, class Result>
constexpr bool is_operand_for = std::is_arithmetic_v<std::remove_cvref_t<X>> ||
                                std::is_same_v<ElementwiseResult<X>, Result> || is_constant_for<X, Result>;
/// The operand as `apply` takes it.
template <class Result, class X>
decltype(auto) operand(X&& x) {
  if constexpr (is_constant_for<X, Result>) {
    return Result(std::forward<X>(x));
  } else {
    return std::forward<X>(x);
  }
}
}  // namespace detail

/// Tensors, or Variables and constant Tensors, or symbols, and numbers, not all of them numbers.
template <class... Xs>
concept ElementwiseOperands = (ElementwiseOperand<Xs> || ...) &&
                              (detail::is_operand_for<Xs, detail::ElementwiseResult<Xs...>> && ...);

// The functions of one operand, `auto name(x, Where where = Where::here())`, one a row:
//
//   neg, square, cube          -x, x^2, x^3
//   abs                        |x|; the derivative at 0 is 0
//   sign                       1, -1, or 0 at 0; NaN stays NaN, as in NumPy (PyTorch gives 0); the
//                              derivative is 0 everywhere
//   sqrt, rsqrt, reciprocal    the root, whose derivative at 0 is infinite; 1 / sqrt(x); 1 / x
//   exp, exp2, expm1           e^x; 2^x; exp(x) - 1, accurate near 0
//   log, log2, log10, log1p    log1p: log(1 + x), accurate near 0
//   sin, cos, tan, asin, acos, atan, sinh, cosh, tanh, asinh, acosh, atanh
//   erf                        2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x
//   erfc                       1 - erf(x), accurate where erf is near 1
//   erfinv                     the inverse of erf; infinite at 1 and -1, NaN beyond
//   erfinv_slope               the derivative of erfinv
//   gaussian, normal_cdf       exp(-x^2 / 2); the normal distribution function, erfc(-x / sqrt(2)) / 2
//   lgamma                     log |Gamma(x)|; infinity at the poles 0, -1, -2, ...
//   sigmoid                    1 / (1 + exp(-x))
//   sigmoid_slope, tanh_slope  the derivatives of sigmoid, sigmoid(x) sigmoid(-x), and of tanh, 1 - tanh(x)^2
//   log1p_exp                  log(1 + exp(x)), without overflow
//   gelu_gate, gelu_gate_slope sigmoid(u) of u = 2 sqrt(2/pi) (x + 0.044715 x^3), and its derivative
//   mish_gate, mish_gate_slope tanh(log(1 + exp(x))) and its derivative
//   logit                      log(x / (1 - x)), the inverse of sigmoid; NaN outside of [0, 1]
//   logit_slope                its derivative, 1 / (x (1 - x))
//   relu                       max(x, 0), with the derivative 0 at 0; NaN stays NaN
//   floor, ceil, round, trunc  to whole numbers: down, up, to the nearest (halves to the even one), towards
//                              0; the derivative is 0 everywhere
#define GRADUS_UNARY(name, ...)                                              \
  auto name(ElementwiseOperand auto&& x, Where where = Where::here()) {      \
    return apply(kernels::Unary::name, std::forward<decltype(x)>(x), where); \
  }
#include "tensor/kernels/function_rows.hpp"

// The functions of two, `auto name(a, b, Where where = Where::here())`, where one may be a number:
//
//   add, sub, mul, div   as the operators
//   maximum, minimum     NaN on either side wins; where they are equal the gradient is halved between them
//   pow                  a^b; pow(x, 0) and pow(1, x) are 1 even at NaN. The derivative by a is 0 where b is
//                        0; that by b is 0 where a is 0 and b is not negative. The exponents 2, 3 and -1
//                        take a few instructions, also where they are elements of a Tensor
//   atan2                the angle of the point (b, a) in (-pi, pi]
//   fmod                 a - n b for the whole number n that leaves a remainder of a's sign, less than |b|
//   hypot                sqrt(a^2 + b^2) without overflow on the way; the derivatives at (0, 0) are 0
//   logaddexp            log(exp(a) + exp(b)) without overflow; -infinity of two -infinities
//   leaky_relu           a where a > 0, else a b
//   elu                  a where a > 0, else b (exp(a) - 1)
//   xlogy                a log(b), which is 0 where a is 0, even for b = 0, unless b is NaN; where both are
//                        0 so are the derivatives
//   less, less_equal, greater, greater_equal, equal, not_equal
//                        1 or 0, as constants: their derivative is 0. NaN compares false, and not_equal true
//   polygamma            the a-th derivative of digamma at b, a >= 0 (ArgumentError). At the poles of odd a
//                        infinity, of even a > 0 -infinity
//   sinc                 the a-th derivative of sin(pi b) / (pi b), a >= 0
#define GRADUS_BINARY(name, ...)                                                     \
  template <class A, class B>                                                        \
  requires ElementwiseOperands<A, B>                                                 \
  auto name(A&& a, B&& b, Where where = Where::here()) {                             \
    using Result = detail::ElementwiseResult<A, B>;                                  \
    return apply(kernels::Binary::name, detail::operand<Result>(std::forward<A>(a)), \
                 detail::operand<Result>(std::forward<B>(b)), where);                \
  }
#include "tensor/kernels/function_rows.hpp"

/// The derivative of lgamma; NaN at -1, -2, ..., infinities of both signs at the two zeros.
auto digamma(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Binary::polygamma, 0, std::forward<decltype(x)>(x), where);
}

/// sin(pi x) / (pi x), 1 at 0 and 0 at the infinities.
auto sinc(ElementwiseOperand auto&& x, Where where = Where::here()) {
  return apply(kernels::Binary::sinc, 0, std::forward<decltype(x)>(x), where);
}

// The functions of three, `auto name(a, b, c, Where where = Where::here())`, some of which may be numbers:
//
//   fma    a * b + c, rounded once where the processor can (with AVX2, AVX-512 and NEON it does)
//   where  b where a is not 0, elsewhere c; all three broadcast. What is not chosen has no influence: NaN
//          there does not spread, and its gradient is 0. No gradient goes to a
//   clamp  minimum(maximum(a, b), c): where the bounds cross, c wins, and a NaN among the three gives NaN. At
//          the bounds the gradient goes to a, beyond them to the bound
//   clamp_flat  the same with a gradient of 0 at the bounds and beyond, and none for them
//   within, inside  1 where b <= a <= c, or where b < a < c, else 0; NaN where one of them is. No gradient
#define GRADUS_TERNARY(name, ...)                                                                          \
  template <class A, class B, class C>                                                                     \
  requires ElementwiseOperands<A, B, C>                                                                    \
  auto name(A&& a, B&& b, C&& c, Where where = Where::here()) {                                            \
    using Result = detail::ElementwiseResult<A, B, C>;                                                     \
    return apply(kernels::Ternary::name, detail::operand<Result>(std::forward<A>(a)),                      \
                 detail::operand<Result>(std::forward<B>(b)), detail::operand<Result>(std::forward<C>(c)), \
                 where);                                                                                   \
  }
#include "tensor/kernels/function_rows.hpp"

/// Not possible, as it could mean one answer or one an element: it says what to write instead.
template <class A, class B>
requires ElementwiseOperands<A, B> && requires(detail::ElementwiseResult<A, B> x) {
  x.dim(0);
}
bool operator==(const A&, const B&) {
  static_assert(
      detail::always_false<A, B>,
      "equal(a, b) and not_equal(a, b) compare element by element, and identical(a, b) whole tensors, of a "
      "Variable its value()");
  return false;
}

namespace detail {
/// The dtype and the shape that the operands of an op have together. Throws DtypeError unless they are of one
/// dtype and ShapeError unless they broadcast; null and undefined ones are passed over.
struct Common {
  Dtype dtype = Dtype::f64;  // of numbers alone
  Shape shape;

  Common(const char* op, std::span<const Tensor* const> operands);
};
}  // namespace detail

/// sum += x, broadcasting x to the shape of sum; makes sum zeros_like(x) first when it is undefined.
void add_to(Tensor& sum, const Tensor& x);

/// True when no element is NaN or infinite.
bool all_finite(const Tensor& x);
/// The sum of squares, in double.
double sum_squares(const Tensor& x);
/// True when both have the same dtype, shape and bits.
bool identical(const Tensor& a, const Tensor& b);

}  // namespace gradus
