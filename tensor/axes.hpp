#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "tensor/shape.hpp"

namespace gradus {

/// A set of axes of one shape, such as those that an op reduces.
class AxisSet {
 public:
  bool contains(int axis) const { return (bits_ >> axis & 1U) != 0; }
  void add(int axis) { bits_ |= 1U << axis; }

  /// The shape with these axes reduced to length 1, so that it broadcasts back, and the shape without them.
  Shape kept(const Shape& shape) const;
  Shape dropped(const Shape& shape) const;
  Shape result(const Shape& shape, bool keepdims) const { return keepdims ? kept(shape) : dropped(shape); }
  /// How many elements are reduced to one: the product of these axes' lengths.
  std::int64_t count(const Shape& shape) const;

 private:
  std::uint32_t bits_ = 0;
};

/// Which axes an op works over: one (`-1`), several (`{0, -1}`), or all (`{}`, default-constructed). Negative
/// axes count from the end. An empty span stands for no axis.
class Axes {
 public:
  Axes() = default;
  Axes(int axis) : Axes(std::span<const int>(&axis, 1)) {}
  Axes(std::initializer_list<int> axes) : Axes(std::span<const int>(axes.begin(), axes.size())) {}
  Axes(std::span<const int> axes);
  Axes(const std::vector<int>& axes) : Axes(std::span<const int>(axes)) {}
  template <std::size_t N>
  Axes(const std::array<int, N>& axes) : Axes(std::span<const int>(axes)) {}

  /// These axes of a shape. Throws ShapeError, naming the op, for an axis out of range or listed twice.
  AxisSet of(const char* op, const Shape& shape) const;

 private:
  static constexpr int all = -1;
  std::array<int, Shape::max_rank> axes_{};
  int count_ = all;
};

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
