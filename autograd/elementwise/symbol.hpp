#pragma once

#include <cstdint>
#include <type_traits>

namespace gradus {

namespace detail {
class Graph;
template <class T>
constexpr bool always_false = false;

/// The function that this thread traces; inner ones end first.
class TraceScope {
 public:
  TraceScope();
  ~TraceScope();
  TraceScope(const TraceScope&) = delete;
  TraceScope& operator=(const TraceScope&) = delete;
  std::uint32_t trace() const { return trace_; }

 private:
  std::uint32_t trace_, outer_;
};
}  // namespace detail

/// What stands for one element while a function given to `elementwise` is traced: an expression, or a number.
/// Operators and functions on symbols write the expression down; the functions have the names they have on
/// Variables. A symbol has no value, so it converts to no number and cannot steer a branch.
class Symbol {
 public:
  template <class Number>
  requires std::is_arithmetic_v<Number> Symbol(Number value) : number_(static_cast<double>(value)) {}
  Symbol(detail::Graph* graph, std::int32_t id, std::uint32_t trace = 0)
      : graph_(graph), id_(id), trace_(trace) {}

  /// Not possible: it says what to write instead.
  template <class T>
  requires std::is_same_v<T, bool> || std::is_same_v<T, double>  // only, or std::exp(x) would be ambiguous
  operator T() const {
    if constexpr (std::is_same_v<T, bool>) {
      static_assert(detail::always_false<T>,
                    "an elementwise function cannot branch on a value (if, ?:, &&, !, std::max): use "
                    "where(condition, a, b), max(a, b) or min(a, b), and masks such as (x > 0) * (x < 1)");
    } else {
      static_assert(
          detail::always_false<T>,
          "an elementwise function has no numbers to pass on (std::exp(x), double y = x): call exp, "
          "log, tanh, ... without std:: and keep results in auto");
    }
  }

  /// Null for a number.
  detail::Graph* graph() const { return graph_; }
  std::int32_t id() const { return id_; }
  /// The call of `elementwise` that it belongs to; 0 for the library's own.
  std::uint32_t trace() const { return trace_; }
  double number() const { return number_; }

 private:
  detail::Graph* graph_ = nullptr;
  std::int32_t id_ = -1;
  std::uint32_t trace_ = 0;
  double number_ = 0;
};

/// One or more symbols, and numbers.
template <class... Ts>
concept SymbolOperands = (std::is_same_v<Ts, Symbol> || ...) &&
                         ((std::is_same_v<Ts, Symbol> || std::is_arithmetic_v<Ts>)&&...);

// Arithmetic and comparisons; these give 1 or 0. Templates, so that no built-in operator is as good a match.
namespace detail {
Symbol add(const Symbol& a, const Symbol& b);
Symbol sub(const Symbol& a, const Symbol& b);
Symbol mul(const Symbol& a, const Symbol& b);
Symbol div(const Symbol& a, const Symbol& b);
Symbol maximum_of(const Symbol& a, const Symbol& b);
Symbol minimum_of(const Symbol& a, const Symbol& b);
Symbol power(const Symbol& a, const Symbol& b);
Symbol angle(const Symbol& y, const Symbol& x);
Symbol remainder(const Symbol& a, const Symbol& b);
Symbol is_less(const Symbol& a, const Symbol& b);
Symbol is_less_equal(const Symbol& a, const Symbol& b);
Symbol is_equal(const Symbol& a, const Symbol& b);
Symbol is_not_equal(const Symbol& a, const Symbol& b);
Symbol choose(const Symbol& condition, const Symbol& a, const Symbol& b);
Symbol fused_multiply_add(const Symbol& a, const Symbol& b, const Symbol& c);
Symbol clamped(const Symbol& x, const Symbol& low, const Symbol& high);
}  // namespace detail

template <class A, class B>
requires SymbolOperands<A, B> Symbol operator+(const A& a, const B& b) {
  return detail::add(a, b);
}
template <class A, class B>
requires SymbolOperands<A, B> Symbol operator-(const A& a, const B& b) {
  return detail::sub(a, b);
}
template <class A, class B>
requires SymbolOperands<A, B> Symbol operator*(const A& a, const B& b) {
  return detail::mul(a, b);
}
template <class A, class B>
requires SymbolOperands<A, B> Symbol operator/(const A& a, const B& b) {
  return detail::div(a, b);
}
template <class A, class B>
requires SymbolOperands<A, B> Symbol operator<(const A& a, const B& b) {
  return detail::is_less(a, b);
}
template <class A, class B>
requires SymbolOperands<A, B> Symbol operator<=(const A& a, const B& b) {
  return detail::is_less_equal(a, b);
}
template <class A, class B>
requires SymbolOperands<A, B> Symbol operator>(const A& a, const B& b) {
  return detail::is_less(b, a);
}
template <class A, class B>
requires SymbolOperands<A, B> Symbol operator>=(const A& a, const B& b) {
  return detail::is_less_equal(b, a);
}
template <class A, class B>
requires SymbolOperands<A, B> Symbol operator==(const A& a, const B& b) {
  return detail::is_equal(a, b);
}
template <class A, class B>
requires SymbolOperands<A, B> Symbol operator!=(const A& a, const B& b) {
  return detail::is_not_equal(a, b);
}
Symbol operator-(const Symbol& x);
inline Symbol& operator+=(Symbol& a, const Symbol& b) {
  return a = detail::add(a, b);
}
inline Symbol& operator-=(Symbol& a, const Symbol& b) {
  return a = detail::sub(a, b);
}
inline Symbol& operator*=(Symbol& a, const Symbol& b) {
  return a = detail::mul(a, b);
}
inline Symbol& operator/=(Symbol& a, const Symbol& b) {
  return a = detail::div(a, b);
}

/// The larger and the smaller; where they are equal the gradient is halved between them.
template <class A, class B>
requires SymbolOperands<A, B> Symbol maximum(const A& a, const B& b) {
  return detail::maximum_of(a, b);
}
template <class A, class B>
requires SymbolOperands<A, B> Symbol minimum(const A& a, const B& b) {
  return detail::minimum_of(a, b);
}
template <class A, class B>
requires SymbolOperands<A, B> Symbol max(const A& a, const B& b) {
  return detail::maximum_of(a, b);
}
template <class A, class B>
requires SymbolOperands<A, B> Symbol min(const A& a, const B& b) {
  return detail::minimum_of(a, b);
}
template <class A, class B>
requires SymbolOperands<A, B> Symbol pow(const A& a, const B& b) {
  return detail::power(a, b);
}
template <class A, class B>
requires SymbolOperands<A, B> Symbol atan2(const A& y, const B& x) {
  return detail::angle(y, x);
}
template <class A, class B>
requires SymbolOperands<A, B> Symbol fmod(const A& a, const B& b) {
  return detail::remainder(a, b);
}
template <class A, class B>
requires SymbolOperands<A, B> Symbol equal(const A& a, const B& b) {
  return detail::is_equal(a, b);
}
/// a where the condition is not 0, elsewhere b. What is not chosen has no influence, on the gradient either.
template <class C, class A, class B>
requires SymbolOperands<C, A, B> Symbol where(const C& condition, const A& a, const B& b) {
  return detail::choose(condition, a, b);
}
template <class A, class B, class C>
requires SymbolOperands<A, B, C> Symbol fma(const A& a, const B& b, const C& c) {
  return detail::fused_multiply_add(a, b, c);
}
/// min(max(x, low), high), where the gradient goes to x at the bounds.
template <class X, class L, class H>
requires SymbolOperands<X, L, H> Symbol clamp(const X& x, const L& low, const H& high) {
  return detail::clamped(x, low, high);
}

Symbol abs(const Symbol& x);
Symbol sign(const Symbol& x);
Symbol square(const Symbol& x);
Symbol sqrt(const Symbol& x);
Symbol rsqrt(const Symbol& x);
Symbol reciprocal(const Symbol& x);
Symbol exp(const Symbol& x);
Symbol expm1(const Symbol& x);
Symbol log(const Symbol& x);
Symbol log1p(const Symbol& x);
Symbol log2(const Symbol& x);
Symbol sin(const Symbol& x);
Symbol cos(const Symbol& x);
Symbol tan(const Symbol& x);
Symbol asin(const Symbol& x);
Symbol acos(const Symbol& x);
Symbol atan(const Symbol& x);
Symbol sinh(const Symbol& x);
Symbol cosh(const Symbol& x);
Symbol tanh(const Symbol& x);
Symbol asinh(const Symbol& x);
Symbol acosh(const Symbol& x);
Symbol atanh(const Symbol& x);
Symbol erf(const Symbol& x);
Symbol erfc(const Symbol& x);
Symbol lgamma(const Symbol& x);
Symbol digamma(const Symbol& x);
Symbol polygamma(const Symbol& n, const Symbol& x);
Symbol sigmoid(const Symbol& x);
Symbol relu(const Symbol& x);
Symbol floor(const Symbol& x);
Symbol ceil(const Symbol& x);
Symbol round(const Symbol& x);

}  // namespace gradus
