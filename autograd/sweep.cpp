#include "autograd/sweep.hpp"

#include <algorithm>
#include <optional>

#include "autograd/anomaly.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/reduction.hpp"
#include "tensor/ops.hpp"

namespace gradus {

namespace detail {

void destroy_closures(std::span<Edge> edges) noexcept {
  Closure* last = nullptr;  // the edges of a joint closure share it
  for (Edge& edge : edges) {
    if (edge.closure != nullptr && edge.closure != last) edge.closure->table->destroy(edge.closure);
    if (edge.closure != nullptr) last = edge.closure;
    edge.closure = nullptr;
  }
}

namespace {

bool broadcasts_to(const Shape& from, const Shape& to) {
  bool fits = from.rank() <= to.rank();
  for (int i = 1; fits && i <= from.rank(); ++i) fits = from[-i] == to[-i] || from[-i] == 1;
  return fits;
}

/// One sweep over a tape: from the last node down to the first, each op's closures turn the gradients of its
/// results into parts of its inputs' gradients, which are summed. As inputs come before what is made of them,
/// a gradient is whole when the sweep gets there.
///
/// It goes to all leaves, or along the paths to wanted nodes; it is recorded, by the closures' forms in
/// differentiable ops, or not, by their fused forms where there are some.
class Sweep {
 public:
  /// To the wanted nodes.
  Sweep(TapeStorage& tape, std::span<const SweepStart> starts, std::span<const std::uint32_t> wanted,
        SweepOptions options)
      : Sweep(tape, starts, options, false) {
    scratch_.role.assign(scratch_.sums.size(), Role::aside);
    for (const std::uint32_t node : wanted) want(node);
    std::sort(before_.begin(), before_.end(),
              [](const Before& a, const Before& b) { return a.node < b.node; });
    for (std::size_t i = 0; i < scratch_.role.size(); ++i) mark(i);
  }
  /// To all leaves.
  Sweep(TapeStorage& tape, const SweepStart& start, bool consume)
      : Sweep(tape, {&start, 1}, {.record = false, .consume = consume}, true) {}

  Sweep(const Sweep&) = delete;
  Sweep& operator=(const Sweep&) = delete;
  ~Sweep() {
    // Kept for the next one. A sweep within a closure of this one had its own.
    scratch_.sums.clear();
    scratch_.rows.clear();
    tape_.sweep_scratch = std::move(scratch_);
  }

  void run(std::span<const SweepStart> starts) {
    std::optional<PauseRecording> pause;
    if (!options_.record) pause.emplace();
    for (const SweepStart& start : starts) {
      if (Variable* sum = find(start.node)) accumulate(*sum, start.seed, {});
    }
    for (std::size_t i = scratch_.sums.size(); i-- > 0;)
      visit(options_.begin + static_cast<std::uint32_t>(i));
  }

  Variable result(std::uint32_t node) {
    const Variable* found = node == no_node ? nullptr : find(node);
    return found != nullptr ? *found : Variable();
  }
  GradientList leaves();

 private:
  using Role = SweepScratch::Role;
  struct Before {
    std::uint32_t node;
    Variable sum;
  };

  Sweep(TapeStorage& tape, std::span<const SweepStart> starts, SweepOptions options, bool to_leaves)
      : tape_(tape),
        sweeping_(tape),
        frame_(tape),
        options_(options),
        to_leaves_(to_leaves),
        scratch_(std::move(tape.sweep_scratch)) {
    std::uint32_t end = options.begin;
    for (const SweepStart& start : starts)
      end = std::max(end, start.node + 1 + tape.nodes[start.node].further);  // with the op's other results
    scratch_.sums.resize(end - options.begin);
  }

  // What is wanted, and the paths to it.

  void want(std::uint32_t node) {
    if (node == no_node) return;
    if (node < options_.begin) {
      before_.push_back({node, {}});
    } else if (node - options_.begin < scratch_.role.size()) {
      scratch_.role[node - options_.begin] = Role::wanted;
    }
  }
  void mark(std::size_t i) {
    if (scratch_.role[i] == Role::wanted) return;
    for (const Edge& edge : tape_.nodes[options_.begin + i].edge_list()) {
      if (find(edge.input) == nullptr) continue;
      scratch_.role[i] = Role::path;
      return;
    }
  }
  /// The sum of the gradients of a node that is wanted or on the way to one that is; else null.
  Variable* find(std::uint32_t node) {
    if (node == no_node) return nullptr;
    if (to_leaves_) return &scratch_.sums[node];
    if (node >= options_.begin) {
      const std::size_t i = node - options_.begin;
      return i < scratch_.role.size() && scratch_.role[i] != Role::aside ? &scratch_.sums[i] : nullptr;
    }
    const auto at = std::lower_bound(before_.begin(), before_.end(), node,
                                     [](const Before& b, std::uint32_t n) { return b.node < n; });
    return at != before_.end() && at->node == node ? &at->sum : nullptr;
  }

  // From an op to its inputs.

  void visit(std::uint32_t i) {
    const Node& node = tape_.nodes[i];
    if (node.edge_count == 0 || node.result > 0) return;  // a leaf; a result that the op's first stands for
    const std::span<Edge> edges = node.edge_list();
    if (node.further == 0) {
      if (const Variable g = take_gradient(i); g.value().defined()) differentiate(i, edges, {&g, 1});
    } else {
      visit_several(i, node.further + 1, edges);
    }
    if (options_.consume) destroy_closures(edges);
  }
  void visit_several(std::uint32_t i, std::uint32_t count, std::span<Edge> edges) {
    storage::PoolVector<Variable> gs;
    gs.reserve(count);
    bool any = false;
    for (std::uint32_t k = 0; k < count; ++k) {
      gs.push_back(take_gradient(i + k));
      any |= gs.back().value().defined();
    }
    if (any) differentiate(i, edges, gs);
  }
  /// The gradient of a result that goes on to the op's inputs, undefined for none. Nobody needs the sum any
  /// more, unless it is wanted.
  Variable take_gradient(std::uint32_t i) {
    const std::size_t k = i - options_.begin;
    if (to_leaves_ || scratch_.role[k] != Role::wanted) return std::move(scratch_.sums[k]);
    return options_.through ? scratch_.sums[k] : Variable();
  }

  /// gs: the gradients of the op's results. What is recorded now may move the nodes, but not the edges.
  void differentiate(std::uint32_t i, std::span<const Edge> edges, std::span<const Variable> gs) {
    frame_.begin(i);
    const std::size_t rows_before = scratch_.rows.size();
    if (edges.front().closure == nullptr) {
      fail<TapeError>("what it saved was freed by an earlier backward; call that one with {{.keep = true}}");
    }
    if (edges.front().closure->table->joint != nullptr) {
      differentiate_jointly(i, edges, gs);
    } else {
      for (std::size_t e = 0; e < edges.size(); ++e) {
        if (Variable* sum = find(edges[e].input)) differentiate(i, e, edges[e], gs.front(), *sum);
      }
    }
    frame_.end();
    if (tape_.checks) check(i, edges, gs, rows_before);
  }

  void differentiate(std::uint32_t i, std::size_t e, const Edge& edge, const Variable& g, Variable& sum) {
    Closure* const closure = edge.closure;
    const ClosureTable& table = *closure->table;
    switch (options_.record ? Form::variable : table.first) {
      case Form::variable:
        if (table.variable == nullptr) fail_no_second_derivative(i);
        if (options_.record && table.add_variable != nullptr && sum.value().defined() && !tape_.plant) {
          sum = table.add_variable(closure, g, std::move(sum));
        } else {
          add(i, e, edge.input, sum, table.variable(closure, g));
        }
        break;
      case Form::tensor:
        add(i, e, edge.input, sum, Variable(table.tensor(closure, g.value())));
        break;
      case Form::add:
        if (!sum.value().defined() && table.tensor != nullptr) {
          add(i, e, edge.input, sum, Variable(table.tensor(closure, g.value())));
        } else {
          add_in_place(i, e, edge, g.value(), sum);
        }
        break;
      case Form::rows:
        add_rows(i, e, edge.input, sum, table.rows(closure, g.value()));
        break;
      case Form::joint:
        break;  // above
    }
  }

  void differentiate_jointly(std::uint32_t i, std::span<const Edge> edges, std::span<const Variable> gs) {
    Closure* const closure = edges.front().closure;
    if (options_.record) {
      if (closure->table->joint_variable == nullptr) fail_no_second_derivative(i);
      std::vector<Variable> out = closure->table->joint_variable(closure, gs);
      if (out.size() != edges.size())
        fail<ArgumentError>("the closure gives {} gradients for {} inputs", out.size(), edges.size());
      for (std::size_t e = 0; e < edges.size(); ++e) add_joint(i, e, edges[e].input, std::move(out[e]));
      return;
    }
    auto& [wanted, values, out] = scratch_.joint;
    if (out.size() < edges.size()) wanted = std::make_unique<bool[]>(edges.size());
    for (std::size_t e = 0; e < edges.size(); ++e) wanted[e] = find(edges[e].input) != nullptr;
    values.clear();
    for (const Variable& g : gs) values.push_back(g.value());
    out.clear();  // a closure that threw may have left something
    out.resize(edges.size());
    closure->table->joint(closure, values, {wanted.get(), edges.size()}, out);
    values.clear();
    for (std::size_t e = 0; e < edges.size(); ++e)
      add_joint(i, e, edges[e].input, Variable(std::move(out[e])));
  }
  void add_joint(std::uint32_t i, std::size_t e, std::uint32_t input, Variable part) {
    Variable* const sum = part.value().defined() ? find(input) : nullptr;
    if (sum != nullptr) add(i, e, input, *sum, std::move(part));
  }

  [[noreturn]] void fail_no_second_derivative(std::uint32_t i) const {
    fail<TapeError>(
        "{} has a gradient but not one written in differentiable ops, so no second derivative; give it a "
        "form (const Variable& g) -> Variable",
        tape_.nodes[i].name);
  }

  // The sums. An op's part of an input's gradient passes one of these three, where an error may be planted.

  /// Adds the part, summed over what was broadcast. Throws DtypeError, ShapeError.
  void add(std::uint32_t i, std::size_t e, std::uint32_t input, Variable& sum, Variable part) {
    if (planted(i, e)) part = std::move(part) * tape_.plant->factor;
    const Node& to = tape_.nodes[input];
    if (part.dtype() != to.dtype) {
      fail<DtypeError>("the gradient is {}, the input {}", name_of(part.dtype()), name_of(to.dtype));
    }
    if (!part.value().has_shape(to.shape)) {
      if (!broadcasts_to(to.shape, part.shape())) {
        fail<ShapeError>(
            "the gradient has the shape {}, the input {}; axes that were broadcast are summed, no others",
            part.shape(), to.shape);
      }
      part = sum_to(part, Shape(to.shape));
    }
    const Node& from = tape_.nodes[i];
    accumulate(sum, std::move(part), {from.file, from.line});
  }
  void accumulate(Variable& sum, Variable part, Where where) const {
    if (!sum.value().defined()) {
      sum = std::move(part);
    } else if (options_.record) {
      sum = VariableOperand(sum, where) + VariableOperand(part, where);
    } else {
      Tensor total = std::move(sum).take();
      add_to(total, part.value());
      sum = Variable(std::move(total));
    }
  }
  void add_in_place(std::uint32_t i, std::size_t e, const Edge& edge, const Tensor& g, Variable& sum) {
    const Node& to = tape_.nodes[edge.input];
    const bool apart = tape_.plant != nullptr;  // a planted error needs what this op adds by itself
    Tensor into = apart || !sum.value().defined() ? zeros(to.shape, to.dtype) : std::move(sum).take();
    edge.closure->table->add(edge.closure, g, into);
    if (apart) return add(i, e, edge.input, sum, Variable(std::move(into)));
    sum = Variable(std::move(into));
  }
  void add_rows(std::uint32_t i, std::size_t e, std::uint32_t input, Variable& sum, Rows rows) {
    if (!to_leaves_) return add(i, e, input, sum, Variable(rows.dense()));
    if (planted(i, e)) rows.values = std::move(rows.values) * tape_.plant->factor;
    const Node& to = tape_.nodes[input];
    if (to.edge_count == 0) {
      scratch_.rows.emplace_back(input, std::move(rows));
      return;
    }
    Tensor into = sum.value().defined() ? std::move(sum).take() : zeros(to.shape, to.dtype);
    scatter_add_rows(into, rows.ids, rows.values);
    sum = Variable(std::move(into));
  }
  bool planted(std::uint32_t i, std::size_t e) {
    return tape_.plant != nullptr && tape_.plant->applies(tape_.nodes[i].name, e);
  }

  void check(std::uint32_t i, std::span<const Edge> edges, std::span<const Variable> gs,
             std::size_t rows_before) {
    for (const Edge& edge : edges) {
      if (const Variable* sum = find(edge.input)) check_gradient_of(tape_, i, edge.input, gs, sum->value());
    }
    for (std::size_t k = rows_before; k < scratch_.rows.size(); ++k)
      check_gradient_of(tape_, i, scratch_.rows[k].first, gs, scratch_.rows[k].second.values);
  }

  /// The rows of a leaf, which stay so unless a dense part is there too.
  void add_leaf_rows(Gradient& gradient, std::uint32_t leaf) {
    storage::PoolVector<std::int32_t> ids;
    storage::PoolVector<Tensor> values;
    std::int64_t height = 0;
    for (const auto& [owner, rows] : scratch_.rows) {
      if (owner != leaf) continue;
      if (gradient.dense.defined()) {
        scatter_add_rows(gradient.dense, rows.ids, rows.values);
        continue;
      }
      ids.insert(ids.end(), rows.ids.values().begin(), rows.ids.values().end());
      values.push_back(rows.values);
      height = rows.height;
    }
    if (values.empty()) return;
    Tensor all = values.size() == 1 ? values.front() : concat(values, 0);
    gradient.rows = Rows{Indices::from_pool(std::move(ids)), std::move(all), height}.merged();
  }

  TapeStorage& tape_;
  const TapeStorage::Sweeping sweeping_;
  SweepFrame frame_;
  SweepOptions options_;
  bool to_leaves_;
  SweepScratch scratch_;
  std::vector<Before> before_;  // wanted nodes before options_.begin, ascending
};

GradientList Sweep::leaves() {
  GradientList out;
  out.reserve(tape_.leaves.size());
  for (const Leaf& leaf : tape_.leaves) {
    if (leaf.node >= scratch_.sums.size()) continue;
    const Node& node = tape_.nodes[leaf.node];
    Gradient gradient{
        leaf.place, std::move(scratch_.sums[leaf.node]).take(), {}, leaf.used_by, {node.file, node.line}};
    add_leaf_rows(gradient, leaf.node);
    if (gradient.dense.defined() || gradient.rows.values.defined()) out.push_back(std::move(gradient));
  }
  return out;
}

}  // namespace

std::vector<Variable> sweep_paths(TapeStorage& tape, std::span<const SweepStart> starts,
                                  std::span<const std::uint32_t> wanted, SweepOptions options) {
  Sweep sweep(tape, starts, wanted, options);
  sweep.run(starts);
  std::vector<Variable> out;
  out.reserve(wanted.size());
  for (const std::uint32_t node : wanted) out.push_back(sweep.result(node));
  return out;
}

GradientList sweep_leaves(TapeStorage& tape, const SweepStart& start, bool consume) {
  Sweep sweep(tape, start, consume);
  sweep.run({&start, 1});
  return sweep.leaves();
}

}  // namespace detail

std::vector<Variable> grad(const Variable& y, std::span<const Variable> xs, Where where) {
  const InOp op("grad", where);
  detail::TapeStorage* tape = detail::active_tape();
  if (tape == nullptr) fail<TapeError>("grad: no tape is active on this thread; make a Tape first");
  if (y.size() != 1) {
    fail<ShapeError>("grad: y has shape {}; take the sum or mean to get one number", y.shape());
  }
  const std::uint32_t last = detail::resolve(*tape, y, op);
  std::vector<std::uint32_t> nodes;
  for (const Variable& x : xs) nodes.push_back(detail::resolve(*tape, x, op));
  std::vector<Variable> out(xs.size());
  if (last != detail::no_node && !nodes.empty()) {
    const detail::SweepStart start{last, Variable(ones_like(y.value()))};
    const std::uint32_t lowest = *std::min_element(nodes.begin(), nodes.end());
    if (lowest != detail::no_node)
      out = detail::sweep_paths(*tape, {&start, 1}, nodes, {.begin = lowest, .through = true});
  }
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (!out[i].value().defined()) out[i] = Variable(zeros_like(xs[i].value()));
  }
  return out;
}

}  // namespace gradus
