#pragma once

// Internal: not part of the public interface.

#include <cmath>
#include <type_traits>

#include "autograd/elementwise/symbol.hpp"
#include "autograd/variable.hpp"
#include "tensor/kernels/kernels.hpp"

/// The derivative of every elementwise function, written once: on Variables it is the op's gradient, on
/// symbols what the tracer differentiates with, on numbers the gradient of a scalar op.
///
/// `pull` gives g times the local derivative. G and V are what g and the operands are: Variable, Symbol (g is
/// then an Adjoint, whose masks stay outermost) or a number.
namespace gradus::detail {

/// What the derivative of a function of one argument reads beside g.
enum class Reads { nothing, operand, result };

constexpr Reads reads(kernels::Unary op) {
  using kernels::Unary;
  switch (op) {
    case Unary::neg:
      return Reads::nothing;
    case Unary::sqrt:
    case Unary::rsqrt:
    case Unary::reciprocal:
    case Unary::exp:
    case Unary::expm1:
    case Unary::tan:
    case Unary::tanh:
    case Unary::sigmoid:
      return Reads::result;
    default:
      return Reads::operand;
  }
}

/// False for steps, whose derivative is zero wherever there is one.
constexpr bool has_derivative(kernels::Unary op) {
  using kernels::Unary;
  return op != Unary::sign && op != Unary::floor && op != Unary::ceil && op != Unary::round;
}
constexpr bool has_derivative(kernels::Binary op) {
  using kernels::Binary;
  return op != Binary::less && op != Binary::less_equal && op != Binary::equal && op != Binary::not_equal;
}

// The functions below on numbers, under the names that symbols and Variables have.
template <class T>
concept Number = std::is_arithmetic_v<T>;
template <Number T>
T sign(T x) {
  return x > 0 ? T{1} : x < 0 ? T{-1} : x;
}
template <Number T>
T square(T x) {
  return x * x;
}
template <Number T>
T rsqrt(T x) {
  return 1 / std::sqrt(x);
}
template <Number A, Number B>
bool equal(A a, B b) {
  return a == static_cast<A>(b);
}
template <Number N, Number T>
T polygamma(N n, T x) {
  const T order = static_cast<T>(n);
  T y{};
  kernels::binary<T>(kernels::Binary::polygamma, &order, true, &x, true, &y, 1);
  return y;
}
/// polygamma of the order after n. No order is a Variable.
template <class N, class V>
V next_polygamma(const N& n, const V& x) {
  if constexpr (std::is_same_v<N, Variable>) {
    return x;
  } else if constexpr (std::is_same_v<V, Variable>) {
    return polygamma(static_cast<int>(n) + 1, x);
  } else {
    return polygamma(n + 1, x);
  }
}
inline bool both(bool a, bool b) {
  return a && b;
}
template <class A, class B>
auto both(const A& a, const B& b) {
  return a * b;
}
/// g, and 0 where the condition holds.
template <Number T>
T zero_where(bool condition, T g) {
  return condition ? T{0} : g;
}
Symbol zero_where(const Symbol& condition, const Symbol& g);
Variable zero_where(bool condition, const Variable& g);
Variable zero_where(const Variable& condition, const Variable& g);

/// g times the derivative of op. v is the operand or the result, as reads(op) says.
template <class G, class V>
G pull(kernels::Unary op, const G& g, const V& v) {
  using kernels::Unary;
  using std::cos, std::sin, std::cosh, std::sinh, std::exp;
  constexpr double ln2 = 0.693147180559945309417, two_over_sqrt_pi = 1.12837916709551257390;
  const V &x = v, &y = v;
  switch (op) {
    case Unary::neg:
      return -g;
    case Unary::abs:
      return g * sign(x);
    case Unary::square:
      return g * (2 * x);
    case Unary::sqrt:
      return g / (2 * y);
    case Unary::rsqrt:
      return g * (-0.5 * (square(y) * y));
    case Unary::reciprocal:
      return g * -square(y);
    case Unary::exp:
      return g * y;
    case Unary::expm1:
      return g * (y + 1);
    case Unary::log:
      return g / x;
    case Unary::log1p:
      return g / (x + 1);
    case Unary::log2:
      return g / (x * ln2);
    case Unary::sin:
      return g * cos(x);
    case Unary::cos:
      return g * -sin(x);
    case Unary::tan:
      return g * (1 + square(y));
    case Unary::asin:
      return g * rsqrt((1 - x) * (1 + x));
    case Unary::acos:
      return g * -rsqrt((1 - x) * (1 + x));
    case Unary::atan:
      return g / (1 + square(x));
    case Unary::sinh:
      return g * cosh(x);
    case Unary::cosh:
      return g * sinh(x);
    case Unary::tanh:
      return g * (1 - square(y));
    case Unary::asinh:
      return g * rsqrt(1 + square(x));
    case Unary::acosh:
      return g * rsqrt((x - 1) * (x + 1));
    case Unary::atanh:
      return g / ((1 - x) * (1 + x));
    case Unary::erf:
      return g * (two_over_sqrt_pi * exp(-square(x)));
    case Unary::erfc:
      return g * (-two_over_sqrt_pi * exp(-square(x)));
    case Unary::lgamma:
      return g * polygamma(0, x);
    case Unary::sigmoid:
      return g * (y * (1 - y));
    case Unary::relu:  // NaN passes g on, as in PyTorch
      return zero_where(x <= 0, g);
    case Unary::sign:
    case Unary::floor:
    case Unary::ceil:
    case Unary::round:
      break;  // has_derivative is false
  }
  return g;
}

/// g times the derivative of y = op(a, b) with respect to a. Any of a and b may be a plain number.
template <class G, class A, class B>
[[gnu::always_inline]] inline G pull_first(kernels::Binary op, const G& g, const A& a, const B& b) {
  using kernels::Binary;
  using std::pow;
  switch (op) {
    case Binary::mul:
      return g * b;
    case Binary::div:
      return g / b;
    case Binary::maximum:
      return zero_where(a < b, g * (1 - 0.5 * equal(a, b)));
    case Binary::minimum:
      return zero_where(b < a, g * (1 - 0.5 * equal(a, b)));
    case Binary::pow:
      return zero_where(equal(b, 0), g * (b * pow(a, b - 1)));
    case Binary::atan2:
      return g * (b / (square(a) + square(b)));
    default:  // add, sub, fmod
      return g;
  }
}

/// g times the derivative of y = op(a, b) with respect to b.
template <class G, class A, class B, class Y>
[[gnu::always_inline]] inline G pull_second(kernels::Binary op, const G& g, const A& a, const B& b,
                                            const Y& y) {
  using kernels::Binary;
  using std::log;
  switch (op) {
    case Binary::sub:
      return -g;
    case Binary::mul:
      return g * a;
    case Binary::div:
      return g * -(y / b);
    case Binary::maximum:
      return zero_where(b < a, g * (1 - 0.5 * equal(a, b)));
    case Binary::minimum:
      return zero_where(a < b, g * (1 - 0.5 * equal(a, b)));
    case Binary::pow:  // 0^b is 0 for every b > 0
      return zero_where(both(equal(a, 0), 0 <= b), g * (y * log(a)));
    case Binary::atan2:
      return g * (-a / (square(a) + square(b)));
    case Binary::fmod:
      return g * ((y - a) / b);
    case Binary::polygamma:
      return g * next_polygamma(a, b);
    default:  // add
      return g;
  }
}

}  // namespace gradus::detail
