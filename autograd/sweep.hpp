#pragma once

// Internal: the sweep over a tape, from results back to what they depend on.

#include <cstdint>
#include <span>
#include <vector>

#include "autograd/tape_storage.hpp"

namespace gradus::detail {

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
};

/// The gradients at the wanted nodes, along the paths to them only, at a cost proportional to the nodes from
/// `begin` to the last start. Undefined where no start depends on a node, and for no_node.
std::vector<Variable> sweep_paths(TapeStorage& tape, std::span<const SweepStart> starts,
                                  std::span<const std::uint32_t> wanted, SweepOptions options);
/// The gradients of all leaves, for Tape::backward: nothing is recorded, and gradients by rows stay so.
GradientList sweep_leaves(TapeStorage& tape, const SweepStart& start, bool consume);

}  // namespace gradus::detail
