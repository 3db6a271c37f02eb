#pragma once

#include "tensor/indices.hpp"
#include "tensor/tensor.hpp"

namespace gradus {

/// A row-sparse tensor of shape (height, width...): row r is the sum of all `values[i]` with `ids[i]` == r,
/// and 0 where there are none. The gradient of an embedding has this form.
struct Rows {
  Indices ids;    // (n)
  Tensor values;  // (n, width...)
  std::int64_t height = 0;

  /// (height, width...)
  Tensor dense() const;
  /// The same tensor with each id once, in ascending order. The values of equal ids are added in the order in
  /// which they stand, so the result does not depend on the number of threads.
  Rows merged() const;
};

}  // namespace gradus
