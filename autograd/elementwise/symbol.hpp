#pragma once

#include <cstdint>
#include <type_traits>

#include "tensor/kernels/elementwise.hpp"
#include "tensor/support/error.hpp"

namespace gradus {

namespace detail {
class Graph;
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

class Symbol;
/// The elementwise functions of tensor/ops/elementwise.hpp, by their numbers.
Symbol apply(kernels::Unary op, const Symbol& x, Where where = {});
Symbol apply(kernels::Binary op, const Symbol& a, const Symbol& b, Where where = {});
Symbol apply(kernels::Ternary op, const Symbol& a, const Symbol& b, const Symbol& c, Where where = {});

/// What stands for one element while a function given to `elementwise` is traced: an expression, or a number.
/// Operators and functions on symbols write the expression down; the functions have the names they have on
/// Variables. A symbol has no value, so it converts to no number and cannot steer a branch.
class Symbol {
 public:
  using ElementwiseResult = Symbol;

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

  friend Symbol operator-(const Symbol& x) { return apply(kernels::Unary::neg, x); }
  Symbol& operator+=(const Symbol& b) { return *this = apply(kernels::Binary::add, *this, b); }
  Symbol& operator-=(const Symbol& b) { return *this = apply(kernels::Binary::sub, *this, b); }
  Symbol& operator*=(const Symbol& b) { return *this = apply(kernels::Binary::mul, *this, b); }
  Symbol& operator/=(const Symbol& b) { return *this = apply(kernels::Binary::div, *this, b); }

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
template <class A, class B>
requires SymbolOperands<A, B> Symbol operator+(const A& a, const B& b) {
  return apply(kernels::Binary::add, a, b);
}
template <class A, class B>
requires SymbolOperands<A, B> Symbol operator-(const A& a, const B& b) {
  return apply(kernels::Binary::sub, a, b);
}
template <class A, class B>
requires SymbolOperands<A, B> Symbol operator*(const A& a, const B& b) {
  return apply(kernels::Binary::mul, a, b);
}
template <class A, class B>
requires SymbolOperands<A, B> Symbol operator/(const A& a, const B& b) {
  return apply(kernels::Binary::div, a, b);
}
template <class A, class B>
requires SymbolOperands<A, B> Symbol operator<(const A& a, const B& b) {
  return apply(kernels::Binary::less, a, b);
}
template <class A, class B>
requires SymbolOperands<A, B> Symbol operator<=(const A& a, const B& b) {
  return apply(kernels::Binary::less_equal, a, b);
}
template <class A, class B>
requires SymbolOperands<A, B> Symbol operator>(const A& a, const B& b) {
  return apply(kernels::Binary::greater, a, b);
}
template <class A, class B>
requires SymbolOperands<A, B> Symbol operator>=(const A& a, const B& b) {
  return apply(kernels::Binary::greater_equal, a, b);
}
template <class A, class B>
requires SymbolOperands<A, B> Symbol operator==(const A& a, const B& b) {
  return apply(kernels::Binary::equal, a, b);
}
template <class A, class B>
requires SymbolOperands<A, B> Symbol operator!=(const A& a, const B& b) {
  return apply(kernels::Binary::not_equal, a, b);
}

namespace detail {
template <class... Rest>
Symbol refuse_reduction(const Symbol& x) {
  static_assert(
      always_false<Rest...>,
      "an elementwise function sees one element of each operand: reduce before or after it, and pass "
      "what it needs of the whole as another operand");
  return x;
}
}  // namespace detail
// Not possible: they say what to write instead.
template <class... Rest>
Symbol sum(const Symbol& x, const Rest&...) {
  return detail::refuse_reduction<Rest...>(x);
}
template <class... Rest>
Symbol mean(const Symbol& x, const Rest&...) {
  return detail::refuse_reduction<Rest...>(x);
}
template <class... Rest>
Symbol prod(const Symbol& x, const Rest&...) {
  return detail::refuse_reduction<Rest...>(x);
}
template <class... Rest>
Symbol var(const Symbol& x, const Rest&...) {
  return detail::refuse_reduction<Rest...>(x);
}
template <class... Rest>
Symbol stddev(const Symbol& x, const Rest&...) {
  return detail::refuse_reduction<Rest...>(x);
}
template <class... Rest>
Symbol norm(const Symbol& x, const Rest&...) {
  return detail::refuse_reduction<Rest...>(x);
}
template <class... Rest>
Symbol logsumexp(const Symbol& x, const Rest&...) {
  return detail::refuse_reduction<Rest...>(x);
}
template <class... Rest>
Symbol any(const Symbol& x, const Rest&...) {
  return detail::refuse_reduction<Rest...>(x);
}
template <class... Rest>
Symbol all(const Symbol& x, const Rest&...) {
  return detail::refuse_reduction<Rest...>(x);
}
template <class... Rest>
Symbol argmax(const Symbol& x, const Rest&...) {
  return detail::refuse_reduction<Rest...>(x);
}
template <class... Rest>
Symbol argmin(const Symbol& x, const Rest&...) {
  return detail::refuse_reduction<Rest...>(x);
}

/// What one writes for maximum and minimum in a formula.
template <class A, class B>
requires SymbolOperands<A, B> Symbol max(const A& a, const B& b) {
  return apply(kernels::Binary::maximum, a, b);
}
template <class A, class B>
requires SymbolOperands<A, B> Symbol min(const A& a, const B& b) {
  return apply(kernels::Binary::minimum, a, b);
}

}  // namespace gradus
