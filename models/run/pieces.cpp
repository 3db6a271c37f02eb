#include "models/run/pieces.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <numeric>

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

std::vector<int> owners_of(const ParameterView& parameters, int size) {
  const auto& parts = parameters.parts();
  std::vector<std::size_t> order(parts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater(), [&](std::size_t i) { return parts[i].second->size(); });
  std::vector<std::int64_t> load(static_cast<std::size_t>(size), 0);
  std::vector<int> out(parts.size(), 0);
  for (const std::size_t i : order) {
    if (parts[i].second->is_constant()) continue;  // nobody changes it
    const auto least = std::ranges::min_element(load);
    *least += parts[i].second->size();
    out[i] = static_cast<int>(least - load.begin());
  }
  return out;
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
