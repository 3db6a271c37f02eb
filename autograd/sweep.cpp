#include <algorithm>
#include <array>
#include <optional>
#include <type_traits>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape_storage.hpp"
#include "tensor/ops.hpp"

namespace gradus {

namespace detail {

namespace {

bool broadcasts_to(const Shape& from, const Shape& to) {
  bool fits = from.rank() <= to.rank();
  for (int i = 1; fits && i <= from.rank(); ++i) fits = from[-i] == to[-i] || from[-i] == 1;
  return fits;
}

bool has_shape(const Tensor& x, const Shape& shape) {
  return x.rank() == 0 ? shape.rank() == 0 : x.has_shape(shape);
}

}  // namespace

void fail_gradient_count(std::size_t given, std::size_t inputs) {
  fail<ArgumentError>("the closure gives {} gradients for {} inputs", given, inputs);
}

void put_values(std::vector<Variable> given, std::span<const bool> wanted, std::span<Tensor> out) {
  if (given.size() != out.size()) fail_gradient_count(given.size(), out.size());
  for (std::size_t i = 0; i < out.size(); ++i)
    if (wanted[i]) out[i] = std::move(value_inside(given[i]));
}

namespace {

/// One sweep over a tape: from the last node down to the first, each op's closures turn the gradients of its
/// results into parts of its inputs' gradients, which are summed. As inputs come before what is made of them,
/// a gradient is whole when the sweep gets there.
///
/// It goes to all leaves, or along the paths to wanted nodes. Gradients are Variables, and the sweep is
/// recorded, by the closures' forms in differentiable ops; or they are Tensors, and fused forms serve.
template <class G>
class Sweep {
 public:
  static constexpr bool recorded = std::is_same_v<G, Variable>;

  /// To the wanted nodes.
  Sweep(TapeStorage& tape, std::span<const SweepStart> starts, std::span<const std::uint32_t> wanted,
        SweepOptions options)
      : Sweep(tape, starts, options, false) {
    scratch_.role.assign(sums_.size(), Role::aside);
    for (const std::uint32_t node : wanted) want(node);
    std::ranges::sort(before_, {}, &Before::node);
    for (std::size_t i = 0; i < sums_.size(); ++i) mark(i);
  }
  /// To all leaves.
  Sweep(TapeStorage& tape, const SweepStart& start, bool consume)
      : Sweep(tape, {&start, 1}, {.consume = consume}, true) {}
  Sweep(const Sweep&) = delete;
  Sweep& operator=(const Sweep&) = delete;
  ~Sweep() {
    // Kept for the next one. A sweep within a closure of this one had its own.
    sums_.clear();
    scratch_.rows.clear();
    scratch_.sums<G>() = std::move(sums_);
    tape_.sweep_scratch = std::move(scratch_);
  }

  void run(std::span<const SweepStart> starts) {
    std::optional<PauseRecording> pause;
    if (!recorded) pause.emplace();
    seed(starts);
    go_down_to(begin_);
  }

  /// The gradient at a wanted node.
  Variable result(std::uint32_t node) {
    const G* found = find(node);
    return found != nullptr ? Variable(whole(*found, node)) : Variable();
  }
  /// Those of all leaves. Each is given to `ready` when the sweep is past all that depends on it.
  GradientList run_to_leaves(const SweepStart& start, const std::function<void(Gradient&)>& ready) {
    const PauseRecording pause;
    seed({&start, 1});
    GradientList out;
    out.reserve(tape_.leaves.size());
    for (auto at = tape_.leaves.rbegin(); at != tape_.leaves.rend(); ++at) {
      const Leaf& leaf = *at;
      if (leaf.node >= sums_.size()) continue;
      go_down_to(leaf.node);
      Tensor dense = whole(std::move(sums_[leaf.node]), leaf.node);
      const Node& node = tape_.nodes[leaf.node];
      Gradient gradient{leaf.place, std::move(dense), {}, leaf.used_by, {node.file, node.line}};
      add_leaf_rows(gradient, leaf.node);
      if (ready && gradient.values().defined()) ready(gradient);
      if (gradient.values().defined()) out.push_back(std::move(gradient));
    }
    go_down_to(begin_);
    return out;
  }

 private:
  using Role = SweepScratch::Role;
  struct Before {
    std::uint32_t node;
    G sum;
  };

  Sweep(TapeStorage& tape, std::span<const SweepStart> starts, SweepOptions options, bool to_leaves)
      : tape_(tape),
        sweeping_(tape),
        frame_(tape),
        begin_(options.begin),
        to_leaves_(to_leaves),
        through_(options.through),
        consume_(options.consume),
        batch_(options.batch),
        scratch_(std::move(tape.sweep_scratch)),
        sums_(std::move(scratch_.sums<G>())) {
    std::uint32_t end = begin_;
    for (const SweepStart& start : starts)
      end = std::max(end, start.node + 1 + tape.nodes[start.node].further);  // with the op's other results
    sums_.resize(end - begin_);
  }

  /// What a closure gives as the gradients of this sweep.
  static G of(Variable&& part) {
    if constexpr (recorded) {
      return std::move(part);
    } else {
      return std::move(part).take();
    }
  }

  // What is wanted, and the paths to it.

  void want(std::uint32_t node) {
    if (node == no_node) return;
    if (node < begin_) {
      before_.push_back({node, {}});
    } else if (node - begin_ < sums_.size()) {
      scratch_.role[node - begin_] = Role::wanted;
    }
  }
  void mark(std::size_t i) {
    if (scratch_.role[i] == Role::wanted) return;
    for (const Edge& edge : tape_.nodes[begin_ + i].edge_list()) {
      if (find(edge.input) == nullptr) continue;
      scratch_.role[i] = Role::path;
      return;
    }
  }
  /// The sum of the gradients of a node that is wanted or on the way to one that is; else null.
  G* find(std::uint32_t node) {
    if (node == no_node) return nullptr;
    if (to_leaves_) return &sums_[node];
    if (node >= begin_) {
      const std::size_t i = node - begin_;
      return i < sums_.size() && scratch_.role[i] != Role::aside ? &sums_[i] : nullptr;
    }
    const auto at = std::ranges::lower_bound(before_, node, {}, &Before::node);
    return at != before_.end() && at->node == node ? &at->sum : nullptr;
  }

  void seed(std::span<const SweepStart> starts) {
    for (const SweepStart& start : starts) {
      if (G* sum = find(start.node)) accumulate(*sum, of(Variable(start.seed)), start.node);
    }
    at_ = begin_ + static_cast<std::uint32_t>(sums_.size());
  }
  void go_down_to(std::uint32_t node) {
    while (at_ > node) visit(--at_);
  }

  // From an op to its inputs. What is recorded meanwhile may move the nodes, but not the edges.

  void visit(std::uint32_t i) {
    const Node& node = tape_.nodes[i];
    if (node.edge_count == 0 || node.result > 0) return;  // a leaf; a result that the op's first stands for
    const std::span<Edge> edges = node.edge_list();
    if (node.further > 0) {
      visit_several(i, node.further + 1, edges);
    } else if (value_of(sums_[i - begin_]).defined() && goes_on(i)) {
      const Variable g(take_gradient(i));
      differentiate(i, edges, g);
    }
    if (consume_) destroy_closures(edges);
  }
  void visit_several(std::uint32_t i, std::uint32_t count, std::span<const Edge> edges) {
    storage::PoolVector<G> gs;
    gs.reserve(count);
    bool any = false;
    for (std::uint32_t k = 0; k < count; ++k) {
      gs.push_back(goes_on(i + k) ? whole(take_gradient(i + k), i + k) : G());
      any |= value_of(gs.back()).defined();
    }
    if (!any) return;
    begin(i, edges);
    if (batch_ > 0) {
      batch_jointly(i, edges, gs);
    } else {
      differentiate_jointly(i, edges, gs);
    }
    end(i, edges, gs);
  }
  bool is_wanted(std::uint32_t i) const { return !to_leaves_ && scratch_.role[i - begin_] == Role::wanted; }
  /// Whether the gradient of a result goes on to the op's inputs.
  bool goes_on(std::uint32_t i) const { return through_ || !is_wanted(i); }
  /// Nobody needs the sum any more, unless it is wanted.
  G take_gradient(std::uint32_t i) {
    G& sum = sums_[i - begin_];
    return is_wanted(i) ? sum : std::move(sum);
  }

  /// The shape of a node's gradient.
  Shape shape_of(std::uint32_t node) const {
    const Shape shape = tape_.nodes[node].shape;
    return batch_ == 0 ? shape : shape.inserted(0, batch_);
  }
  /// A node's gradient, which may be the same along some axes and have them at length 1, in full.
  G whole(G sum, std::uint32_t node) const {
    if constexpr (!recorded) {
      if (!sum.defined() || has_shape(sum, tape_.nodes[node].shape)) return sum;
      return broadcast_to(sum, shape_of(node));
    }
    return sum;
  }

  void begin(std::uint32_t i, std::span<const Edge> edges) {
    frame_.begin(i);
    if (edges.front().closure == nullptr) {
      fail<TapeError>("what it saved was freed by an earlier backward; call that one with {{.keep = true}}");
    }
  }
  void end(std::uint32_t i, std::span<const Edge> edges, std::span<const G> gs) {
    frame_.end();
    if (tape_.checks) check(i, edges, gs);
  }
  void check(std::uint32_t i, std::span<const Edge> edges, std::span<const G> gs) {
    const std::vector<Variable> upstream(gs.begin(), gs.end());
    for (const Edge& edge : edges) {
      if (const G* sum = find(edge.input)) check_gradient_of(tape_, i, edge.input, upstream, value_of(*sum));
    }
    for (std::size_t k = rows_checked_; k < scratch_.rows.size(); ++k)
      check_gradient_of(tape_, i, scratch_.rows[k].first, upstream, scratch_.rows[k].second.values);
    rows_checked_ = scratch_.rows.size();
  }

  /// g: the gradient of the op's result, or what broadcasts to it.
  void differentiate(std::uint32_t i, std::span<const Edge> edges, const Variable& g) {
    if (batch_ > 0) return differentiate_batch(i, edges, g);
    if constexpr (!recorded) {
      if (!has_shape(g.value(), tape_.nodes[i].shape)) return differentiate_broadcast(i, edges, g);
    }
    differentiate_whole(i, edges, g);
  }
  /// The same for a g that is yet to be stretched, which closures get that can take it.
  [[gnu::noinline]] void differentiate_broadcast(std::uint32_t i, std::span<const Edge> edges,
                                                 const Variable& g) {
    const auto takes = [](const Edge& edge) {
      return edge.closure != nullptr && edge.closure->table->broadcasts;
    };
    if (!std::ranges::any_of(edges, takes))
      return differentiate_whole(i, edges, Variable(whole(g.value(), i)));
    begin(i, edges);
    Variable full;
    for (std::size_t e = 0; e < edges.size(); ++e) {
      G* const sum = find(edges[e].input);
      if (sum == nullptr) continue;
      broadcast_ = takes(edges[e]);
      if (!broadcast_ && !full.value().defined()) full = Variable(whole(g.value(), i));
      differentiate(i, e, edges[e], broadcast_ ? g : full, *sum);
      broadcast_ = false;
    }
    end(i, edges, {&g.value(), 1});
  }
  /// The same for many gradients: in one call where a closure takes them, else one after another.
  void differentiate_batch(std::uint32_t i, std::span<const Edge> edges, const Variable& g) {
    begin(i, edges);
    const std::array<G, 1> gs{of(Variable(g))};
    if (edges.front().closure->table->joint != nullptr) {
      batch_jointly(i, edges, gs);
    } else {
      for (std::size_t e = 0; e < edges.size(); ++e) {
        G* const sum = find(edges[e].input);
        if (sum == nullptr) continue;
        const ClosureTable& table = *edges[e].closure->table;
        if (table.batch != nullptr) {
          add(i, e, edges[e].input, *sum, of(table.batch(edges[e].closure, g)));
          continue;
        }
        std::vector<G> parts;
        for (std::int64_t t = 0; t < batch_; ++t) parts.push_back(single(i, edges[e], select(gs[0], 0, t)));
        add(i, e, edges[e].input, *sum, stack(parts, 0));
      }
    }
    end(i, edges, gs);
  }
  /// What a closure gives for one gradient.
  G single(std::uint32_t i, const Edge& edge, const G& g) const {
    const ClosureTable& table = *edge.closure->table;
    if constexpr (recorded) {
      if (table.variable == nullptr) fail_no_second_derivative(i);
      return table.variable(edge.closure, g);
    } else {
      if (table.tensor != nullptr) return table.tensor(edge.closure, g);
      const Node& to = tape_.nodes[edge.input];
      if (table.stretched != nullptr) return broadcast_to(table.stretched(edge.closure, g).values, to.shape);
      if (table.rows != nullptr) return table.rows(edge.closure, g).dense();
      if (table.variable != nullptr) return of(table.variable(edge.closure, Variable(g)));
      Tensor part = zeros(to.shape, to.dtype);
      table.add(edge.closure, g, part);
      return part;
    }
  }
  /// The same for the closure of several inputs, or of several results, whose gradients gs are.
  void batch_jointly(std::uint32_t i, std::span<const Edge> edges, std::span<const G> gs) {
    std::vector<std::vector<G>> parts(edges.size());
    for (std::int64_t t = 0; t < batch_; ++t) {
      std::vector<G> one;
      for (const G& g : gs) one.push_back(value_of(g).defined() ? select(g, 0, t) : G());
      std::vector<G> out = joint_parts(i, edges, one);
      for (std::size_t e = 0; e < edges.size(); ++e) parts[e].push_back(std::exchange(out[e], G()));
      if constexpr (!recorded) scratch_.joint_out = std::move(out);
    }
    for (std::size_t e = 0; e < edges.size(); ++e) {
      G* const sum = find(edges[e].input);
      const auto defined = [](const G& part) { return value_of(part).defined(); };
      if (sum == nullptr || !std::ranges::any_of(parts[e], defined)) continue;
      const Tensor zero = zeros_like(value_of(*std::ranges::find_if(parts[e], defined)));
      for (G& part : parts[e])
        if (!defined(part)) part = G(zero);
      add(i, e, edges[e].input, *sum, stack(parts[e], 0));
    }
  }
  void differentiate_whole(std::uint32_t i, std::span<const Edge> edges, const Variable& g) {
    begin(i, edges);
    std::span<const G> gs;
    if constexpr (recorded) {
      gs = {&g, 1};
    } else {
      gs = {&g.value(), 1};
    }
    if (edges.front().closure->table->joint != nullptr) {
      differentiate_jointly(i, edges, gs);
    } else {
      for (std::size_t e = 0; e < edges.size(); ++e) {
        if (G* sum = find(edges[e].input)) differentiate(i, e, edges[e], g, *sum);
      }
    }
    end(i, edges, gs);
  }

  void differentiate(std::uint32_t i, std::size_t e, const Edge& edge, const Variable& g, G& sum) {
    Closure* const closure = edge.closure;
    const ClosureTable& table = *closure->table;
    if constexpr (recorded) {
      if (table.variable == nullptr) fail_no_second_derivative(i);
      if (table.add_variable != nullptr && sum.value().defined() && tape_.plant == nullptr) {
        sum = table.add_variable(closure, g, std::move(sum));
      } else {
        add(i, e, edge.input, sum, table.variable(closure, g));
      }
    } else {
      switch (table.first) {
        case Form::variable: {
          Variable part = table.variable(closure, g);
          return add(i, e, edge.input, sum, std::move(value_inside(part)));
        }
        case Form::tensor:
          return add(i, e, edge.input, sum, table.tensor(closure, g.value()));
        case Form::add:
          if (!sum.defined() && table.tensor != nullptr)
            return add(i, e, edge.input, sum, table.tensor(closure, g.value()));
          return add_in_place(i, e, edge, g.value(), sum);
        case Form::rows:
          return add_rows(i, e, edge.input, sum, table.rows(closure, g.value()));
        case Form::stretched:
          return add_stretched(i, e, edge.input, sum, table.stretched(closure, g.value()).values);
        case Form::joint:
          return;  // above
      }
    }
  }

  void differentiate_jointly(std::uint32_t i, std::span<const Edge> edges, std::span<const G> gs) {
    std::vector<G> out = joint_parts(i, edges, gs);
    add_all(i, edges, out);
    if constexpr (!recorded) scratch_.joint_out = std::move(out);
  }
  /// What the closure gives for each edge; of Tensors in the scratch memory, which is to be given back.
  std::vector<G> joint_parts(std::uint32_t i, std::span<const Edge> edges, std::span<const G> gs) {
    Closure* const closure = edges.front().closure;
    if constexpr (recorded) {
      if (closure->table->joint_variable == nullptr) fail_no_second_derivative(i);
      std::vector<Variable> out = closure->table->joint_variable(closure, gs);
      if (out.size() != edges.size()) fail_gradient_count(out.size(), edges.size());
      return out;
    } else {
      std::vector<Tensor> out = std::move(scratch_.joint_out);
      if (out.size() < edges.size()) {
        out.resize(edges.size());
        scratch_.joint_wanted = std::make_unique<bool[]>(edges.size());
      }
      const std::span<bool> wanted(scratch_.joint_wanted.get(), edges.size());
      for (std::size_t e = 0; e < edges.size(); ++e) {
        wanted[e] = find(edges[e].input) != nullptr;
        if (out[e].defined()) out[e] = Tensor();
      }
      closure->table->joint(closure, gs, wanted, std::span(out).first(edges.size()));
      return out;
    }
  }
  void add_all(std::uint32_t i, std::span<const Edge> edges, std::vector<G>& parts) {
    for (std::size_t e = 0; e < edges.size(); ++e) {
      if (!value_of(parts[e]).defined()) continue;
      if (G* sum = find(edges[e].input)) add(i, e, edges[e].input, *sum, std::move(parts[e]));
      parts[e] = G();
    }
  }

  [[noreturn]] void fail_no_second_derivative(std::uint32_t i) const {
    fail<TapeError>(
        "{} has a gradient but not one written in differentiable ops, so no second derivative; give it a "
        "form (const Variable& g) -> Variable",
        tape_.nodes[i].name);
  }

  // The sums. An op's part of an input's gradient passes one of these four, where an error may be planted.

  /// Adds the part, summed over what was broadcast.
  [[gnu::always_inline]] void add(std::uint32_t i, std::size_t e, std::uint32_t input, G& sum, G&& part) {
    const Node& to = tape_.nodes[input];
    const Tensor& value = value_of(part);
    const bool fits = batch_ == 0 && !broadcast_ && value.dtype() == to.dtype && has_shape(value, to.shape);
    if (!fits || tape_.plant != nullptr) fit(i, e, input, part);
    accumulate(sum, std::move(part), i);
  }
  /// What is seldom needed; not inlined, so that the rest is.
  [[gnu::noinline]] void fit(std::uint32_t i, std::size_t e, std::uint32_t input, G& part) {
    if (planted(i, e)) part = std::move(part) * tape_.plant->factor;
    Shape shape = shape_of(input);
    const Dtype dtype = tape_.nodes[input].dtype;
    const Tensor& value = value_of(part);
    if (value.dtype() != dtype) {
      fail<DtypeError>("the gradient is {}, the input {}", name_of(value.dtype()), name_of(dtype));
    }
    if (broadcast_) {
      // Of an input that was itself stretched the elements are summed, so they are needed; else not yet.
      const Shape of_result = tape_.nodes[i].shape;
      if (shape == of_result && broadcasts_to(value.shape(), shape)) return;
      part = broadcast_to(part, of_result);
    }
    if (value.shape() == shape) return;
    const Shape of_sum = shape;
    if (batch_ > 0) {
      while (shape.rank() < value.rank()) shape = shape.inserted(1, 1);
    }
    if (!broadcasts_to(shape, value.shape())) {
      fail<ShapeError>(
          "the gradient has the shape {}, the input {}; axes that were broadcast are summed, no others",
          value.shape(), shape);
    }
    part = sum_to(part, shape);
    if (batch_ > 0) part = reshape(part, of_sum);
  }
  /// The same for a closure that adds in place. A planted error needs what this op adds by itself.
  void add_in_place(std::uint32_t i, std::size_t e, const Edge& edge, const Tensor& g, Tensor& sum) {
    const Node& to = tape_.nodes[edge.input];
    if (tape_.plant != nullptr) {
      Tensor part = zeros(to.shape, to.dtype);
      edge.closure->table->add(edge.closure, g, part);
      return add(i, e, edge.input, sum, std::move(part));
    }
    sum = sum.defined() ? whole(std::move(sum), edge.input) : zeros(to.shape, to.dtype);
    edge.closure->table->add(edge.closure, g, sum);
  }
  void add_stretched(std::uint32_t i, std::size_t e, std::uint32_t input, Tensor& sum, Tensor part) {
    const Node& to = tape_.nodes[input];
    if (part.dtype() != to.dtype || !broadcasts_to(part.shape(), to.shape))
      return add(i, e, input, sum, std::move(part));  // which says so
    if (planted(i, e)) part = std::move(part) * tape_.plant->factor;
    accumulate(sum, std::move(part), i);
  }
  void add_rows(std::uint32_t i, std::size_t e, std::uint32_t input, Tensor& sum, Rows rows) {
    if (!to_leaves_) return add(i, e, input, sum, rows.dense());
    if (planted(i, e)) rows.values = std::move(rows.values) * tape_.plant->factor;
    const Node& to = tape_.nodes[input];
    if (to.edge_count == 0) {
      scratch_.rows.emplace_back(input, std::move(rows));
      return;
    }
    sum = sum.defined() ? whole(std::move(sum), input) : zeros(to.shape, to.dtype);
    scatter_add_rows(sum, rows.ids, rows.values);
  }
  [[gnu::always_inline]] void accumulate(G& sum, G&& part, std::uint32_t by) const {
    if (!value_of(sum).defined()) {
      sum = std::move(part);
    } else if constexpr (recorded) {
      const Where where{tape_.nodes[by].file, tape_.nodes[by].line};
      sum = VariableOperand(sum, where) + VariableOperand(part, where);
    } else if (sum.same_shape(part)) {
      add_to(sum, part);
    } else {
      sum = std::move(sum) + std::move(part);  // one is yet to be stretched
    }
  }
  bool planted(std::uint32_t i, std::size_t e) {
    return tape_.plant != nullptr && tape_.plant->applies(tape_.nodes[i].name, e);
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
  const std::uint32_t begin_;
  std::uint32_t at_ = 0;  // the node that was visited last
  const bool to_leaves_, through_, consume_;
  const std::int64_t batch_;
  bool broadcast_ = false;  // the closure that is called has a g that is yet to be stretched
  SweepScratch scratch_;
  std::vector<G> sums_;         // of the gradients so far, by node from begin_
  std::vector<Before> before_;  // wanted nodes before begin_, ascending
  std::size_t rows_checked_ = 0;
};

template <class G>
std::vector<Variable> swept_paths(TapeStorage& tape, std::span<const SweepStart> starts,
                                  std::span<const std::uint32_t> wanted, SweepOptions options) {
  Sweep<G> sweep(tape, starts, wanted, options);
  sweep.run(starts);
  std::vector<Variable> out;
  out.reserve(wanted.size());
  for (const std::uint32_t node : wanted) out.push_back(sweep.result(node));
  return out;
}

}  // namespace

std::vector<Variable> sweep_paths(TapeStorage& tape, std::span<const SweepStart> starts,
                                  std::span<const std::uint32_t> wanted, SweepOptions options) {
  return options.record ? swept_paths<Variable>(tape, starts, wanted, options)
                        : swept_paths<Tensor>(tape, starts, wanted, options);
}

GradientList sweep_leaves(TapeStorage& tape, const SweepStart& start, const BackwardOptions& options) {
  return Sweep<Tensor>(tape, start, !options.keep).run_to_leaves(start, options.ready);
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
