#pragma once

// What the two sweeps over a tape share; for the engine's own files.

#include "autograd/ops/reduction.hpp"
#include "autograd/tape_storage.hpp"
#include "tensor/ops.hpp"

namespace gradus::detail {

/// The sweep of Tape::backward from node `last` down: tensors only, nothing recorded.
std::vector<Gradient> sweep(TapeStorage& tape, std::uint32_t last, Tensor seed, bool keep);

/// Rethrows the current exception, saying what was being differentiated.
[[noreturn]] void rethrow_while_differentiating(const TapeStorage& tape, const Node& node);

/// The gradient as the input takes it: summed over what was broadcast. Throws DtypeError.
template <class T>
T fitted(T g, const Shape& shape, Dtype dtype) {
  if (g.dtype() != dtype) {
    fail<DtypeError>("the gradient is {}, the input {}", name_of(g.dtype()), name_of(dtype));
  }
  if (g.shape() == shape) return g;
  T summed = sum_to(g, shape);
  return summed;
}

void destroy_closures(std::span<Edge> edges) noexcept;

}  // namespace gradus::detail
