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
      "so do not store or capture one");
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

}  // namespace detail

Symbol apply(Unary op, const Symbol& x, Where) {
  if (Graph* graph = graph_of(x)) return {graph, graph->unary(op, x.id()), x.trace()};
  const double value = x.number();
  double y = 0;
  kernels::unary<double>(op, &value, &y, 1);
  return y;
}

Symbol apply(Binary op, const Symbol& a, const Symbol& b, Where) {
  const Symbol in = some_symbol({&a, &b});
  if (Graph* graph = in.graph()) {
    return {graph, graph->binary(op, id_in(*graph, a), id_in(*graph, b)), in.trace()};
  }
  const double left = a.number(), right = b.number();
  double y = 0;
  kernels::binary<double>(op, &left, false, &right, false, &y, 1);
  return y;
}

Symbol apply(Ternary op, const Symbol& a, const Symbol& b, const Symbol& c, Where) {
  const Symbol in = some_symbol({&a, &b, &c});
  if (Graph* graph = in.graph()) {
    return {graph, graph->ternary(op, id_in(*graph, a), id_in(*graph, b), id_in(*graph, c)), in.trace()};
  }
  const double x[] = {a.number(), b.number(), c.number()};
  double y = 0;
  kernels::ternary<double>(op, x, false, x + 1, false, x + 2, false, &y, 1);
  return y;
}

}  // namespace gradus
