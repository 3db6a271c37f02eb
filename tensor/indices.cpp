#include "tensor/indices.hpp"

namespace gradus {

Indices::Indices(std::vector<std::int32_t> values, const Shape& shape) : shape_(shape) {
  if (static_cast<std::int64_t>(values.size()) != shape.size()) {
    fail<ShapeError>("Indices: {} values for the shape {} of {} elements", values.size(), shape,
                     shape.size());
  }
  storage_ = std::make_shared<const std::vector<std::int32_t>>(std::move(values));
}

Indices::Indices(std::vector<std::int32_t> values) {
  shape_ = Shape{static_cast<std::int64_t>(values.size())};
  storage_ = std::make_shared<const std::vector<std::int32_t>>(std::move(values));
}

Indices Indices::operator[](std::int64_t i) const {
  if (rank() == 0) fail<ShapeError>("ids[{}]: ids of rank 0 have no axes to index", i);
  if (i < 0 || i >= dim(0))
    fail<ShapeError>("ids[{}]: the first axis of shape {} has {} entries", i, shape_, dim(0));
  Indices out = *this;
  out.shape_ = shape_.erased(0);
  out.offset_ += i * out.shape_.size();
  return out;
}

Indices Indices::reshape(const Shape& shape) const {
  if (shape.size() != size()) fail<ShapeError>("reshape: ids of shape {} do not fill {}", shape_, shape);
  Indices out = *this;
  out.shape_ = shape;
  return out;
}

}  // namespace gradus
