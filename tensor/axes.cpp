#include "tensor/axes.hpp"

#include <algorithm>

namespace gradus {

Shape AxisSet::kept(const Shape& shape) const {
  std::array<std::int64_t, Shape::max_rank> dims{};
  for (int i = 0; i < shape.rank(); ++i) dims[static_cast<std::size_t>(i)] = contains(i) ? 1 : shape[i];
  return Shape(std::span<const std::int64_t>(dims.data(), static_cast<std::size_t>(shape.rank())));
}

Shape AxisSet::dropped(const Shape& shape) const {
  std::array<std::int64_t, Shape::max_rank> dims{};
  std::size_t rank = 0;
  for (int i = 0; i < shape.rank(); ++i) {
    if (!contains(i)) dims[rank++] = shape[i];
  }
  return Shape(std::span<const std::int64_t>(dims.data(), rank));
}

std::int64_t AxisSet::count(const Shape& shape) const {
  std::int64_t count = 1;
  for (int i = 0; i < shape.rank(); ++i) count *= contains(i) ? shape[i] : 1;
  return count;
}

Axes::Axes(std::span<const int> axes) : count_(static_cast<int>(axes.size())) {
  if (axes.size() > axes_.size()) {
    fail<ShapeError>("{} axes are named; a tensor has at most {}", axes.size(), axes_.size());
  }
  std::copy(axes.begin(), axes.end(), axes_.begin());
}

AxisSet Axes::of(const char* op, const Shape& shape) const {
  AxisSet out;
  for (int i = 0; i < shape.rank() && count_ == all; ++i) out.add(i);
  for (int i = 0; i < count_; ++i) {
    const int axis = axes_[static_cast<std::size_t>(i)];
    if (shape.rank() == 0) fail<ShapeError>("{}: axis {} of a scalar, which has none", op, axis);
    if (axis < -shape.rank() || axis >= shape.rank()) {
      fail<ShapeError>("{}: axis {} of a tensor of shape {}; its axes go from {} to {}", op, axis, shape,
                       -shape.rank(), shape.rank() - 1);
    }
    const int normal = shape.normalize_axis(axis);
    if (out.contains(normal)) fail<ShapeError>("{}: axis {} of shape {} is named twice", op, axis, shape);
    out.add(normal);
  }
  return out;
}

}  // namespace gradus
