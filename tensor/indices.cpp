#include "tensor/indices.hpp"

namespace gradus {

namespace {
/// A pointer to the first element that shares ownership of the container.
template <class Owner>
std::shared_ptr<const std::int32_t> first_of(std::shared_ptr<Owner> owner) {
  const std::int32_t* const first = owner->data();
  return {std::move(owner), first};
}
}  // namespace

Indices::Indices(std::vector<std::int32_t> values, const Shape& shape) : shape_(shape) {
  if (static_cast<std::int64_t>(values.size()) != shape.size()) {
    fail<ShapeError>("Indices: {} values for the shape {} of {} elements", values.size(), shape,
                     shape.size());
  }
  first_ = first_of(std::make_shared<const std::vector<std::int32_t>>(std::move(values)));
}

Indices::Indices(std::vector<std::int32_t> values) {
  shape_ = Shape{static_cast<std::int64_t>(values.size())};
  first_ = first_of(std::make_shared<const std::vector<std::int32_t>>(std::move(values)));
}

Indices Indices::from_pool(storage::PoolVector<std::int32_t> values) {
  using Values = storage::PoolVector<std::int32_t>;
  Indices out;
  out.shape_ = Shape{static_cast<std::int64_t>(values.size())};
  out.first_ =
      first_of(std::allocate_shared<const Values>(storage::PoolAllocator<Values>(), std::move(values)));
  return out;
}

Indices Indices::operator[](std::int64_t i) const {
  if (rank() == 0) fail<ShapeError>("ids[{}]: ids of rank 0 have no axes to index", i);
  const std::int64_t length = dim(0), at = i < 0 ? i + length : i;
  if (at < 0 || at >= length)
    fail<ShapeError>("ids[{}]: the first axis of shape {} has {} entries", i, shape_, length);
  Indices out = *this;
  out.shape_ = shape_.erased(0);
  if (first_) out.first_ = {first_, first_.get() + at * out.shape_.size()};
  return out;
}

Indices Indices::reshape(const Shape& shape) const {
  if (shape.size() != size()) fail<ShapeError>("reshape: ids of shape {} do not fill {}", shape_, shape);
  Indices out = *this;
  out.shape_ = shape;
  return out;
}

}  // namespace gradus
