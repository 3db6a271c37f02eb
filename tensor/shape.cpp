#include "tensor/shape.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace gradus {

namespace {
constexpr std::int64_t max_elements = std::int64_t{1} << 48;
constexpr std::int64_t max_length = std::numeric_limits<std::int32_t>::max();
}  // namespace

Shape::Shape(std::span<const std::int64_t> dims) {
  if (dims.size() > static_cast<std::size_t>(max_rank)) {
    fail<ShapeError>("a shape of {} axes: at most {} are supported; merge some with reshape", dims.size(),
                     max_rank);
  }
  std::int64_t elements = 1;
  for (const std::int64_t length : dims) {
    if (length < 0 || length > max_length) {
      fail<ShapeError>("an axis of length {}: lengths go from 0 to 2^31-1", length);
    }
    // Up to 2^17 elements, no further axis can exceed the limit, and the slow division is not needed: shapes
    // are created often.
    if (length > 0 && elements > max_elements >> 31 && elements > max_elements / length) {
      fail<ShapeError>("a shape of more than 2^48 elements (an axis of {} after {} elements)", length,
                       elements);
    }
    elements *= length > 0 ? length : 1;
    dims_[static_cast<std::size_t>(rank_++)] = static_cast<std::int32_t>(length);
  }
}

Shape Shape::with(int axis, std::int64_t length) const {
  return erased(axis).inserted(normalize_axis(axis), length);
}

Shape Shape::inserted(int axis, std::int64_t length) const {
  if (axis < 0 || axis > rank_) throw_axis(axis);
  std::array<std::int64_t, max_rank + 1> dims{};
  for (int i = 0, from = 0; i <= rank_; ++i) {
    dims[static_cast<std::size_t>(i)] = i == axis ? length : dims_[static_cast<std::size_t>(from++)];
  }
  return Shape(std::span<const std::int64_t>(dims.data(), static_cast<std::size_t>(rank_ + 1)));
}

Shape Shape::erased(int axis) const {
  const auto gone = dims_.begin() + normalize_axis(axis);
  Shape out = *this;
  std::copy(gone + 1, dims_.begin() + rank_, out.dims_.begin() + (gone - dims_.begin()));
  out.dims_[static_cast<std::size_t>(--out.rank_)] = 0;
  return out;
}

std::vector<std::int64_t> Shape::index_of(std::int64_t position) const {
  std::vector<std::int64_t> out(static_cast<std::size_t>(rank_));
  for (auto axis = out.size(); axis-- > 0; position /= dims_[axis]) out[axis] = position % dims_[axis];
  return out;
}

std::string Shape::text() const {
  std::string out = "(";
  for (int i = 0; i < rank_; ++i) {
    if (i != 0) out += ", ";
    out += std::to_string(dims_[static_cast<std::size_t>(i)]);
  }
  return out + (rank_ == 1 ? ",)" : ")");
}

void Shape::throw_axis(int axis) const {
  fail<ShapeError>("axis {} of a tensor of shape {}: axes go from {} to {}", axis, text(), -rank_, rank_ - 1);
}

void check_length(const char* op, const char* what, std::int64_t value) {
  if (value < 0 || value > max_length)
    fail<ShapeError>("{}: {} of {}; it must be 0 to 2^31-1", op, what, value);
}

Shape broadcast_shapes(const char* op, const Shape& a, const Shape& b) {
  if (a == b) return a;
  const int rank = std::max(a.rank(), b.rank());
  std::array<std::int64_t, Shape::max_rank> dims{};
  for (int i = 1; i <= rank; ++i) {
    const std::int64_t x = i <= a.rank() ? a[-i] : 1;
    const std::int64_t y = i <= b.rank() ? b[-i] : 1;
    if (x != y && x != 1 && y != 1) {
      fail<ShapeError>(
          "{}: shapes {} and {} do not broadcast: axis {} from the end is {} against {} (lengths must be "
          "equal or 1)",
          op, a, b, i, x, y);
    }
    dims[static_cast<std::size_t>(rank - i)] = x == 1 ? y : x;
  }
  return Shape(std::span<const std::int64_t>(dims.data(), static_cast<std::size_t>(rank)));
}

Runs runs_at(const Shape& shape, int axis) {
  Runs r;
  for (int i = 0; i < shape.rank(); ++i) (i < axis ? r.outer : i == axis ? r.length : r.inner) *= shape[i];
  return r;
}

}  // namespace gradus
