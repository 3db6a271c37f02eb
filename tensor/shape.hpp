#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <span>
#include <string>
#include <vector>

#include "tensor/support/error.hpp"

namespace gradus {

/// The lengths of a tensor's axes, outermost first: at most 8 axes, each of length at most 2^31-1. A shape
/// without axes (rank 0) is that of a scalar.
class Shape {
 public:
  static constexpr int max_rank = 8;

  Shape() = default;
  /// Throws ShapeError for more than 8 axes, a negative length, or more than 2^48 elements in all.
  Shape(std::initializer_list<std::int64_t> dims) : Shape(std::span(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const std::int64_t> dims);
  /// Of one axis: `zeros(n)`.
  template <std::integral Length>
  requires(!std::same_as<Length, bool>) Shape(Length length) : Shape({static_cast<std::int64_t>(length)}) {}

  /// A shape that is known to be valid, such as that of a tensor: nothing is checked. `dims` holds 8 lengths,
  /// with 0 from `rank` on, since a copy of fixed size is several times faster.
  static Shape unchecked(std::span<const std::int32_t, max_rank> dims, int rank) {
    Shape out;
    std::copy(dims.begin(), dims.end(), out.dims_.begin());
    out.rank_ = rank;
    return out;
  }
  std::span<const std::int32_t, max_rank> all_dims() const { return dims_; }

  int rank() const { return rank_; }
  /// The rank() lengths.
  const std::int32_t* data() const { return dims_.data(); }
  /// The number of elements: the product of the lengths, 1 for rank 0.
  std::int64_t size() const {
    std::int64_t size = 1;
    for (int i = 0; i < rank_; ++i) size *= dims_[static_cast<std::size_t>(i)];
    return size;
  }
  /// The length of an axis; negative axes count from the end. Throws ShapeError when it is out of range.
  std::int64_t operator[](int axis) const { return dims_[static_cast<std::size_t>(normalize_axis(axis))]; }
  /// A possibly negative axis as one in 0..rank-1. Throws ShapeError when it is out of range.
  int normalize_axis(int axis) const {
    const int normal = axis < 0 ? axis + rank_ : axis;
    if (normal < 0 || normal >= rank_) throw_axis(axis);
    return normal;
  }
  /// The shape with the length of one axis replaced, with an axis inserted before `axis` (0..rank), and with
  /// one axis removed.
  Shape with(int axis, std::int64_t length) const;
  Shape inserted(int axis, std::int64_t length) const;
  Shape erased(int axis) const;

  /// Where the element at a row-major position stands: its index along each axis.
  std::vector<std::int64_t> index_of(std::int64_t position) const;

  bool operator==(const Shape& other) const {
    if (rank_ != other.rank_) return false;
    for (int i = 0; i < rank_; ++i) {
      if (dims_[static_cast<std::size_t>(i)] != other.dims_[static_cast<std::size_t>(i)]) return false;
    }
    return true;
  }
  /// "(35, 20, 200)"; "()" for a scalar.
  std::string text() const;

 private:
  [[noreturn]] void throw_axis(int axis) const;

  std::array<std::int32_t, max_rank> dims_{};
  std::int32_t rank_ = 0;
};

/// Writes its text.
std::ostream& operator<<(std::ostream& to, const Shape& shape);

/// Throws ShapeError unless a length, a distance or a number of entries is from 0 to 2^31-1, as lengths of
/// axes are; products of two of them, and sums of a few, do not overflow then.
void check_length(const char* op, const char* what, std::int64_t value);

/// The shape that two shapes broadcast to by NumPy's rule: trailing axes are aligned, and a length of 1
/// stretches to the other's. Throws ShapeError, naming `op` and both shapes, when they do not broadcast.
Shape broadcast_shapes(const char* op, const Shape& a, const Shape& b);

/// A shape as seen from one axis: memory is `outer` blocks, each of `length` runs of `inner` elements.
struct Runs {
  std::int64_t outer = 1, length = 1, inner = 1;
};
Runs runs_at(const Shape& shape, int axis);

namespace detail {
/// For fmt, whose own names the shared library does not show.
fmt::format_context::iterator print(const fmt::formatter<fmt::string_view>& how, const Shape& shape,
                                    fmt::format_context& context);
}  // namespace detail

}  // namespace gradus

/// Lets fmt print shapes.
template <>
struct fmt::formatter<gradus::Shape> : fmt::formatter<fmt::string_view> {
  fmt::format_context::iterator format(const gradus::Shape& shape, fmt::format_context& context) const {
    return gradus::detail::print(*this, shape, context);
  }
};
