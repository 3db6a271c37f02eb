#include <algorithm>

#include "autograd/elementwise/derivatives.hpp"
#include "autograd/elementwise/graph.hpp"
#include "autograd/elementwise/symbol.hpp"

namespace gradus::detail {

using kernels::Ternary;

namespace {

/// A derivative on its way back. Where it is a mask, where(c, g, 0), products stay inside of it: outside, 0
/// times the infinity of a branch not taken would be NaN.
struct Adjoint {
  Symbol symbol;
};

const Expr& expr(const Symbol& x) {
  return (*x.graph())[x.id()];
}
bool is_zero(const Graph& graph, ExprId id) {
  return graph.is_number(id, 0.0);
}

ExprId operand_of(const Expr& e, int i) {
  return i == 0 ? e.a : i == 1 ? e.b : e.c;
}
/// True when the derivative with respect to the i-th operand is not zero everywhere.
bool depends(const Expr& e, int i) {
  switch (e.kind) {
    case ExprKind::unary:
      return i == 0 && has_derivative(e.unary());
    case ExprKind::binary:
      return i < 2 && has_derivative(e.binary(), i);
    case ExprKind::ternary:
      return has_derivative(e.ternary(), i);
    default:
      return false;
  }
}

/// f on the part of g that its masks let through.
template <class F>
Adjoint inside(const Adjoint& g, const F& f) {
  Graph* graph = g.symbol.graph();
  const Expr e = expr(g.symbol);  // a copy: the graph grows
  if (e.is(Ternary::where)) {
    const Symbol condition(graph, e.a);
    if (is_zero(*graph, e.c)) return {where(condition, inside({Symbol(graph, e.b)}, f).symbol, 0)};
    if (is_zero(*graph, e.b)) return {where(condition, 0, inside({Symbol(graph, e.c)}, f).symbol)};
  }
  return {f(g.symbol)};
}

Adjoint operator*(const Adjoint& g, const Symbol& d) {
  return inside(g, [&](const Symbol& x) { return x * d; });
}
Adjoint operator/(const Adjoint& g, const Symbol& d) {
  return inside(g, [&](const Symbol& x) { return x / d; });
}
Adjoint operator-(const Adjoint& g) {
  return inside(g, [](const Symbol& x) { return -x; });
}
Adjoint zero_where(const Symbol& condition, const Adjoint& g) {
  return {where(condition, 0, g.symbol)};
}
Adjoint zero_unless(const Symbol& condition, const Adjoint& g) {
  return {where(condition, g.symbol, 0)};
}

/// The sum of two derivatives; two parts under one condition come under one mask.
Symbol sum_of(const Symbol& a, const Symbol& b) {
  Graph* graph = a.graph();
  const Expr l = expr(a), r = expr(b);
  if (l.is(Ternary::where) && r.is(Ternary::where) && l.a == r.a) {
    const auto part = [&](ExprId first, ExprId second) {
      if (is_zero(*graph, first)) return Symbol(graph, second);
      if (is_zero(*graph, second)) return Symbol(graph, first);
      return sum_of(Symbol(graph, first), Symbol(graph, second));
    };
    const bool masks =
        is_zero(*graph, l.b) || is_zero(*graph, l.c) || is_zero(*graph, r.b) || is_zero(*graph, r.c);
    if (masks) return where(Symbol(graph, l.a), part(l.b, r.b), part(l.c, r.c));
  }
  return a + b;
}

/// The sweep: the derivatives found so far, by expression.
class Reverse {
 public:
  Reverse(Graph& graph, ExprId last) : graph_(graph), sums_(static_cast<std::size_t>(last) + 1, no_expr) {}

  std::vector<ExprId> run(std::span<const ExprId> ys, std::span<const ExprId> gs,
                          std::span<const ExprId> xs) {
    for (std::size_t k = 0; k < ys.size(); ++k) add(ys[k], Adjoint{at(gs[k])});
    mark_dependent(xs);
    const ExprId y = static_cast<ExprId>(sums_.size()) - 1;
    for (ExprId id = y; id >= 0; --id) {
      if (sum(id) != no_expr && needed_[static_cast<std::size_t>(id)]) visit(id);
    }
    std::vector<ExprId> out;
    for (const ExprId x : xs) out.push_back(x <= y ? sum(x) : no_expr);
    return out;
  }

 private:
  ExprId& sum(ExprId id) { return sums_[static_cast<std::size_t>(id)]; }
  Symbol at(ExprId id) { return {&graph_, id}; }

  /// Only what depends on the xs is differentiated.
  void mark_dependent(std::span<const ExprId> xs) {
    needed_.assign(sums_.size(), false);
    for (const ExprId x : xs) {
      if (x < static_cast<ExprId>(needed_.size())) needed_[static_cast<std::size_t>(x)] = true;
    }
    for (std::size_t i = 0; i < needed_.size(); ++i) {
      const Expr& e = graph_[static_cast<ExprId>(i)];
      for (const ExprId operand : {e.a, e.b, e.c}) {
        if (operand != no_expr && needed_[static_cast<std::size_t>(operand)]) needed_[i] = true;
      }
    }
  }

  bool wants(const Expr& e, int operand) const {
    return needed_[static_cast<std::size_t>(operand_of(e, operand))] && depends(e, operand);
  }
  void add(ExprId id, const Adjoint& part) {
    ExprId& total = sum(id);
    total = total == no_expr ? part.symbol.id() : sum_of(at(total), part.symbol).id();
  }

  void visit(ExprId id) {
    const Expr e = graph_[id];  // a copy: the graph grows
    const Adjoint g{at(sum(id))};
    if (e.kind == ExprKind::unary && has_derivative(e.unary())) {
      add(e.a, local_vjp(e.unary(), g, at(has(reads(e.unary()), Reads::y) ? id : e.a)));
    } else if (e.kind == ExprKind::binary) {
      const Symbol a = at(e.a), b = at(e.b), y = at(id);
      if (wants(e, 0)) add(e.a, local_vjp<0>(e.binary(), g, a, b, y));
      if (wants(e, 1)) add(e.b, local_vjp<1>(e.binary(), g, a, b, y));
    } else if (e.kind == ExprKind::ternary) {
      const Symbol a = at(e.a), b = at(e.b), c = at(e.c);
      if (wants(e, 0)) add(e.a, local_vjp<0>(e.ternary(), g, a, b, c));
      if (wants(e, 1)) add(e.b, local_vjp<1>(e.ternary(), g, a, b, c));
      if (wants(e, 2)) add(e.c, local_vjp<2>(e.ternary(), g, a, b, c));
    }
  }

  Graph& graph_;
  std::vector<ExprId> sums_;
  std::vector<bool> needed_;
};

}  // namespace

std::uint32_t differentiable_inputs(const Graph& graph, ExprId y) {
  std::vector<std::uint32_t> bits(static_cast<std::size_t>(y) + 1, 0);
  for (ExprId id = 0; id <= y; ++id) {
    const Expr& e = graph[id];
    std::uint32_t& mine = bits[static_cast<std::size_t>(id)];
    if (e.kind == ExprKind::input) mine = 1u << static_cast<unsigned>(e.number);
    for (int i = 0; i < 3; ++i) {
      if (depends(e, i)) mine |= bits[static_cast<std::size_t>(operand_of(e, i))];
    }
  }
  return bits.back();
}

std::vector<ExprId> differentiate(Graph& graph, std::span<const ExprId> ys, std::span<const ExprId> gs,
                                  std::span<const ExprId> xs) {
  return Reverse(graph, *std::ranges::max_element(ys)).run(ys, gs, xs);
}

}  // namespace gradus::detail
