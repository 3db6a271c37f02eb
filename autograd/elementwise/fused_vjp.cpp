#include <array>
#include <vector>

#include "autograd/elementwise/derivatives.hpp"
#include "autograd/elementwise/program.hpp"
#include "autograd/elementwise/symbol.hpp"
#include "tensor/ops.hpp"

namespace gradus::detail {

using kernels::Binary;
using kernels::Unary;

namespace {

/// `rule` of so many symbols, made ready to run.
template <class Rule>
Evaluation evaluation(int inputs, const Rule& rule) {
  Graph graph;
  std::vector<ExprId> given;
  std::vector<Symbol> symbols;
  for (int i = 0; i < inputs; ++i) {
    given.push_back(graph.input(i));
    symbols.emplace_back(&graph, given.back());
  }
  const Symbol result = rule(std::span<const Symbol>(symbols));
  return Evaluation(graph, given, std::array{result.id()});
}

/// The rules of all functions, made when the first is needed.
template <class Function, class Rule>
std::vector<Evaluation> rules(std::size_t functions, int inputs, const Rule& rule) {
  std::vector<Evaluation> out;
  for (std::size_t i = 0; i < functions; ++i) {
    out.push_back(evaluation(inputs, [&](auto x) { return rule(static_cast<Function>(i), x); }));
  }
  return out;
}

Tensor run(const Evaluation& rule, std::span<const Tensor* const> inputs) {
  // g may broadcast to what the function was of, and what is read of it then to g.
  const Common common("gradient", inputs);
  std::array<Tensor, 1> out;
  rule.run(inputs, common.shape, common.dtype, out);
  return std::move(out[0]);
}

bool is_scalar(const Tensor& x) {
  return !x.defined() || x.rank() == 0;
}
double scalar(const Tensor& x) {
  return x.defined() ? x.item() : 0;
}

}  // namespace

Tensor fused_vjp(Unary op, const Tensor& g, const Tensor& v) {
  if (g.rank() == 0 && v.rank() == 0) return Tensor::scalar(local_vjp(op, g.item(), v.item()), g.dtype());
  static const std::vector<Evaluation> all =
      rules<Unary>(kernels::unary_count, 2, [](Unary of, auto x) { return local_vjp(of, x[0], x[1]); });
  return run(all[static_cast<std::size_t>(op)], std::array{&g, &v});
}

template <int operand>
Tensor fused_vjp(Binary op, const Tensor& g, const Tensor& a, const Tensor& b, const Tensor& y) {
  if (is_scalar(g) && is_scalar(a) && is_scalar(b) && is_scalar(y)) {
    return Tensor::scalar(local_vjp<operand>(op, g.item(), scalar(a), scalar(b), scalar(y)), g.dtype());
  }
  static const std::vector<Evaluation> all = rules<Binary>(kernels::binary_count, 4, [](Binary of, auto x) {
    return local_vjp<operand>(of, x[0], x[1], x[2], x[3]);
  });
  return run(all[static_cast<std::size_t>(op)], std::array{&g, &a, &b, &y});
}
template Tensor fused_vjp<0>(Binary, const Tensor&, const Tensor&, const Tensor&, const Tensor&);
template Tensor fused_vjp<1>(Binary, const Tensor&, const Tensor&, const Tensor&, const Tensor&);

Symbol zero_where(const Symbol& condition, const Symbol& g) {
  return where(condition, 0, g);
}
Symbol zero_unless(const Symbol& condition, const Symbol& g) {
  return where(condition, g, 0);
}
Variable zero_where(bool condition, const Variable& g) {
  return condition ? Variable(zeros_like(g.value())) : g;
}
Variable zero_where(const Variable& condition, const Variable& g) {
  return where(condition, 0, g);
}

}  // namespace gradus::detail
