#include "autograd/anomaly.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/sweep.hpp"

namespace gradus {

namespace detail {

namespace {

/// The sweep of grad: Variables, recorded on the tape as it goes, along the paths to what is wanted only.
class RecordedSweep {
 public:
  RecordedSweep(TapeStorage& tape, std::uint32_t last)
      : tape_(tape), needed_(last + 1, false), sums_(last + 1) {}

  void want(std::uint32_t node) {
    if (node < needed_.size()) needed_[node] = true;
  }
  void run(Variable seed) {
    for (std::size_t i = 0; i < needed_.size(); ++i) {
      for (const Edge& edge : tape_.nodes[i].edge_list()) {
        if (edge.input != no_node && needed_[edge.input]) needed_[i] = true;
      }
    }
    if (!needed_.back()) return;
    sums_.back() = std::move(seed);
    for (std::size_t i = needed_.size(); i-- > 0;) {
      if (!needed_[i] || !sums_[i].value().defined()) continue;
      const Node node = tape_.nodes[i];  // a copy: what is recorded now may move the nodes
      const ScopeStandIn scope(tape_.serial, node.scope);
      try {
        differentiate(node, sums_[i]);
      } catch (...) {
        rethrow_while_differentiating(tape_, node);
      }
      if (tape_.checks) check(static_cast<std::uint32_t>(i), node);
    }
  }
  const Variable* result(std::uint32_t node) const {
    return node < sums_.size() && sums_[node].value().defined() ? &sums_[node] : nullptr;
  }

 private:
  void check(std::uint32_t i, const Node& node) {
    for (const Edge& edge : node.edge_list()) {
      if (edge.input == no_node) continue;
      check_gradient_of(tape_, i, edge.input, sums_[i].value(), &sums_[edge.input].value());
    }
  }
  void differentiate(const Node& node, const Variable& g) {
    const std::span<Edge> edges = node.edge_list();
    if (edges.empty()) return;
    if (edges.front().closure->table->joint != nullptr) {
      Closure* closure = edges.front().closure;
      if (closure->table->joint_variable == nullptr) fail_once(node);
      const std::vector<Variable> out = closure->table->joint_variable(closure, g);
      for (std::size_t i = 0; i < edges.size(); ++i) {
        if (edges[i].input != no_node && needed_[edges[i].input]) accumulate(edges[i].input, out[i]);
      }
      return;
    }
    for (const Edge& edge : edges) {
      if (!needed_[edge.input]) continue;
      if (edge.closure->table->variable == nullptr) fail_once(node);
      accumulate(edge.input, edge.closure->table->variable(edge.closure, g));
    }
  }
  [[noreturn]] static void fail_once(const Node& node) {
    fail<TapeError>(
        "{} has a gradient but not one written in differentiable ops, so no second derivative; give it a "
        "form "
        "(const Variable& g) -> Variable",
        node.name);
  }
  void accumulate(std::uint32_t input, const Variable& g) {
    const Shape shape = tape_.nodes[input].shape;
    const Variable fit = fitted(g, shape, tape_.nodes[input].dtype);
    Variable& sum = sums_[input];
    sum = sum.value().defined() ? sum + fit : fit;
  }

  TapeStorage& tape_;
  std::vector<bool> needed_;
  std::vector<Variable> sums_;
};

}  // namespace

}  // namespace detail

std::vector<Variable> grad(const Variable& y, std::span<const Variable> xs, Where where) {
  detail::TapeStorage* tape = detail::active_tape();
  if (tape == nullptr)
    fail<TapeError>("grad at {}: no tape is active on this thread; make a Tape first", where.text());
  if (y.size() != 1) {
    fail<ShapeError>("grad at {}: y has shape {}; take the sum or mean to get one number", where.text(),
                     y.shape());
  }
  const Op op("grad", where);
  const std::uint32_t last = detail::resolve(*tape, y, op);
  std::vector<std::uint32_t> nodes;
  for (const Variable& x : xs) nodes.push_back(detail::resolve(*tape, x, op));
  std::vector<Variable> out;
  if (last == detail::no_node) {
    for (const Variable& x : xs) out.emplace_back(zeros_like(x.value()));
    return out;
  }
  detail::RecordedSweep sweep(*tape, last);
  for (const std::uint32_t node : nodes) sweep.want(node);
  sweep.run(Variable(ones_like(y.value())));
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const Variable* found = sweep.result(nodes[i]);
    out.push_back(found != nullptr ? *found : Variable(zeros_like(xs[i].value())));
  }
  return out;
}

}  // namespace gradus
