#pragma once

// Internal: not part of the public interface.

// Internal: what stands behind a Tape.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "autograd/scope_table.hpp"
#include "autograd/tape.hpp"
#include "autograd/tape_head.hpp"

namespace gradus::detail {

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

struct Leaf {
  std::uint32_t node;
  Place place;
  const char* used_by;  // the op that used it first, at the place that the node has
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

/// Memory of a sweep, kept for the next.
struct SweepScratch {
  /// Of a sweep to wanted nodes: whether a node is one, or on a path to one.
  enum class Role : std::uint8_t { aside, path, wanted };
  std::vector<Role> role;
  std::vector<Variable> sums;                        // of the gradients so far, by node
  std::vector<std::pair<std::uint32_t, Rows>> rows;  // of leaves, by node
  struct Joint {
    std::unique_ptr<bool[]> wanted;  // not a vector<bool>, which has no span
    std::vector<Tensor> values, out;
  } joint;  // what a closure of `jointly` is asked for and gives
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

}  // namespace gradus::detail
