#pragma once

// Internal: not part of the public interface.

#include <cmath>
#include <cstdint>
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
T sigmoid(T x) {
  return 1 / (1 + std::exp(-x));
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
/// A function whose first operand counts derivatives of the second, such as polygamma. No order is a
/// Variable.
template <class N, class V>
V derivative_of_order(kernels::Binary op, const N& n, const V& x) {
  if constexpr (std::is_same_v<N, Variable>) {
    return x;
  } else if constexpr (Number<V>) {
    const V order = static_cast<V>(n);
    V y{};
    kernels::binary<V>(op, &order, true, &x, true, &y, 1);
    return y;
  } else {
    return apply(op, n, x);
  }
}

inline constexpr double ln2 = 0.693147180559945309417, two_over_sqrt_pi = 1.12837916709551257390;

/// g times the derivative of op. v is the operand or the result, as reads(op) says.
template <class G, class V>
G local_vjp(kernels::Unary op, const G& g, const V& v) {
  using kernels::Binary, kernels::Unary;
  using std::cos, std::sin, std::cosh, std::sinh, std::exp;
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
  using std::pow, std::log;
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

/// local_vjp(op, g, v): g and v are of one shape.
Tensor fused_vjp(kernels::Unary op, const Tensor& g, const Tensor& v);
/// local_vjp<operand>(op, g, a, b, y): a, b and y broadcast to g's shape and are undefined where they are not
/// read.
template <int operand>
Tensor fused_vjp(kernels::Binary op, const Tensor& g, const Tensor& a, const Tensor& b, const Tensor& y);

}  // namespace gradus::detail
