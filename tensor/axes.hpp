#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <type_traits>
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

namespace detail {
template <class T>
concept PlainNumber = std::is_arithmetic_v<T>;

/// A number that is given for an axis; one beyond all axes stays so. Nothing else that C++ converts to a
/// number is one.
template <PlainNumber T>
constexpr int axis_of(T axis) {
  constexpr std::int64_t most_axes = 1000000;
  static_assert(!std::is_same_v<T, bool>,
                "true or false is not an axis: keepdims stands behind the axes, as in sum(x, {}, true)");
  static_assert(std::is_same_v<T, bool> || std::is_integral_v<T>,
                "an axis is a whole number; the larger of two numbers is maximum(a, b)");
  return static_cast<int>(std::clamp<std::int64_t>(static_cast<std::int64_t>(axis), -most_axes, most_axes));
}
}  // namespace detail

/// Whether a reduction keeps the reduced axes, with length 1: true or false, and no number, which would be
/// another axis.
class Keepdims {
 public:
  template <detail::PlainNumber T>
  Keepdims(T value) : value_(value) {
    static_assert(std::is_same_v<T, bool>,
                  "keepdims is true or false; several axes stand in braces, as in sum(x, {0, 1})");
  }
  operator bool() const { return value_; }

 private:
  bool value_;
};

/// One axis, or none.
class OptionalAxis : public std::optional<int> {
 public:
  OptionalAxis() = default;
  OptionalAxis(std::optional<int> axis) : optional(axis) {}
  template <detail::PlainNumber T>
  OptionalAxis(T axis) : optional(detail::axis_of(axis)) {}
};

/// Which axes an op works over: one (`-1`), several (`{0, -1}`), or all (`{}`, default-constructed). Negative
/// axes count from the end. An empty span stands for no axis.
class Axes {
 public:
  Axes() = default;
  template <detail::PlainNumber T>
  Axes(T axis) : Axes({detail::axis_of(axis)}) {}
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
