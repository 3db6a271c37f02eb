#include "autograd/elementwise/graph.hpp"

#include <bit>
#include <cmath>
#include <utility>

namespace gradus::detail {

using kernels::Binary;
using kernels::Ternary;
using kernels::Unary;

namespace {

std::uint64_t bits(double x) {
  return std::bit_cast<std::uint64_t>(x);
}

bool commutes(Binary op) {
  return op == Binary::add || op == Binary::mul || op == Binary::equal || op == Binary::not_equal;
}

/// 1/x is exact, so that dividing by x is multiplying with it.
bool is_power_of_two(double x) {
  int exponent = 0;
  return std::isfinite(x) && std::abs(std::frexp(x, &exponent)) == 0.5 && std::abs(exponent) < 100;
}

}  // namespace

bool Expr::operator==(const Expr& other) const {
  return kind == other.kind && function == other.function && a == other.a && b == other.b && c == other.c &&
         bits(number) == bits(other.number);
}

std::size_t ExprHash::operator()(const Expr& e) const {
  std::uint64_t h = bits(e.number);
  for (const std::uint64_t part :
       {static_cast<std::uint64_t>(e.kind), static_cast<std::uint64_t>(e.function),
        static_cast<std::uint64_t>(e.a), static_cast<std::uint64_t>(e.b), static_cast<std::uint64_t>(e.c)}) {
    h = (h ^ part) * 0x9E3779B97F4A7C15u;
    h ^= h >> 32;
  }
  return static_cast<std::size_t>(h);
}

ExprId Graph::add(const Expr& e) {
  const auto [place, is_new] = ids_.try_emplace(e, size());
  if (is_new) exprs_.push_back(e);
  return place->second;
}

bool Graph::is_number(ExprId id, double value) const {
  return is_constant(id) && bits((*this)[id].number) == bits(value);
}

ExprId Graph::input(int position) {
  return add({.kind = ExprKind::input, .number = static_cast<double>(position)});
}

ExprId Graph::constant(double value) {
  return add({.kind = ExprKind::constant, .number = value});
}

ExprId Graph::unary(Unary op, ExprId a) {
  const ExprId simple = simplified(op, a);
  if (simple != no_expr) return simple;
  return add({.kind = ExprKind::unary, .function = static_cast<std::uint8_t>(op), .a = a});
}

ExprId Graph::simplified(Unary op, ExprId a) {
  if (is_constant(a)) {
    const double x = (*this)[a].number;
    double y = 0;
    kernels::unary<double>(op, &x, &y, 1);
    return constant(y);
  }
  if (op == Unary::neg && (*this)[a].is(Unary::neg)) return (*this)[a].a;
  return no_expr;
}

ExprId Graph::binary(Binary op, ExprId a, ExprId b) {
  const ExprId simple = simplified(op, a, b);
  if (simple != no_expr) return simple;
  if (op == Binary::greater) return binary(Binary::less, b, a);
  if (op == Binary::greater_equal) return binary(Binary::less_equal, b, a);
  if (commutes(op) && b < a) std::swap(a, b);
  return add({.kind = ExprKind::binary, .function = static_cast<std::uint8_t>(op), .a = a, .b = b});
}

ExprId Graph::simplified(Binary op, ExprId a, ExprId b) {
  if (is_constant(a) && is_constant(b)) {
    const double x = (*this)[a].number, y = (*this)[b].number;
    double z = 0;
    kernels::binary<double>(op, &x, false, &y, false, &z, 1);
    return constant(z);
  }
  switch (op) {
    case Binary::add:  // -0 is the number that adds nothing, to zeros of either sign
      if (is_number(a, -0.0)) return b;
      if (is_number(b, -0.0)) return a;
      return no_expr;
    case Binary::sub:
      return is_number(b, 0.0) ? a : no_expr;
    case Binary::mul:
      if (is_constant(a)) std::swap(a, b);
      if (is_number(b, 1.0)) return a;
      if (is_number(b, -1.0)) return unary(Unary::neg, a);
      return a == b ? unary(Unary::square, a) : no_expr;
    case Binary::div:
      if (is_number(a, 1.0)) return unary(Unary::reciprocal, b);
      if (!is_constant(b) || !is_power_of_two((*this)[b].number)) return no_expr;
      return binary(Binary::mul, a, constant(1 / (*this)[b].number));
    case Binary::pow:
      return is_constant(b) ? power(a, (*this)[b].number) : no_expr;
    default:
      return no_expr;
  }
}

/// Small whole exponents without pow, where that is as exact.
ExprId Graph::power(ExprId a, double exponent) {
  if (exponent == 0) return constant(1);
  if (exponent == 1) return a;
  const kernels::Power known = kernels::power_function(exponent);
  return known.found ? unary(known.function, a) : no_expr;
}

ExprId Graph::ternary(Ternary op, ExprId a, ExprId b, ExprId c) {
  if (op == Ternary::where) {
    if (is_constant(a)) return (*this)[a].number != 0 ? b : c;
    if (b == c) return b;
  } else if (op == Ternary::fma && is_constant(a) && is_constant(b)) {
    return binary(Binary::add, binary(Binary::mul, a, b), c);
  } else if (is_constant(a) && is_constant(b) && is_constant(c)) {
    const double x[] = {(*this)[a].number, (*this)[b].number, (*this)[c].number};
    double y = 0;
    kernels::ternary<double>(op, x, false, x + 1, false, x + 2, false, &y, 1);
    return constant(y);
  }
  return add({.kind = ExprKind::ternary, .function = static_cast<std::uint8_t>(op), .a = a, .b = b, .c = c});
}

}  // namespace gradus::detail
