#pragma once

// Internal: not part of the public interface.

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "autograd/elementwise/symbol.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "tensor/kernels/elementwise.hpp"

/// The derivative of every elementwise function, made of the rows of tensor/kernels/function_rows.hpp: on
/// Variables it is the op's gradient, on symbols what the tracer differentiates with, on numbers the gradient
/// of a scalar op.
///
/// `local_vjp` gives g times the local derivative with respect to one operand: the product of a vector and
/// this function's (diagonal) Jacobian. G is what g is, and A, B, C and Y what the operands and the result
/// are: Variable, Symbol (g is then an Adjoint, whose masks stay outermost) or a number.
namespace gradus::detail {

/// What a derivative reads beside g, as bits: the operands, and the result.
enum class Reads : std::uint8_t {
  nothing = 0,
  x = 1,
  a = 1,
  b = 2,
  c = 4,
  y = 8,
  ab = 3,
  abc = 7,
  by = 10,
  aby = 11,
  flat = 16,  // the derivative is zero wherever there is one
};
constexpr bool has(Reads reads, Reads bit) {
  return (static_cast<unsigned>(reads) & static_cast<unsigned>(bit)) != 0;
}

// By the functions' numbers.
inline constexpr Reads unary_reads[] = {
#define GRADUS_UNARY(name, cost, reads, derivative) Reads::reads,
#include "tensor/kernels/function_rows.hpp"
};
inline constexpr Reads binary_reads[][2] = {
#define GRADUS_BINARY(name, cost, reads_a, by_a, reads_b, by_b) {Reads::reads_a, Reads::reads_b},
#include "tensor/kernels/function_rows.hpp"
};
inline constexpr Reads ternary_reads[][3] = {
#define GRADUS_TERNARY(name, cost, reads_a, by_a, reads_b, by_b, reads_c, by_c) \
  {Reads::reads_a, Reads::reads_b, Reads::reads_c},
#include "tensor/kernels/function_rows.hpp"
};

constexpr Reads reads(kernels::Unary op) {
  return unary_reads[static_cast<std::size_t>(op)];
}
/// Of the derivative with respect to an operand, from 0.
constexpr Reads reads(kernels::Binary op, int operand) {
  return binary_reads[static_cast<std::size_t>(op)][operand];
}
constexpr Reads reads(kernels::Ternary op, int operand) {
  return ternary_reads[static_cast<std::size_t>(op)][operand];
}
constexpr bool has_derivative(kernels::Unary op) {
  return reads(op) != Reads::flat;
}
constexpr bool has_derivative(kernels::Binary op, int operand) {
  return reads(op, operand) != Reads::flat;
}
constexpr bool has_derivative(kernels::Ternary op, int operand) {
  return reads(op, operand) != Reads::flat;
}

// What the formulas call, on numbers, under the names that symbols and Variables have.
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
template <Number T>
T of_kernel(kernels::Unary op, T x) {
  T y{};
  kernels::unary<T>(op, &x, &y, 1);
  return y;
}
template <Number T>
T cube(T x) {
  return x * x * x;
}
template <Number T>
T reciprocal(T x) {
  return 1 / x;
}
template <Number T>
T round(T x) {
  return std::nearbyint(x);
}
template <Number A, Number B>
std::common_type_t<A, B> where(bool condition, A a, B b) {
  return condition ? a : b;
}
template <Number T>
T sigmoid(T x) {
  return of_kernel(kernels::Unary::sigmoid, x);
}
template <Number T>
T sigmoid_slope(T x) {
  return of_kernel(kernels::Unary::sigmoid_slope, x);
}
template <Number T>
T tanh_slope(T x) {
  return of_kernel(kernels::Unary::tanh_slope, x);
}
template <Number T>
T gaussian(T x) {
  return of_kernel(kernels::Unary::gaussian, x);
}
template <Number T>
T gelu_gate_slope(T x) {
  return of_kernel(kernels::Unary::gelu_gate_slope, x);
}
template <Number T>
T logit_slope(T x) {
  return of_kernel(kernels::Unary::logit_slope, x);
}
template <Number T>
T mish_gate(T x) {
  return of_kernel(kernels::Unary::mish_gate, x);
}
template <Number T>
T mish_gate_slope(T x) {
  return of_kernel(kernels::Unary::mish_gate_slope, x);
}
template <Number T>
T erfinv(T x) {
  return of_kernel(kernels::Unary::erfinv, x);
}
template <Number T>
T erfinv_slope(T x) {
  return of_kernel(kernels::Unary::erfinv_slope, x);
}
template <Number A, Number B>
bool equal(A a, B b) {
  return a == static_cast<A>(b);
}
inline bool both(bool a, bool b) {
  return a && b;
}
template <class A, class B>
auto both(const A& a, const B& b) {
  return a * b;
}
/// g, and 0 where the condition holds, or where it does not.
template <Number T>
T zero_where(bool condition, T g) {
  return condition ? T{0} : g;
}
Symbol zero_where(const Symbol& condition, const Symbol& g);
Symbol zero_unless(const Symbol& condition, const Symbol& g);
Variable zero_where(bool condition, const Variable& g);
Variable zero_where(const Variable& condition, const Variable& g);
/// A function whose first operand counts derivatives of the second, such as polygamma.
template <class N, class V>
V derivative_of_order(kernels::Binary op, const N& n, const V& x) {
  if constexpr (Number<V> && std::is_same_v<N, Variable>) {
    return x;  // not called: a number has no derivative
  } else if constexpr (Number<V>) {
    const V order = static_cast<V>(n);
    V y{};
    kernels::binary<V>(op, &order, true, &x, true, &y, 1);
    return y;
  } else {
    return apply(op, n, x);
  }
}

// Parts of derivatives that would overflow, or lose digits where terms cancel, in their shortest form. What a
// branch that is not taken would compute of numbers that it is not made for is kept from it.

/// 1 - x^2, whose own derivative is exact near 0.
template <class V>
V one_minus_square(const V& x) {
  using std::abs;
  return where(abs(x) < 0.5, 1 - square(x), (1 - x) * (1 + x));
}
/// From here on x^2 + 1 is x^2 to the nearest number of any dtype; before it x^2 does not overflow.
inline constexpr double far_out = 0x1p28;
/// 1 / sqrt(1 + x^2)
template <class V>
V asinh_slope(const V& x) {
  using std::abs;
  const auto near = abs(x) < far_out;
  return where(near, rsqrt(1 + square(where(near, x, 0.0))), reciprocal(where(near, far_out, abs(x))));
}
/// 1 / sqrt(x^2 - 1)
template <class V>
V acosh_slope(const V& x) {
  const auto near = x < far_out;
  const auto inside = where(near, x, 2.0);
  return where(near, rsqrt((inside - 1) * (inside + 1)), reciprocal(where(near, far_out, x)));
}
/// 1 / (1 + x^2), by way of 1 / x where x is large.
template <class V>
V atan_slope(const V& x) {
  using std::abs;
  const auto small = abs(x) <= 1;
  const auto inside = where(small, x, reciprocal(where(small, 1.0, x)));
  const auto slope = reciprocal(1 + square(inside));
  return where(small, slope, square(inside) * slope);
}
/// a / y for y = sqrt(a^2 + b^2). Where a is the larger, the derivative by a is small, and would cancel.
template <class A, class B, class Y>
auto cosine(const A& a, const B& b, const Y& y) {
  using std::abs;
  const auto larger = abs(b) < abs(a);
  const auto ratio = where(larger, b, 0.0) / where(larger, a, 1.0);
  return where(larger, sign(a) * rsqrt(1 + square(ratio)), a / y);
}
/// a^(b - 1), with what rounding took from b - 1.
template <class A, class B>
auto pow_one_less(const A& a, const B& b) {
  using std::abs, std::pow, std::log;
  const auto less = b - 1, back = less - b;
  const auto lost = (b - (less - back)) + (-1 - back);
  const auto kept = where(abs(lost) < 1, lost, 0.0);  // of infinities it would be NaN
  return pow(a, less) * (1 + zero_where(equal(kept, 0), kept * log(a)));
}
/// sigmoid(a - b), with what rounding took from a - b, which counts as much as the difference is large. Of
/// two infinities of one sign it is 1/2, as it is of two equal numbers.
template <class A, class B>
auto sigmoid_of_difference(const A& a, const B& b) {
  using std::abs;
  const auto apart = a - b, back = a - apart, lost = (a - (apart + back)) + (back - b);
  const auto y = sigmoid(zero_where(both(equal(a, b), equal(equal(apart, apart), 0)), apart));
  return y + y * ((1 - y) * where(abs(lost) < 1, lost, 0.0));
}
/// The derivative of log gelu_gate_slope(x), for |x| up to where that is 0: u'' / u' - tanh(u / 2) u' with
/// gelu's argument u.
template <class V>
V gelu_log_slope(const V& x) {
  using std::abs, std::tanh;
  constexpr double one = 1.595769121605730711760, three = 0.044715 * one;
  const auto near = where(abs(x) < 32, x, 0.0);
  const auto slope = one + 3 * three * square(near);
  return (6 * three) * near / slope - tanh(near * (0.5 * one + 0.5 * three * square(near))) * slope;
}
/// 1, and NaN where one of the three is.
template <class A, class B, class C>
auto one_unless_nan(const A& a, const B& b, const C& c) {
  return where(both(both(equal(a, a), equal(b, b)), equal(c, c)), 1.0,
               std::numeric_limits<double>::quiet_NaN());
}

inline constexpr double ln2 = 0.693147180559945309417, two_over_sqrt_pi = 1.12837916709551257390;

/// g times the derivative of op. v is the operand or the result, as reads(op) says.
template <class G, class V>
G local_vjp(kernels::Unary op, const G& g, const V& v) {
  using kernels::Binary, kernels::Unary;
  using std::cos, std::sin, std::cosh, std::sinh, std::exp, std::tanh;
  switch (op) {
#define GRADUS_UNARY(name, cost, reads, derivative) \
  case Unary::name: {                               \
    [[maybe_unused]] const V& reads = v;            \
    return derivative;                              \
  }
#include "tensor/kernels/function_rows.hpp"
  }
  return g;
}

/// g times the derivative of y = op(a, b) with respect to a (operand 0) or b (operand 1). Any of a and b may
/// be a plain number; what is not read may be anything.
template <int operand, class G, class A, class B, class Y>
[[gnu::always_inline]] inline G local_vjp(kernels::Binary op, const G& g, [[maybe_unused]] const A& a,
                                          [[maybe_unused]] const B& b, [[maybe_unused]] const Y& y) {
  using kernels::Binary;
  using std::log, std::hypot, std::exp, std::expm1;
  switch (op) {
#define GRADUS_BINARY(name, cost, reads_a, by_a, reads_b, by_b) \
  case Binary::name:                                            \
    if constexpr (operand == 0) return by_a;                    \
    return by_b;
#include "tensor/kernels/function_rows.hpp"
  }
  return g;
}

/// The same of op(a, b, c).
template <int operand, class G, class V>
G local_vjp(kernels::Ternary op, const G& g, [[maybe_unused]] const V& a, [[maybe_unused]] const V& b,
            [[maybe_unused]] const V& c) {
  using kernels::Ternary;
  switch (op) {
#define GRADUS_TERNARY(name, cost, reads_a, by_a, reads_b, by_b, reads_c, by_c) \
  case Ternary::name:                                                           \
    if constexpr (operand == 0) return by_a;                                    \
    if constexpr (operand == 1) return by_b;                                    \
    return by_c;
#include "tensor/kernels/function_rows.hpp"
  }
  return g;
}

// The same on tensors, each in one pass.

/// local_vjp(op, g, v), where one of g and v may broadcast to the other.
Tensor fused_vjp(kernels::Unary op, const Tensor& g, const Tensor& v);
/// local_vjp<operand>(op, g, a, b, y), which broadcast; a, b and y are undefined where they are not read.
template <int operand>
Tensor fused_vjp(kernels::Binary op, const Tensor& g, const Tensor& a, const Tensor& b, const Tensor& y);

}  // namespace gradus::detail
