#pragma once

#include "tensor/axes.hpp"

namespace gradus {

/// A possibly negative axis as one counted from the front. Throws ShapeError, naming the op, when the shape
/// has no such axis.
inline int named_axis(const char* op, const Shape& shape, int axis) {
  Axes(axis).of(op, shape);
  return shape.normalize_axis(axis);
}

/// The shape as seen from an axis. A scalar counts as one entry along its axis 0 (or -1), as in PyTorch.
inline Runs runs_along(const char* op, const Shape& shape, int axis) {
  if (shape.rank() == 0 && (axis == 0 || axis == -1)) return {};
  return runs_at(shape, named_axis(op, shape, axis));
}

}  // namespace gradus
