#include "autograd/tape.hpp"

#include <atomic>
#include <memory>
#include <utility>

#include "autograd/tape_storage.hpp"
#include "tensor/ops.hpp"

namespace gradus {

namespace {

/// The numbers of parameters, or of tapes. Where a process holds this library twice (a program and a plugin
/// that were each linked to the static one), each copy counts from elsewhere, since its objects may meet the
/// other's.
class Numbers {
 public:
  Numbers() noexcept {
    // The page that this copy lies in is its own; the multiplication (Knuth's) spreads neighbours.
    const auto page = static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(this) >> 12);
    first_ = ((page * 2654435761U) >> 1) | 1;  // below 2^31, so as many can follow
    next_ = first_;
  }
  std::uint32_t take() { return next_.fetch_add(1, std::memory_order_relaxed); }
  bool has_given(std::uint32_t number) const {
    return number - first_ < next_.load(std::memory_order_relaxed) - first_;
  }

 private:
  std::uint32_t first_;
  std::atomic<std::uint32_t> next_;
};

Numbers& parameter_ids() {
  static Numbers numbers;
  return numbers;
}
Numbers& tape_serials() {
  static Numbers numbers;
  return numbers;
}

}  // namespace

std::uint32_t Parameter::next_id() {
  return parameter_ids().take();
}

namespace detail {

constinit thread_local TapeHead* active_head = nullptr;

namespace {

constinit thread_local Recording* last_recording = nullptr;

void begin(Recording& recording) noexcept {
  recording.below = last_recording;
  last_recording = &recording;
  active_head = recording.tape;
}

// They usually end in the reverse order of their start, but need not: a tape may be held by a pointer.
void end(Recording& recording) noexcept {
  Recording** link = &last_recording;
  while (*link != nullptr && *link != &recording) link = &(*link)->below;
  if (*link != nullptr) *link = recording.below;
  active_head = last_recording == nullptr ? nullptr : last_recording->tape;
}

// The storage of a tape that ended serves the thread's next one, so a training step allocates nothing.
// A plain pointer, as a static Tape may end after the thread's own objects have.
constinit thread_local TapeStorage* spare = nullptr;
constinit thread_local bool spare_closed = false;
struct SpareGuard {
  ~SpareGuard() {
    spare_closed = true;
    delete std::exchange(spare, nullptr);
  }
};

std::unique_ptr<TapeStorage> take_spare() {
  return std::unique_ptr<TapeStorage>(std::exchange(spare, nullptr));
}
void keep_spare(std::unique_ptr<TapeStorage> storage) {
  if (spare_closed) return;
  thread_local const SpareGuard guard;
  static_cast<void>(guard);
  delete std::exchange(spare, storage.release());
}

std::uint32_t next_serial() {
  std::uint32_t serial = 0;
  do {
    serial = tape_serials().take();
  } while (serial == Place::constant || serial == Place::parameter);
  return serial;
}

void check_defined(const Op& op, const Tensor& value) {
  if (value.defined()) return;
  const InOp here(op);
  fail<ArgumentError>("{}: the result given to record is undefined", op.name);
}

[[noreturn]] void fail_other_tape(const Op& op, std::uint32_t serial) {
  const InOp here(op);
  if (!tape_serials().has_given(serial)) {
    fail<TapeError>(
        "{}: an operand was recorded by another copy of Gradus in this process, as happens when a program "
        "and a plugin are each linked to the static library; link both to the shared one "
        "(BUILD_SHARED_LIBS=ON)",
        op.name);
  }
  fail<TapeError>(
      "{}: an operand was recorded on a tape that is not the active one (it has ended, was consumed by "
      "backward, or a newer tape was started), so its gradient would be lost; use detach(x) to go on with "
      "its value",
      op.name);
}

}  // namespace

TapeStorage* active_tape() noexcept {
  return static_cast<TapeStorage*>(active_head);
}

std::uint32_t resolve_other(TapeHead& tape, const Variable& x, const Op& op) {
  if (!x.value().defined()) return no_node;  // such as a bias that is off
  const Place place = x.place();
  if (static_cast<TapeStorage&>(tape).others != Others::usual)
    return static_cast<TapeStorage&>(tape).other_node(x, op);
  if (place.tape() == Place::parameter) {
    return static_cast<TapeStorage&>(tape).parameter_node(place.index(), x.value(), op);
  }
  fail_other_tape(op, place.tape());
}

Variable push_node(TapeHead& head, const Op& op, Tensor value, Edge* edges, std::size_t count) {
  auto& tape = static_cast<TapeStorage&>(head);
  const auto index = static_cast<std::uint32_t>(tape.nodes.size());
  check_defined(op, value);
  const std::uint32_t scope = tape.scopes.current(tape.serial);
  // In place: built elsewhere, it would be copied by wide loads that wait for its narrow stores. Nothing may
  // throw from here on.
  Node& node = tape.nodes.emplace_back();
  node.name = op.name;
  node.edges = edges;
  node.file = op.where.file;
  node.line = static_cast<std::int32_t>(op.where.line);
  node.edge_count = static_cast<std::uint32_t>(count);
  node.dtype = value.dtype();
  node.shape = value.shape();
  node.scope = scope;
  return Variable(std::move(value), {tape.serial, index});
}

void push_nodes(TapeHead& head, const Op& op, std::span<Tensor> values, Edge* edges, std::size_t count,
                std::span<Variable> results) {
  if (values.size() == 1) {
    results.front() = push_node(head, op, std::move(values.front()), edges, count);
    return;
  }
  auto& nodes = static_cast<TapeStorage&>(head).nodes;
  // All of them or none.
  for (const Tensor& value : values) check_defined(op, value);
  if (nodes.capacity() < nodes.size() + values.size()) nodes.reserve(2 * (nodes.size() + values.size()));
  for (std::size_t k = 0; k < values.size(); ++k) {
    results[k] = push_node(head, op, std::move(values[k]), edges, count);
    nodes.back().result = static_cast<std::uint32_t>(k);
    nodes.back().further = static_cast<std::uint32_t>(values.size() - 1 - k);
  }
}

void* arena_grow(TapeHead& head, std::size_t bytes) {
  const std::span<std::byte> chunk = static_cast<TapeStorage&>(head).arena.grow(bytes);
  head.arena_next = chunk.data() + bytes;
  head.arena_end = chunk.data() + chunk.size();
  return chunk.data();
}

void drop_node(TapeHead& head, std::span<Edge> made) noexcept {
  destroy_closures(made);
  static_cast<TapeStorage&>(head).nodes.pop_back();
}

void TapeStorage::keep_value(std::uint32_t node, const Tensor& value) {
  if (values.size() <= node) values.resize(node + 1);
  values[node] = value;
}

std::uint32_t TapeStorage::add_leaf(const char* what, const Op& used_by, Place place, const Tensor& value) {
  const auto index = static_cast<std::uint32_t>(nodes.size());
  nodes.push_back({what, nullptr, used_by.where.file, static_cast<std::int32_t>(used_by.where.line), 0,
                   value.dtype(), value.shape(), scopes.current(serial), 0, 0});
  if (checks) keep_value(index, value);
  leaves.push_back({index, place.tape() == Place::constant ? Place{serial, index} : place, used_by.name});
  return index;
}

std::uint32_t TapeStorage::parameter_node(std::uint32_t id, const Tensor& value, const Op& used_by) {
  if (const std::uint32_t* found = parameters.find(id)) return *found;
  const std::uint32_t index = add_leaf("parameter", used_by, {Place::parameter, id}, value);
  parameters.insert(id, index);
  return index;
}

std::uint32_t TapeStorage::other_node(const Variable& x, const Op& used_by) {
  for (const Captured& known : captured) {
    if (known.x.place() == x.place()) return known.node;
  }
  if (others == Others::constants) return no_node;
  const std::uint32_t index = add_leaf("captured", used_by, x.place(), x.value());
  captured.push_back({x, index});
  return index;
}

void TapeStorage::reset() noexcept {
  // From the last to the first, as closures may hold what earlier ones made.
  for (std::size_t i = nodes.size(); i-- > 0;) destroy_closures(nodes[i].edge_list());
  nodes.clear();
  leaves.clear();
  values.clear();
  scopes.clear();
  parameters.clear();
  others = Others::usual;
  captured.clear();
  plant = nullptr;
  arena.reset();
  arena_next = arena_end = nullptr;
  serial = next_serial();
}

}  // namespace detail

using detail::TapeStorage;

Tape::Tape(TapeOptions options) : storage_(detail::take_spare()) {
  if (!storage_) storage_ = std::make_unique<TapeStorage>();
  storage_->serial = detail::next_serial();
  storage_->options = options;
  storage_->checks = options.check_finite;
  detail::begin(storage_->recording);
}

Tape::~Tape() {
  detail::end(storage_->recording);
  storage_->reset();
  detail::keep_spare(std::move(storage_));
}

Variable Tape::watch(Tensor value, Where where) {
  const std::uint32_t index = storage_->add_leaf("watched", {"watch", where}, {}, value);
  return Variable(std::move(value), {storage_->serial, index});
}

Gradients Tape::backward(const Variable& loss, const BackwardOptions& options, Where where) {
  const InOp op("backward", where);
  if (loss.size() != 1) {
    fail<ShapeError>("backward: the loss has shape {}; take the mean or sum to get one number", loss.shape());
  }
  if (storage_->sweeps > 0) {
    fail<TapeError>("backward: called from a gradient's closure, while this tape is being differentiated");
  }
  const Place place = loss.place();
  if (place.tape() == Place::constant) {
    fail<TapeError>(
        "backward: the loss depends on no parameter and no watched tensor, or on frozen parameters alone, or "
        "was computed before the tape was made");
  }
  if (place.tape() != storage_->serial && place.tape() != Place::parameter) {
    fail<TapeError>(
        "backward: the loss is not on this tape; if an earlier backward consumed it, call that one with "
        "{{.keep = true}}");
  }
  const std::uint32_t index = detail::resolve(*storage_, loss, op);
  try {
    const detail::SweepStart start{index, Variable(ones_like(loss.value()))};
    GradientList found = detail::sweep_leaves(*storage_, start, options);
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

PauseRecording::PauseRecording() {
  detail::begin(pause_);
}
PauseRecording::~PauseRecording() {
  detail::end(pause_);
}

}  // namespace gradus
