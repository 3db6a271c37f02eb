#pragma once

// Internal: what stands behind a Tape.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "autograd/scope_table.hpp"
#include "autograd/tape.hpp"
#include "autograd/tape_head.hpp"
#include "autograd/tape_memory.hpp"

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

}  // namespace gradus::detail
