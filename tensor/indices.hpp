#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include "tensor/shape.hpp"

namespace gradus {

/// An array of 32-bit ids (tokens, classes, rows): not a Tensor, so not differentiable by construction.
/// Row-major and immutable; copies, slices and reshapes share storage.
class Indices {
 public:
  Indices() = default;
  /// Throws ShapeError unless the number of values is shape.size().
  Indices(std::vector<std::int32_t> values, const Shape& shape);
  /// A vector of ids.
  explicit Indices(std::vector<std::int32_t> values);
  Indices(std::initializer_list<std::int32_t> values) : Indices(std::vector<std::int32_t>(values)) {}

  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  std::int64_t dim(int axis) const { return shape_[axis]; }
  std::int64_t size() const { return shape_.size(); }
  const std::int32_t* data() const { return storage_ ? storage_->data() + offset_ : nullptr; }
  std::span<const std::int32_t> values() const { return {data(), static_cast<std::size_t>(size())}; }

  /// The i-th slice along the first axis, sharing storage. Throws ShapeError when out of range or rank 0.
  Indices operator[](std::int64_t i) const;
  Indices reshape(const Shape& shape) const;

 private:
  std::shared_ptr<const std::vector<std::int32_t>> storage_;
  std::int64_t offset_ = 0;
  Shape shape_{0};
};

}  // namespace gradus
