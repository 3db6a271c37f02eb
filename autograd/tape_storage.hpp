#pragma once

// Internal: what stands behind a Tape, and the sweep over it, from results back to what they depend on.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "autograd/module_path.hpp"
#include "autograd/tape.hpp"
#include "autograd/tape_head.hpp"

namespace gradus::detail {

/// A number for each module in whose call something was recorded; 0 is none. Entries hold names, not
/// modules, since a tape may outlive these.
class ScopeTable {
 public:
  /// The number of the module that is being called on this thread.
  std::uint32_t current(std::uint32_t tape) {
    ScopeFrame* const frame = ScopeFrame::innermost();
    if (frame == nullptr) return 0;
    return frame->tape == tape ? frame->scope : number_of(*frame, tape);
  }
  /// "LstmLm.head", the first `parts` of it, where the first is the type of the outermost module; ""
  /// for 0.
  std::string path(std::uint32_t scope, int parts = 1 << 30) const;
  /// The number of parts of the path.
  int depth(std::uint32_t scope) const { return scope == 0 ? 0 : entries_[scope - 1].depth; }
  /// The module around the scope of which the path has `parts` parts, or the scope itself when it has no
  /// more.
  std::uint32_t ancestor(std::uint32_t scope, int parts) const;

  /// The scope around it in its path, and the last part of the path.
  std::uint32_t parent(std::uint32_t scope) const { return entries_[scope - 1].parent; }
  std::string name(std::uint32_t scope) const;

  /// Forgets all; the entries' memory is kept for the next tape.
  void clear() noexcept { used_ = last_ = 0; }

 private:
  struct Entry {
    const void* module;
    const ModuleType* type;
    std::uint32_t called_in;  // the scope around the call
    std::uint32_t parent;     // the scope whose path comes before the name
    int depth;
    std::string name;  // empty for one that is no part of a module around it: the type's name stands for it
  };
  std::uint32_t number_of(ScopeFrame& frame, std::uint32_t tape);
  std::uint32_t add(const ScopeFrame& frame, std::uint32_t called_in, std::uint32_t tape);

  std::vector<Entry> entries_;  // the first used_ are in use; the others keep their strings' memory
  std::size_t used_ = 0;
  std::size_t last_ = 0;  // the entry found last: modules are mostly called in the same order
};

/// Memory for edges and closures: given out in order, taken back all at once, kept for the next step.
class Arena {
 public:
  /// The next chunk with room for that many bytes.
  std::span<std::byte> grow(std::size_t bytes) {
    while (used_ < chunks_.size()) {
      Chunk& chunk = chunks_[used_++];
      if (chunk.size >= bytes) return {chunk.memory.get(), chunk.size};
    }
    const std::size_t size = bytes > chunk_bytes ? bytes : chunk_bytes;
    chunks_.push_back({std::make_unique_for_overwrite<std::byte[]>(size), size});
    used_ = chunks_.size();
    return {chunks_.back().memory.get(), size};
  }
  void reset() noexcept { used_ = 0; }
  /// The bytes of the chunks given out.
  std::size_t bytes() const {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < used_; ++i) sum += chunks_[i].size;
    return sum;
  }

 private:
  static constexpr std::size_t chunk_bytes = 64 << 10;
  struct Chunk {
    std::unique_ptr<std::byte[]> memory;
    std::size_t size;
  };
  std::vector<Chunk> chunks_;
  std::size_t used_ = 0;  // chunks given out
};

/// Parameter ids to nodes: open addressing, since a hash map's nodes would be heap allocations every step.
class NodeOfParameter {
 public:
  const std::uint32_t* find(std::uint32_t id) const {
    if (slots_.empty()) return nullptr;
    for (std::size_t i = start(id);; i = (i + 1) & (slots_.size() - 1)) {
      if (slots_[i].first == 0) return nullptr;  // ids begin at 1
      if (slots_[i].first == id) return &slots_[i].second;
    }
  }
  void insert(std::uint32_t id, std::uint32_t node) {
    if (2 * ++count_ > slots_.size()) grow();
    place(id, node);
  }
  void clear() noexcept {
    if (count_ != 0) std::fill(slots_.begin(), slots_.end(), Slot{});
    count_ = 0;
  }

 private:
  using Slot = std::pair<std::uint32_t, std::uint32_t>;
  std::size_t start(std::uint32_t id) const { return (id * 0x9E3779B1u) & (slots_.size() - 1); }
  void place(std::uint32_t id, std::uint32_t node) {
    std::size_t i = start(id);
    while (slots_[i].first != 0) i = (i + 1) & (slots_.size() - 1);
    slots_[i] = {id, node};
  }
  void grow() {
    const std::vector<Slot> old =
        std::exchange(slots_, std::vector<Slot>(slots_.empty() ? 64 : 2 * slots_.size()));
    for (const Slot& slot : old) {
      if (slot.first != 0) place(slot.first, slot.second);
    }
  }
  std::vector<Slot> slots_;
  std::size_t count_ = 0;
};

/// A leaf, or a result of a recorded op. Nodes stand in the order of their making, so inputs always come
/// before. An op of several results is that many nodes in a row, which share the edges.
struct Node {
  const char* name;
  Edge* edges;  // between the two, so that they are not copied by one load of two fresh stores
  const char* file;
  std::int32_t line;
  std::uint32_t edge_count;  // 0: a leaf
  Dtype dtype;
  Shape shape;
  std::uint32_t scope;    // the module it was recorded in; see ScopeTable
  std::uint32_t result;   // which of the op's results
  std::uint32_t further;  // how many of them follow

  std::span<Edge> edge_list() const { return {edges, edge_count}; }
};

/// Destroys what an op saved, unless it has been; then the first edge has no closure.
inline void destroy_closures(std::span<Edge> edges) noexcept {
  if (edges.empty() || edges.front().closure == nullptr) return;
  if (edges.front().closure->table->joint != nullptr) edges = edges.first(1);  // all share one
  for (const Edge& edge : edges) edge.closure->table->destroy(edge.closure);
  edges.front().closure = nullptr;
}

struct Leaf {
  std::uint32_t node;
  Place place;
  const char* used_by;  // the op that used it first, at the place that the node has
};

/// Memory of a sweep, kept for the next.
struct SweepScratch {
  /// Of a sweep to wanted nodes: whether a node is one, or on a path to one.
  enum class Role : std::uint8_t { aside, path, wanted };
  std::vector<Role> role;
  std::vector<std::pair<std::uint32_t, Rows>> rows;  // of leaves, by node
  // What a closure of `jointly` is asked for and gives; not a vector<bool>, which has no span.
  std::unique_ptr<bool[]> joint_wanted;
  std::vector<Tensor> joint_out;

  /// The gradients so far.
  template <class G>
  std::vector<G>& sums() {
    return std::get<std::vector<G>>(sums_);
  }

 private:
  std::tuple<std::vector<Tensor>, std::vector<Variable>> sums_;
};

/// An error that gradcheck plants in one op's gradient, to see that it is found.
struct Plant {
  std::string_view op;
  std::size_t input;
  double factor;
  std::int64_t applied = 0;

  bool applies(const char* name, std::size_t edge) {
    const bool yes = edge == input && op == name;
    applied += yes;
    return yes;
  }
};

/// What a Variable of a parameter or of another tape is to a tape.
enum class Others : std::uint8_t {
  usual,      // a parameter is a leaf, another tape's Variable an error
  constants,  // for a tape that a transform makes for one call: only its arguments count
  captured,   // for a checkpoint: leaves, listed in `captured`
};
struct Captured {
  Variable x;
  std::uint32_t node;
};

struct TapeStorage : TapeHead {
  TapeOptions options;
  Recording recording{this};
  std::vector<Node> nodes;
  std::vector<Leaf> leaves;
  Arena arena;
  NodeOfParameter parameters;
  ScopeTable scopes;
  std::vector<Tensor> values;  // by node; only while the tape checks
  SweepScratch sweep_scratch;

  // The transforms'.
  Others others = Others::usual;
  std::vector<Captured> captured;
  Plant* plant = nullptr;
  int sweeps = 0;  // under way

  /// While it lives a sweep reads the nodes, which nobody may take away.
  class Sweeping {
   public:
    explicit Sweeping(TapeStorage& tape) : tape_(tape) { ++tape_.sweeps; }
    ~Sweeping() { --tape_.sweeps; }
    Sweeping(const Sweeping&) = delete;
    Sweeping& operator=(const Sweeping&) = delete;

   private:
    TapeStorage& tape_;
  };

  std::uint32_t other_node(const Variable& x, const Op& used_by);
  /// A leaf: named for what it is, at the place of the op that used it first.
  std::uint32_t add_leaf(const char* what, const Op& used_by, Place place, const Tensor& value);
  std::uint32_t parameter_node(std::uint32_t id, const Tensor& value, const Op& used_by);
  void keep_value(std::uint32_t node, const Tensor& value);
  void reset() noexcept;
};

/// A sweep over a tape, on the stack: errors tell which op is being differentiated, and what is recorded
/// meanwhile stands in that op's module.
struct SweepFrame : ScopeFrame {
  const TapeStorage* storage;
  std::uint32_t node = no_node;  // the op's, while one is

  explicit SweepFrame(const TapeStorage& swept) noexcept
      : ScopeFrame(Kind::sweep, nullptr, nullptr), storage(&swept) {
    tape = swept.serial;
  }
  void begin(std::uint32_t at) noexcept {
    node = at;
    scope = storage->nodes[at].scope;
  }
  void end() noexcept { node = no_node; }
  /// "while differentiating mul, recorded at model.cpp:31 in LstmLm.head: "; empty between two ops.
  std::string text() const;
};

/// Throws NumericError when the gradient that the op of a node gave one of its inputs holds NaN or infinity,
/// for TapeOptions::check_finite. `gs` are the gradients of its results, `sum` is what there is for the input
/// by now.
void check_gradient_of(const TapeStorage& tape, std::uint32_t node, std::uint32_t input,
                       std::span<const Variable> gs, const Tensor& sum);

/// A node that a sweep starts from, and the gradient there.
struct SweepStart {
  std::uint32_t node;
  Variable seed;
};
struct SweepOptions {
  /// Nodes before this one are constants, unless wanted.
  std::uint32_t begin = 0;
  /// Record the sweep on the tape, so that its results can be differentiated; else fused forms serve.
  bool record = true;
  /// Go on below wanted nodes: total derivatives. Else partial ones, as of independent arguments.
  bool through = false;
  /// Destroy each op's closures, with what they saved, as the sweep passes.
  bool consume = false;
  /// So many gradients at once: seeds and results have one more axis in front. 0: without that axis.
  std::int64_t batch = 0;
};

/// The gradients at the wanted nodes, along the paths to them only, at a cost proportional to the nodes from
/// `begin` to the last start. Undefined where no start depends on a node, and for no_node.
std::vector<Variable> sweep_paths(TapeStorage& tape, std::span<const SweepStart> starts,
                                  std::span<const std::uint32_t> wanted, SweepOptions options);
/// The tangent of a node, the starts' seeds being those of nodes from `begin` on, where all ops between work
/// element by element; undefined where it depends on none of them. Nothing where another op is on the way.
std::optional<Variable> sweep_tangents(TapeStorage& tape, std::span<const SweepStart> starts,
                                       std::uint32_t node, std::uint32_t begin, bool record);
/// The gradients of all leaves, for Tape::backward: nothing is recorded, and gradients by rows stay so.
GradientList sweep_leaves(TapeStorage& tape, const SweepStart& start, const BackwardOptions& options);

}  // namespace gradus::detail
