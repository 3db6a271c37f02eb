#pragma once

#include "tensor/indices.hpp"
#include "tensor/tensor.hpp"

namespace gradus {

/// A row-sparse matrix: `values[i]` is added at row `ids[i]` of a (height, width...) tensor of zeros. Ids may
/// repeat until `merged`. The gradient of an embedding has this form.
struct Rows {
  Indices ids;    // (n)
  Tensor values;  // (n, width...)
  std::int64_t height = 0;

  /// (height, width...)
  Tensor dense() const;
  /// The same matrix with ascending ids, each once. Equal rows are added in their order, so the result is
  /// the same for any number of threads.
  Rows merged() const;
};

}  // namespace gradus
