#pragma once

// Internal: not part of the public interface.

// What the sweeps over a tape share; for the engine's own files.

#include "autograd/ops/reduction.hpp"
#include "autograd/tape_storage.hpp"
#include "tensor/ops.hpp"

namespace gradus::detail {

/// The sweep of Tape::backward from node `last` down: tensors only, nothing recorded.
GradientList sweep(TapeStorage& tape, std::uint32_t last, Tensor seed, bool keep);

/// A node that a sweep along paths starts from, and the gradient there.
struct PathStart {
  std::uint32_t node;
  Variable seed;
};
struct PathOptions {
  /// Nodes before this one are constants, unless wanted.
  std::uint32_t begin = 0;
  /// Record the sweep on the tape, so that its results can be differentiated; else fused forms serve.
  bool record = true;
  /// Go on below wanted nodes: total derivatives. Else partial ones, as of independent arguments.
  bool through = false;
  /// Free what each op saved as the sweep passes.
  bool consume = false;
};
/// The sweep of the transforms: the gradients at the wanted nodes, along the paths to them only, at a cost
/// proportional to the nodes from `begin` to the last start. Undefined where no start depends on a node, and
/// for no_node.
std::vector<Variable> sweep_paths(TapeStorage& tape, std::span<const PathStart> starts,
                                  std::span<const std::uint32_t> wanted, PathOptions options);

/// Rethrows the current exception, saying what was being differentiated.
[[noreturn]] void rethrow_while_differentiating(const TapeStorage& tape, const Node& node);

inline bool broadcasts_to(const Shape& from, const Shape& to) {
  bool fits = from.rank() <= to.rank();
  for (int i = 1; fits && i <= from.rank(); ++i) fits = from[-i] == to[-i] || from[-i] == 1;
  return fits;
}

/// The gradient as the input takes it: summed over what was broadcast. Throws DtypeError, ShapeError.
template <class T>
T fitted(T g, const Shape& shape, Dtype dtype) {
  if (g.dtype() != dtype) {
    fail<DtypeError>("the gradient is {}, the input {}", name_of(g.dtype()), name_of(dtype));
  }
  if (g.shape() == shape) return g;
  if (!broadcasts_to(shape, g.shape())) {
    fail<ShapeError>(
        "the gradient has the shape {}, the input {}; axes that were broadcast are summed, no others",
        g.shape(), shape);
  }
  T summed = sum_to(g, shape);
  return summed;
}

void destroy_closures(std::span<Edge> edges) noexcept;

}  // namespace gradus::detail
