#pragma once

#include "tensor/axes.hpp"

namespace gradus {

/// The axis, counted from the front. Throws ShapeError naming the op when the shape has no such axis.
inline int named_axis(const char* op, const Shape& shape, int axis) {
  Axes(axis).of(op, shape);
  return shape.normalize_axis(axis);
}

}  // namespace gradus
