#include "models/run/pieces.hpp"

#include <cstring>

#include "tensor/ops.hpp"

namespace gradus::models {

Batch columns(const Batch& batch, std::int64_t piece, std::int64_t pieces) {
  if (pieces == 1) return batch;
  const std::int64_t width = batch.x.dim(1) / pieces;
  const auto part = [&](const Indices& all) {
    std::vector<std::int32_t> out;
    for (std::int64_t t = 0; t < all.dim(0); ++t) {
      const std::int32_t* const row = all.data() + t * all.dim(1) + piece * width;
      out.insert(out.end(), row, row + width);
    }
    return Indices(std::move(out), {all.dim(0), width});
  };
  return {part(batch.x), part(batch.y)};
}

std::string bytes_of_values(const Tensor& x) {
  return visit_dtype(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    return std::string(reinterpret_cast<const char*>(x.data<T>()),
                       static_cast<std::size_t>(x.size()) * sizeof(T));
  });
}

void set_values(Tensor& x, std::string_view bytes, std::size_t& at) {
  visit_dtype(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const std::size_t size = static_cast<std::size_t>(x.size()) * sizeof(T);
    if (at + size > bytes.size())
      fail<DataError>("another process sent less than it should; start them alike");
    std::memcpy(x.mutable_data<T>(), bytes.data() + at, size);
    at += size;
  });
}

}  // namespace gradus::models
