#include "autograd/tape.hpp"

#include <algorithm>
#include <atomic>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/record.hpp"
#include "autograd/tape_storage.hpp"
#include "tensor/ops.hpp"

namespace gradus {

std::uint32_t Parameter::next_id() {
  static std::atomic<std::uint32_t> next{1};
  return next.fetch_add(1, std::memory_order_relaxed);
}

namespace detail {

namespace {

constinit thread_local TapeStorage* active = nullptr;

// The storage of a tape that ended serves the thread's next one, so a training step allocates nothing.
std::unique_ptr<TapeStorage>& spare() {
  thread_local std::unique_ptr<TapeStorage> storage;
  return storage;
}

std::uint32_t next_serial() {
  static std::atomic<std::uint32_t> next{1};
  std::uint32_t serial = 0;
  do {
    serial = next.fetch_add(1, std::memory_order_relaxed);
  } while (serial == Place::constant || serial == Place::parameter);
  return serial;
}

[[noreturn]] void fail_other_tape(const char* op, const Where& where) {
  fail<TapeError>(
      "{} at {}: an operand was recorded on a tape that is not the active one (it has ended, was consumed by "
      "backward, or a newer tape was started), so its gradient would be lost; use detach(x) to go on with "
      "its value",
      op, where.text());
}

/// Rethrows the current exception, saying what was being differentiated.
[[noreturn]] void rethrow_while_differentiating(const Node& node) {
  const std::string prefix = fmt::format("while differentiating {}, recorded at {}: ", node.name,
                                         Where{node.file, node.line}.text());
  try {
    throw;
  } catch (const ShapeError& error) {
    throw ShapeError(prefix + error.what());
  } catch (const DtypeError& error) {
    throw DtypeError(prefix + error.what());
  } catch (const TapeError& error) {
    throw TapeError(prefix + error.what());
  } catch (const NumericError& error) {
    throw NumericError(prefix + error.what());
  } catch (const Error& error) {
    throw Error(prefix + error.what());
  }
}

template <class T>
T fitted(T g, const Shape& shape, Dtype dtype) {
  if (g.dtype() != dtype) {
    fail<DtypeError>("the gradient is {}, the input {}", name_of(g.dtype()), name_of(dtype));
  }
  if (g.shape() == shape) return g;
  T summed = sum_to(g, shape);
  return summed;
}

void destroy_closures(std::span<Edge> edges) noexcept {
  Closure* last = nullptr;  // the edges of a joint closure share it
  for (Edge& edge : edges) {
    if (edge.closure != nullptr && edge.closure != last) edge.closure->table->destroy(edge.closure);
    if (edge.closure != nullptr) last = edge.closure;
    edge.closure = nullptr;
  }
}

/// The sweep of Tape::backward: tensors only, nothing recorded.
class Sweep {
 public:
  Sweep(TapeStorage& tape, bool keep) : tape_(tape), keep_(keep) {
    tape_.sums.clear();
    tape_.rows.clear();
  }

  std::vector<Gradient> run(std::uint32_t last, Tensor seed) {
    tape_.sums.resize(last + 1);
    tape_.sums[last] = std::move(seed);
    for (std::uint32_t i = last + 1; i-- > 0;) visit(i);
    return collect();
  }

 private:
  void visit(std::uint32_t i) {
    Node& node = tape_.nodes[i];
    if (node.edge_count == 0) return;  // a leaf
    Tensor& sum = tape_.sums[i];
    if (sum.defined()) {
      const Tensor g = std::move(sum);
      try {
        differentiate(node.edge_list(), g);
      } catch (...) {
        rethrow_while_differentiating(node);
      }
    }
    if (!keep_) destroy_closures(node.edge_list());
  }

  void differentiate(std::span<Edge> edges, const Tensor& g) {
    if (edges.front().closure->table->joint != nullptr) return differentiate_jointly(edges, g);
    for (const Edge& edge : edges) {
      const ClosureTable& table = *edge.closure->table;
      const Node& input = tape_.nodes[edge.input];
      Tensor& sum = tape_.sums[edge.input];
      if (table.rows != nullptr) {
        Rows rows = table.rows(edge.closure, g);
        if (input.edge_count == 0) {
          tape_.rows.emplace_back(edge.input, std::move(rows));
        } else {
          add_rows(sum, input, rows);
        }
      } else if (table.add != nullptr) {
        if (!sum.defined()) sum = zeros(input.shape, input.dtype);
        table.add(edge.closure, g, sum);
      } else if (table.tensor != nullptr) {
        accumulate(sum, input, table.tensor(edge.closure, g));
      } else {
        accumulate(sum, input, table.variable(edge.closure, Variable(g)).value());
      }
    }
  }

  void differentiate_jointly(std::span<Edge> edges, const Tensor& g) {
    std::array<bool, max_joint> wanted{};
    std::array<Tensor, max_joint> out;
    for (std::size_t i = 0; i < edges.size(); ++i) wanted[i] = edges[i].input != no_node;
    Closure* closure = edges.front().closure;
    closure->table->joint(closure, g, std::span(wanted).first(edges.size()),
                          std::span(out).first(edges.size()));
    for (std::size_t i = 0; i < edges.size(); ++i) {
      if (wanted[i] && out[i].defined()) {
        accumulate(tape_.sums[edges[i].input], tape_.nodes[edges[i].input], std::move(out[i]));
      }
    }
  }

  static void accumulate(Tensor& sum, const Node& node, Tensor g) {
    g = fitted(std::move(g), node.shape, node.dtype);
    if (sum.defined()) {
      add_to(sum, g);
    } else {
      sum = std::move(g);
    }
  }

  static void add_rows(Tensor& sum, const Node& node, const Rows& rows) {
    if (!sum.defined()) sum = zeros(node.shape, node.dtype);
    scatter_add_rows(sum, rows.ids, rows.values);
  }

  std::vector<Gradient> collect() {
    std::vector<Gradient> out;
    for (const Leaf& leaf : tape_.leaves) {
      if (leaf.node >= tape_.sums.size()) continue;
      Gradient gradient{leaf.place, std::move(tape_.sums[leaf.node]), {}};
      add_sparse(gradient, leaf.node);
      if (gradient.dense.defined() || gradient.rows.values.defined()) out.push_back(std::move(gradient));
    }
    tape_.sums.clear();
    tape_.rows.clear();
    return out;
  }

  // Row-sparse parts stay so unless a dense one is there too.
  void add_sparse(Gradient& gradient, std::uint32_t index) {
    std::vector<std::int32_t> ids;
    std::vector<Tensor> values;
    std::int64_t height = 0;
    for (const auto& [owner, rows] : tape_.rows) {
      if (owner != index) continue;
      if (gradient.dense.defined()) {
        add_rows(gradient.dense, tape_.nodes[index], rows);
        continue;
      }
      ids.insert(ids.end(), rows.ids.values().begin(), rows.ids.values().end());
      values.push_back(rows.values);
      height = rows.height;
    }
    if (values.empty()) return;
    Tensor all = values.size() == 1 ? values.front() : concat(values, 0);
    gradient.rows = Rows{Indices(std::move(ids)), std::move(all), height}.merged();
  }

  TapeStorage& tape_;
  bool keep_;
};

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
      try {
        differentiate(node, sums_[i]);
      } catch (...) {
        rethrow_while_differentiating(node);
      }
    }
  }
  const Variable* result(std::uint32_t node) const {
    return node < sums_.size() && sums_[node].value().defined() ? &sums_[node] : nullptr;
  }

 private:
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

TapeStorage* active_tape() noexcept {
  return active;
}

std::uint32_t resolve(TapeStorage& tape, const Variable& x, const Op& op) {
  const Place place = x.place();
  if (place.tape == Place::constant || !x.value().defined()) return no_node;  // such as a bias that is off
  if (place.tape == tape.serial) return place.index;
  if (place.tape == Place::parameter) return tape.parameter_node(place.index, x.value());
  fail_other_tape(op.name, op.where);
}

Variable push_node(TapeStorage& tape, const Op& op, Tensor value, std::size_t edges, Edge*& first) {
  if (tape.options.check_finite && !all_finite(value)) {
    fail<NumericError>("{}, called at {}, gave a result of shape {} with NaN or infinity in it", op.name,
                       op.where.text(), value.shape());
  }
  if (edges > max_joint) fail<ArgumentError>("{}: an op of {} inputs; at most {}", op.name, edges, max_joint);
  first = static_cast<Edge*>(arena_allocate(tape, edges * sizeof(Edge), alignof(Edge)));
  std::uninitialized_fill_n(first, edges, Edge{no_node, nullptr});
  const auto index = static_cast<std::uint32_t>(tape.nodes.size());
  tape.nodes.push_back({op.name, op.where.file, first, op.where.line, static_cast<std::uint16_t>(edges),
                        value.dtype(), value.shape()});
  return Variable(std::move(value), {tape.serial, index});
}

void* arena_allocate(TapeStorage& tape, std::size_t bytes, std::size_t alignment) {
  return tape.arena.allocate(bytes, alignment);
}

std::uint32_t TapeStorage::add_leaf(Place place, const Tensor& value) {
  const auto index = static_cast<std::uint32_t>(nodes.size());
  nodes.push_back({"leaf", "", nullptr, 0, 0, value.dtype(), value.shape()});
  leaves.push_back({index, place.tape == Place::constant ? Place{serial, index} : place});
  return index;
}

std::uint32_t TapeStorage::parameter_node(std::uint32_t id, const Tensor& value) {
  if (const std::uint32_t* found = parameters.find(id)) return *found;
  const std::uint32_t index = add_leaf({Place::parameter, id}, value);
  parameters.insert(id, index);
  return index;
}

void TapeStorage::reset() noexcept {
  // From the last to the first, as closures may hold what earlier ones made.
  for (std::size_t i = nodes.size(); i-- > 0;) destroy_closures(nodes[i].edge_list());
  nodes.clear();
  leaves.clear();
  sums.clear();
  rows.clear();
  parameters.clear();
  arena.reset();
  serial = next_serial();
}

}  // namespace detail

using detail::TapeStorage;

Tape::Tape(TapeOptions options) : storage_(std::move(detail::spare())) {
  if (!storage_) storage_ = std::make_unique<TapeStorage>();
  storage_->serial = detail::next_serial();
  storage_->options = options;
  storage_->below = detail::active;
  detail::active = storage_.get();
}

Tape::~Tape() {
  // Tapes usually end in the reverse order of their start, but need not.
  TapeStorage** link = &detail::active;
  while (*link != nullptr && *link != storage_.get()) link = &(*link)->below;
  if (*link != nullptr) *link = storage_->below;
  storage_->reset();
  detail::spare() = std::move(storage_);
}

Variable Tape::watch(Tensor value) {
  const std::uint32_t index = storage_->add_leaf({}, value);
  return Variable(std::move(value), {storage_->serial, index});
}

Gradients Tape::backward(const Variable& loss, BackwardOptions options, Where where) {
  if (loss.size() != 1) {
    fail<ShapeError>("backward at {}: the loss has shape {}; take the mean or sum to get one number",
                     where.text(), loss.shape());
  }
  const Place place = loss.place();
  if (place.tape == Place::constant) {
    fail<TapeError>(
        "backward at {}: the loss depends on no parameter and no watched tensor, or was computed before the "
        "tape "
        "was made",
        where.text());
  }
  if (place.tape != storage_->serial && place.tape != Place::parameter) {
    fail<TapeError>(
        "backward at {}: the loss is not on this tape; if an earlier backward consumed it, call that one "
        "with "
        "{{.keep = true}}",
        where.text());
  }
  const std::uint32_t index = detail::resolve(*storage_, loss, {"backward", where});
  const PauseRecording pause;
  try {
    std::vector<Gradient> found = detail::Sweep(*storage_, options.keep).run(index, ones_like(loss.value()));
    if (!options.keep) storage_->reset();
    return Gradients(std::move(found));
  } catch (...) {
    storage_->reset();  // half consumed: of no more use
    throw;
  }
}

std::int64_t Tape::size() const {
  return static_cast<std::int64_t>(storage_->nodes.size());
}

PauseRecording::PauseRecording() : paused_(std::exchange(detail::active, nullptr)) {}
PauseRecording::~PauseRecording() {
  detail::active = paused_;
}

std::vector<Variable> grad(const Variable& y, std::span<const Variable> xs, Where where) {
  TapeStorage* tape = detail::active;
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
