#pragma once

#include "autograd/module_path.hpp"
#include "autograd/ops/indexing.hpp"
#include "nn/init.hpp"

namespace gradus::nn {

/// A vector for each id: ids of any shape to (ids' shape, width). Initial values are normal with standard
/// deviation 1, as PyTorch's. The gradient is row-sparse.
struct Embedding {
  Parameter weight;  // (count, width)

  Embedding(Rng& rng, std::int64_t count, std::int64_t width) {
    if (count < 1 || width < 1)
      fail<ArgumentError>("Embedding: {} vectors of width {}; both must be at least 1", count, width);
    weight = Parameter(normal(rng, {count, width}, 1));
  }

  /// Throws ShapeError naming an id out of range.
  Variable operator()(const Indices& ids, Where where = Where::here()) const {
    const InModule here(*this);
    return gather_rows(weight, ids, where);
  }

  static void members(auto& self, auto&& visit) { visit("weight", self.weight); }
};

}  // namespace gradus::nn
