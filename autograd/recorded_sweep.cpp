#include <algorithm>

#include "autograd/anomaly.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/sweep.hpp"

namespace gradus {

namespace detail {

namespace {

class PathSweep {
 public:
  PathSweep(TapeStorage& tape, std::span<const PathStart> starts, std::span<const std::uint32_t> wanted,
            PathOptions options)
      : tape_(tape), options_(options), begin_(options.begin), scratch_(std::move(tape.path_scratch)) {
    std::uint32_t end = begin_;
    for (const PathStart& start : starts) end = std::max(end, start.node + 1);
    scratch_.role.assign(end - begin_, Role::aside);
    scratch_.sums.resize(end - begin_);
    for (const std::uint32_t node : wanted) want(node);
    std::sort(before_.begin(), before_.end(),
              [](const Before& a, const Before& b) { return a.node < b.node; });
    for (std::uint32_t i = begin_; i < end; ++i) mark(i);
  }
  PathSweep(const PathSweep&) = delete;
  PathSweep& operator=(const PathSweep&) = delete;
  ~PathSweep() {
    // Kept for the next one. A sweep inside a closure of this one had its own.
    scratch_.sums.clear();
    tape_.path_scratch = std::move(scratch_);
  }

  void run(std::span<const PathStart> starts) {
    for (const PathStart& start : starts) {
      if (find(start.node) != nullptr) accumulate(start.node, start.seed, {});
    }
    for (std::size_t i = scratch_.role.size(); i-- > 0;) {
      const Node node = tape_.nodes[begin_ + i];  // a copy: what is recorded now may move the nodes
      if (scratch_.sums[i].value().defined() && (scratch_.role[i] == Role::path || options_.through)) {
        // On the way only: nobody needs the sum any more.
        const Variable g = scratch_.role[i] == Role::path ? std::move(scratch_.sums[i]) : scratch_.sums[i];
        const ScopeStandIn scope(tape_.serial, node.scope);
        try {
          differentiate(node, g);
        } catch (...) {
          rethrow_while_differentiating(tape_, node);
        }
        if (tape_.checks) check(begin_ + static_cast<std::uint32_t>(i), node, g.value());
      }
      if (options_.consume) destroy_closures(node.edge_list());
    }
  }

  Variable result(std::uint32_t node) {
    const Variable* found = node == no_node ? nullptr : find(node);
    return found != nullptr ? *found : Variable();
  }

 private:
  using Role = PathRole;
  struct Before {
    std::uint32_t node;
    Variable sum;
  };

  void want(std::uint32_t node) {
    if (node == no_node) return;
    if (node < begin_) {
      before_.push_back({node, {}});
    } else if (node - begin_ < scratch_.role.size()) {
      scratch_.role[node - begin_] = Role::wanted;
    }
  }
  void mark(std::uint32_t i) {
    PathRole& role = scratch_.role[i - begin_];
    if (role == Role::wanted) return;
    for (const Edge& edge : tape_.nodes[i].edge_list()) {
      if (edge.input != no_node && find(edge.input) != nullptr) {
        role = Role::path;
        return;
      }
    }
  }
  /// The sum of a node that is wanted or on the way to one that is; else null.
  Variable* find(std::uint32_t node) {
    if (node >= begin_) {
      const std::size_t i = node - begin_;
      return i < scratch_.role.size() && scratch_.role[i] != Role::aside ? &scratch_.sums[i] : nullptr;
    }
    const auto at = std::lower_bound(before_.begin(), before_.end(), node,
                                     [](const Before& b, std::uint32_t n) { return b.node < n; });
    return at != before_.end() && at->node == node ? &at->sum : nullptr;
  }

  void check(std::uint32_t i, const Node& node, const Tensor& g) {
    for (const Edge& edge : node.edge_list()) {
      const Variable* sum = edge.input == no_node ? nullptr : find(edge.input);
      if (sum != nullptr) check_gradient_of(tape_, i, edge.input, g, &sum->value());
    }
  }
  void differentiate(const Node& node, const Variable& g) {
    const std::span<Edge> edges = node.edge_list();
    if (edges.empty()) return;
    if (edges.front().closure == nullptr) {
      fail<TapeError>("what it saved was freed by an earlier backward; call that one with {{.keep = true}}");
    }
    if (edges.front().closure->table->joint != nullptr) return differentiate_jointly(node, edges, g);
    for (std::size_t i = 0; i < edges.size(); ++i) {
      const Edge& edge = edges[i];
      if (find(edge.input) == nullptr) continue;
      const ClosureTable& table = *edge.closure->table;
      if (options_.record || table.first == Form::variable) {
        if (table.variable == nullptr) fail_once(node);
        Variable& sum = *find(edge.input);
        if (table.add_variable != nullptr && sum.value().defined() && tape_.plant == nullptr) {
          sum = table.add_variable(edge.closure, g, std::move(sum));
        } else {
          add(node, i, edge.input, table.variable(edge.closure, g));
        }
      } else if (table.first == Form::tensor) {
        add(node, i, edge.input, Variable(table.tensor(edge.closure, g.value())));
      } else if (table.first == Form::rows) {
        add(node, i, edge.input, Variable(table.rows(edge.closure, g.value()).dense()));
      } else {
        add_in_place(node, i, edge, g.value());
      }
    }
  }

  void add_in_place(const Node& node, std::size_t i, const Edge& edge, const Tensor& g) {
    const auto empty = [&] { return zeros(tape_.nodes[edge.input].shape, tape_.nodes[edge.input].dtype); };
    Variable& sum = *find(edge.input);
    // A planted error needs the part that this op adds by itself.
    const bool apart = tape_.plant != nullptr;
    Tensor into = apart || !sum.value().defined() ? empty() : std::move(sum).take();
    edge.closure->table->add(edge.closure, g, into);
    if (apart) return add(node, i, edge.input, Variable(std::move(into)));
    sum = Variable(std::move(into));
  }

  void differentiate_jointly(const Node& node, std::span<Edge> edges, const Variable& g) {
    Closure* closure = edges.front().closure;
    std::vector<Variable> out(edges.size());
    if (options_.record) {
      if (closure->table->joint_variable == nullptr) fail_once(node);
      out = closure->table->joint_variable(closure, g);
    } else {
      const auto wanted = std::make_unique<bool[]>(edges.size());
      for (std::size_t i = 0; i < edges.size(); ++i)
        wanted[i] = edges[i].input != no_node && find(edges[i].input) != nullptr;
      std::vector<Tensor> parts(edges.size());
      closure->table->joint(closure, g.value(), std::span<const bool>(wanted.get(), edges.size()), parts);
      for (std::size_t i = 0; i < edges.size(); ++i) out[i] = Variable(std::move(parts[i]));
    }
    for (std::size_t i = 0; i < edges.size(); ++i) {
      if (edges[i].input == no_node || find(edges[i].input) == nullptr || !out[i].value().defined()) continue;
      add(node, i, edges[i].input, std::move(out[i]));
    }
  }

  [[noreturn]] static void fail_once(const Node& node) {
    fail<TapeError>(
        "{} has a gradient but not one written in differentiable ops, so no second derivative; give it a "
        "form (const Variable& g) -> Variable",
        node.name);
  }

  void add(const Node& node, std::size_t edge, std::uint32_t input, Variable g) {
    if (tape_.plant != nullptr && tape_.plant->applies(node.name, edge))
      g = std::move(g) * tape_.plant->factor;
    const Node& to = tape_.nodes[input];
    accumulate(input, fitted(std::move(g), Shape(to.shape), to.dtype), {node.file, node.line});
  }
  void accumulate(std::uint32_t input, Variable g, Where where) {
    Variable& sum = *find(input);
    if (!sum.value().defined()) {
      sum = std::move(g);
    } else if (options_.record) {
      sum = VariableOperand(sum, where) + VariableOperand(g, where);
    } else {
      Tensor total = std::move(sum).take();
      add_to(total, g.value());
      sum = Variable(std::move(total));
    }
  }

  TapeStorage& tape_;
  PathOptions options_;
  std::uint32_t begin_;
  PathScratch scratch_;
  std::vector<Before> before_;  // wanted nodes before begin_, ascending
};

}  // namespace

std::vector<Variable> sweep_paths(TapeStorage& tape, std::span<const PathStart> starts,
                                  std::span<const std::uint32_t> wanted, PathOptions options) {
  const TapeStorage::Sweeping sweeping(tape);
  PathSweep sweep(tape, starts, wanted, options);
  if (options.record) {
    sweep.run(starts);
  } else {
    const PauseRecording pause;
    sweep.run(starts);
  }
  std::vector<Variable> out;
  out.reserve(wanted.size());
  for (const std::uint32_t node : wanted) out.push_back(sweep.result(node));
  return out;
}

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
  std::vector<Variable> out(xs.size());
  if (last != detail::no_node && !nodes.empty()) {
    const detail::PathStart start{last, Variable(ones_like(y.value()))};
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
