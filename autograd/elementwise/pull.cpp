#include "autograd/elementwise/pull.hpp"

#include <array>
#include <vector>

#include "autograd/elementwise/derivatives.hpp"
#include "autograd/elementwise/evaluation.hpp"
#include "autograd/elementwise/symbol.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "tensor/ops.hpp"

namespace gradus::detail {

using kernels::Binary;
using kernels::Unary;

namespace {

constexpr auto unary_count = static_cast<std::size_t>(Unary::round) + 1;
constexpr auto binary_count = static_cast<std::size_t>(Binary::polygamma) + 1;

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

struct BinaryRules {
  std::vector<Evaluation> first, second;
};

/// All rules, made when the first is needed.
const std::vector<Evaluation>& unary_rules() {
  static const std::vector<Evaluation> all = [] {
    std::vector<Evaluation> out;
    for (std::size_t i = 0; i < unary_count; ++i) {
      const auto op = static_cast<Unary>(i);
      out.push_back(evaluation(2, [op](auto x) { return pull(op, x[0], x[1]); }));
    }
    return out;
  }();
  return all;
}
const BinaryRules& binary_rules() {
  static const BinaryRules all = [] {
    BinaryRules out;
    for (std::size_t i = 0; i < binary_count; ++i) {
      const auto op = static_cast<Binary>(i);
      out.first.push_back(evaluation(3, [op](auto x) { return pull_first(op, x[0], x[1], x[2]); }));
      out.second.push_back(evaluation(4, [op](auto x) { return pull_second(op, x[0], x[1], x[2], x[3]); }));
    }
    return out;
  }();
  return all;
}

Tensor run(const Evaluation& rule, std::span<const Tensor* const> inputs) {
  std::array<Tensor, 1> out;
  rule.run(inputs, inputs[0]->shape(), inputs[0]->dtype(), out);
  return std::move(out[0]);
}

double scalar(const Tensor& x) {
  return x.defined() ? x.item() : 0;
}

}  // namespace

Tensor pull_values(Unary op, const Tensor& g, const Tensor& v) {
  if (g.rank() == 0) return Tensor::scalar(pull(op, g.item(), v.item()), g.dtype());
  return run(unary_rules()[static_cast<std::size_t>(op)], std::array{&g, &v});
}

Tensor pull_first_values(Binary op, const Tensor& g, const Tensor& a, const Tensor& b) {
  if (g.rank() == 0) return Tensor::scalar(pull_first(op, g.item(), scalar(a), scalar(b)), g.dtype());
  return run(binary_rules().first[static_cast<std::size_t>(op)], std::array{&g, &a, &b});
}

Tensor pull_second_values(Binary op, const Tensor& g, const Tensor& a, const Tensor& b, const Tensor& y) {
  if (g.rank() == 0) {
    return Tensor::scalar(pull_second(op, g.item(), scalar(a), scalar(b), scalar(y)), g.dtype());
  }
  return run(binary_rules().second[static_cast<std::size_t>(op)], std::array{&g, &a, &b, &y});
}

Symbol zero_where(const Symbol& condition, const Symbol& g) {
  return where(condition, 0, g);
}
Variable zero_where(bool condition, const Variable& g) {
  return condition ? Variable(zeros_like(g.value())) : g;
}
Variable zero_where(const Variable& condition, const Variable& g) {
  return where(condition, 0, g);
}

}  // namespace gradus::detail
