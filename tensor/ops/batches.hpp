#pragma once

// Internal: not part of the public interface.

#include <cstdint>

#include "tensor/shape.hpp"

/// Shapes and positions of batches of matrices.
namespace gradus::detail {

/// A shape without its last two axes: the shape of the batch.
inline Shape leading(const Shape& shape) {
  return shape.erased(-1).erased(-1);
}
/// (batch..., rows, cols)
inline Shape with_matrix(const Shape& batch, std::int64_t rows, std::int64_t cols) {
  return batch.inserted(batch.rank(), rows).inserted(batch.rank() + 1, cols);
}
/// Which of an operand's matrices serves matrix `i` of a broadcast result.
inline std::int64_t batch_place(std::int64_t i, const Shape& out, const Shape& operand) {
  if (out == operand) return i;
  std::int64_t place = 0, stride = 1;
  for (int axis = 1; axis <= out.rank(); ++axis) {
    const std::int64_t at = i % out[-axis];
    i /= out[-axis];
    if (axis > operand.rank()) continue;
    if (operand[-axis] != 1) place += at * stride;
    stride *= operand[-axis];
  }
  return place;
}

}  // namespace gradus::detail
