#pragma once

#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <memory>
#include <span>
#include <vector>

#include "tensor/shape.hpp"
#include "tensor/storage.hpp"

namespace gradus {

/// An array of 32-bit ids (tokens, classes, rows), row-major and immutable. It is not a Tensor, so that
/// nothing can be differentiated with respect to it. Copies, slices and reshapes share storage.
class Indices {
 public:
  Indices() = default;
  /// Throws ShapeError unless there are shape.size() values.
  Indices(std::vector<std::int32_t> values, const Shape& shape);
  /// A vector of ids.
  explicit Indices(std::vector<std::int32_t> values);
  /// A vector of ids in memory from the pool, for ids that a training step creates.
  static Indices from_pool(storage::PoolVector<std::int32_t> values);
  Indices(std::initializer_list<std::int32_t> values) : Indices(std::vector<std::int32_t>(values)) {}

  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  std::int64_t dim(int axis) const { return shape_[axis]; }
  std::int64_t size() const { return shape_.size(); }
  const std::int32_t* data() const { return first_.get(); }
  std::span<const std::int32_t> values() const { return {data(), static_cast<std::size_t>(size())}; }

  /// The i-th slice along the first axis, sharing storage; a negative i counts from the end. Throws
  /// ShapeError when out of range or rank 0.
  Indices operator[](std::int64_t i) const;
  Indices reshape(const Shape& shape) const;

 private:
  std::shared_ptr<const std::int32_t> first_;
  Shape shape_{0};
};

/// Prints them as a Tensor is printed (tensor/tensor.hpp): "[5, 6, 7] (3,) indices".
std::ostream& operator<<(std::ostream& to, const Indices& ids);

namespace detail {
/// For fmt, whose own names the shared library does not show.
fmt::format_context::iterator print(const fmt::formatter<fmt::string_view>& how, const Indices& ids,
                                    fmt::format_context& context);
}  // namespace detail

}  // namespace gradus

template <>
struct fmt::formatter<gradus::Indices> : fmt::formatter<fmt::string_view> {
  fmt::format_context::iterator format(const gradus::Indices& ids, fmt::format_context& context) const {
    return gradus::detail::print(*this, ids, context);
  }
};
