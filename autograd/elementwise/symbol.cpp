#include "autograd/elementwise/symbol.hpp"

#include <initializer_list>

#include "autograd/elementwise/graph.hpp"
#include "tensor/error.hpp"

namespace gradus {

using detail::ExprId;
using detail::Graph;
using kernels::Binary;
using kernels::Ternary;
using kernels::Unary;

namespace {

/// The graph that the operands are in; null when all are numbers.
Graph* graph_of(std::initializer_list<const Symbol*> operands) {
  Graph* graph = nullptr;
  for (const Symbol* x : operands) {
    if (x->graph() == nullptr) continue;
    if (graph != nullptr && graph != x->graph()) {
      fail<ArgumentError>(
          "elementwise: a symbol of another function is used; a symbol lives only while its function is "
          "traced, so do not store or capture one");
    }
    graph = x->graph();
  }
  return graph;
}

ExprId id_in(Graph& graph, const Symbol& x) {
  return x.graph() == nullptr ? graph.constant(x.number()) : x.id();
}

Symbol unary(Unary op, const Symbol& x) {
  if (Graph* graph = x.graph()) return {graph, graph->unary(op, x.id())};
  const double value = x.number();
  double y = 0;
  kernels::unary<double>(op, &value, &y, 1);
  return y;
}

Symbol binary(Binary op, const Symbol& a, const Symbol& b) {
  if (Graph* graph = graph_of({&a, &b})) {
    return {graph, graph->binary(op, id_in(*graph, a), id_in(*graph, b))};
  }
  const double left = a.number(), right = b.number();
  double y = 0;
  kernels::binary<double>(op, &left, false, &right, false, &y, 1);
  return y;
}

}  // namespace

namespace detail {

Symbol add(const Symbol& a, const Symbol& b) {
  return binary(Binary::add, a, b);
}
Symbol sub(const Symbol& a, const Symbol& b) {
  return binary(Binary::sub, a, b);
}
Symbol mul(const Symbol& a, const Symbol& b) {
  return binary(Binary::mul, a, b);
}
Symbol div(const Symbol& a, const Symbol& b) {
  return binary(Binary::div, a, b);
}
Symbol maximum_of(const Symbol& a, const Symbol& b) {
  return binary(Binary::maximum, a, b);
}
Symbol minimum_of(const Symbol& a, const Symbol& b) {
  return binary(Binary::minimum, a, b);
}
Symbol power(const Symbol& a, const Symbol& b) {
  return binary(Binary::pow, a, b);
}
Symbol angle(const Symbol& y, const Symbol& x) {
  return binary(Binary::atan2, y, x);
}
Symbol remainder(const Symbol& a, const Symbol& b) {
  return binary(Binary::fmod, a, b);
}
Symbol is_less(const Symbol& a, const Symbol& b) {
  return binary(Binary::less, a, b);
}
Symbol is_less_equal(const Symbol& a, const Symbol& b) {
  return binary(Binary::less_equal, a, b);
}
Symbol is_equal(const Symbol& a, const Symbol& b) {
  return binary(Binary::equal, a, b);
}
Symbol is_not_equal(const Symbol& a, const Symbol& b) {
  return binary(Binary::not_equal, a, b);
}

Symbol choose(const Symbol& condition, const Symbol& a, const Symbol& b) {
  Graph* graph = graph_of({&condition, &a, &b});
  if (graph == nullptr) return condition.number() != 0 ? a : b;
  return {graph,
          graph->ternary(Ternary::where, id_in(*graph, condition), id_in(*graph, a), id_in(*graph, b))};
}

Symbol fused_multiply_add(const Symbol& a, const Symbol& b, const Symbol& c) {
  Graph* graph = graph_of({&a, &b, &c});
  if (graph == nullptr) return a.number() * b.number() + c.number();
  return {graph, graph->ternary(Ternary::fma, id_in(*graph, a), id_in(*graph, b), id_in(*graph, c))};
}

Symbol clamped(const Symbol& x, const Symbol& low, const Symbol& high) {
  const Symbol above = where(x < low, low, x);
  return where(above > high, high, above);
}

}  // namespace detail

Symbol operator-(const Symbol& x) {
  return unary(Unary::neg, x);
}
Symbol abs(const Symbol& x) {
  return unary(Unary::abs, x);
}
Symbol sign(const Symbol& x) {
  return unary(Unary::sign, x);
}
Symbol square(const Symbol& x) {
  return unary(Unary::square, x);
}
Symbol sqrt(const Symbol& x) {
  return unary(Unary::sqrt, x);
}
Symbol rsqrt(const Symbol& x) {
  return unary(Unary::rsqrt, x);
}
Symbol reciprocal(const Symbol& x) {
  return unary(Unary::reciprocal, x);
}
Symbol exp(const Symbol& x) {
  return unary(Unary::exp, x);
}
Symbol expm1(const Symbol& x) {
  return unary(Unary::expm1, x);
}
Symbol log(const Symbol& x) {
  return unary(Unary::log, x);
}
Symbol log1p(const Symbol& x) {
  return unary(Unary::log1p, x);
}
Symbol log2(const Symbol& x) {
  return unary(Unary::log2, x);
}
Symbol sin(const Symbol& x) {
  return unary(Unary::sin, x);
}
Symbol cos(const Symbol& x) {
  return unary(Unary::cos, x);
}
Symbol tan(const Symbol& x) {
  return unary(Unary::tan, x);
}
Symbol asin(const Symbol& x) {
  return unary(Unary::asin, x);
}
Symbol acos(const Symbol& x) {
  return unary(Unary::acos, x);
}
Symbol atan(const Symbol& x) {
  return unary(Unary::atan, x);
}
Symbol sinh(const Symbol& x) {
  return unary(Unary::sinh, x);
}
Symbol cosh(const Symbol& x) {
  return unary(Unary::cosh, x);
}
Symbol tanh(const Symbol& x) {
  return unary(Unary::tanh, x);
}
Symbol asinh(const Symbol& x) {
  return unary(Unary::asinh, x);
}
Symbol acosh(const Symbol& x) {
  return unary(Unary::acosh, x);
}
Symbol atanh(const Symbol& x) {
  return unary(Unary::atanh, x);
}
Symbol erf(const Symbol& x) {
  return unary(Unary::erf, x);
}
Symbol erfc(const Symbol& x) {
  return unary(Unary::erfc, x);
}
Symbol lgamma(const Symbol& x) {
  return unary(Unary::lgamma, x);
}
Symbol digamma(const Symbol& x) {
  return polygamma(0, x);
}
Symbol polygamma(const Symbol& n, const Symbol& x) {
  return binary(Binary::polygamma, n, x);
}
Symbol sigmoid(const Symbol& x) {
  return unary(Unary::sigmoid, x);
}
Symbol relu(const Symbol& x) {
  return unary(Unary::relu, x);
}
Symbol floor(const Symbol& x) {
  return unary(Unary::floor, x);
}
Symbol ceil(const Symbol& x) {
  return unary(Unary::ceil, x);
}
Symbol round(const Symbol& x) {
  return unary(Unary::round, x);
}

}  // namespace gradus
