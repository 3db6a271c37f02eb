#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "tensor/shape.hpp"

namespace gradus {

/// The axes of one shape that an op reduces.
class AxisSet {
 public:
  bool contains(int axis) const { return (bits_ >> axis & 1U) != 0; }
  void add(int axis) { bits_ |= 1U << axis; }

  /// The shape with these axes at length 1, so that it broadcasts back; and without them.
  Shape kept(const Shape& shape) const;
  Shape dropped(const Shape& shape) const;
  Shape result(const Shape& shape, bool keepdims) const { return keepdims ? kept(shape) : dropped(shape); }
  /// How many elements fall together: the product of these axes' lengths.
  std::int64_t count(const Shape& shape) const;

 private:
  std::uint32_t bits_ = 0;
};

/// Which axes an op works over: one, `-1`; several, `{0, -1}`; or, default-made (`{}`), all. Negative axes
/// count from the end. An empty span names no axis.
class Axes {
 public:
  Axes() = default;
  Axes(int axis) : Axes(std::span<const int>(&axis, 1)) {}
  Axes(std::initializer_list<int> axes) : Axes(std::span<const int>(axes.begin(), axes.size())) {}
  Axes(std::span<const int> axes);
  Axes(const std::vector<int>& axes) : Axes(std::span<const int>(axes)) {}
  template <std::size_t N>
  Axes(const std::array<int, N>& axes) : Axes(std::span<const int>(axes)) {}

  /// The axes of a shape. Throws ShapeError naming the op for one out of range or named twice.
  AxisSet of(const char* op, const Shape& shape) const;

 private:
  static constexpr int all = -1;
  std::array<int, Shape::max_rank> axes_{};
  int count_ = all;
};

}  // namespace gradus
