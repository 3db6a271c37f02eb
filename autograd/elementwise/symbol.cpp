#include "autograd/elementwise/symbol.hpp"

#include <atomic>
#include <initializer_list>

#include "autograd/elementwise/graph.hpp"
#include "tensor/support/error.hpp"

namespace gradus {

using detail::ExprId;
using detail::Graph;
using kernels::Binary;
using kernels::Ternary;
using kernels::Unary;

namespace {

constinit thread_local std::uint32_t current_trace = 0;

[[noreturn]] void fail_foreign() {
  fail<ArgumentError>(
      "elementwise: a symbol of another function is used; a symbol lives only while its function is traced, "
      "so "
      "do not store or capture one");
}

/// The graph of an operand; null for a number. That of another function may be gone, and is not looked at.
Graph* graph_of(const Symbol& x) {
  if (x.trace() != 0 && x.trace() != current_trace) fail_foreign();
  return x.graph();
}

/// The graph that the operands are in, as a symbol of it; a number when all are numbers.
Symbol some_symbol(std::initializer_list<const Symbol*> operands) {
  Symbol found = 0.0;
  for (const Symbol* x : operands) {
    Graph* const graph = graph_of(*x);
    if (graph == nullptr) continue;
    if (found.graph() != nullptr && found.graph() != graph) fail_foreign();
    found = *x;
  }
  return found;
}

ExprId id_in(Graph& graph, const Symbol& x) {
  return x.graph() == nullptr ? graph.constant(x.number()) : x.id();
}

Symbol unary(Unary op, const Symbol& x) {
  if (Graph* graph = graph_of(x)) return {graph, graph->unary(op, x.id()), x.trace()};
  const double value = x.number();
  double y = 0;
  kernels::unary<double>(op, &value, &y, 1);
  return y;
}

Symbol binary(Binary op, const Symbol& a, const Symbol& b) {
  const Symbol in = some_symbol({&a, &b});
  if (Graph* graph = in.graph()) {
    return {graph, graph->binary(op, id_in(*graph, a), id_in(*graph, b)), in.trace()};
  }
  const double left = a.number(), right = b.number();
  double y = 0;
  kernels::binary<double>(op, &left, false, &right, false, &y, 1);
  return y;
}

}  // namespace

namespace detail {

TraceScope::TraceScope() : outer_(current_trace) {
  static std::atomic<std::uint32_t> next{1};
  do {
    trace_ = next.fetch_add(1, std::memory_order_relaxed);
  } while (trace_ == 0);
  current_trace = trace_;
}
TraceScope::~TraceScope() {
  current_trace = outer_;
}

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
  const Symbol in = some_symbol({&condition, &a, &b});
  Graph* const graph = in.graph();
  if (graph == nullptr) return condition.number() != 0 ? a : b;
  return {graph, graph->ternary(Ternary::where, id_in(*graph, condition), id_in(*graph, a), id_in(*graph, b)),
          in.trace()};
}

Symbol fused_multiply_add(const Symbol& a, const Symbol& b, const Symbol& c) {
  const Symbol in = some_symbol({&a, &b, &c});
  Graph* const graph = in.graph();
  if (graph == nullptr) return a.number() * b.number() + c.number();
  return {graph, graph->ternary(Ternary::fma, id_in(*graph, a), id_in(*graph, b), id_in(*graph, c)),
          in.trace()};
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
