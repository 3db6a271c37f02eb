#pragma once

#include <cstdint>
#include <vector>

#include "tensor/tensor.hpp"

namespace gradus::test {

using MultiIndex = std::vector<std::int64_t>;

/// The row-major position of a multi-index.
inline std::int64_t position(const Shape& shape, const MultiIndex& index) {
  std::int64_t at = 0;
  for (int a = 0; a < shape.rank(); ++a) at = at * shape[a] + index[static_cast<std::size_t>(a)];
  return at;
}
inline double at(const Tensor& x, const MultiIndex& index) {
  return x.at(position(x.shape(), index));
}

/// The tensor of value(multi-index), visited in row-major order.
template <class F>
Tensor built(const Shape& shape, Dtype dtype, F value) {
  std::vector<double> out;
  for (std::int64_t i = 0; i < shape.size(); ++i) {
    MultiIndex index(static_cast<std::size_t>(shape.rank()));
    std::int64_t rest = i;
    for (int a = shape.rank(); a-- > 0; rest /= shape[a])
      index[static_cast<std::size_t>(a)] = rest % shape[a];
    out.push_back(value(index));
  }
  return Tensor::from(out, shape).to(dtype);
}

/// 1, 2, 3, ...
inline Tensor counted(const Shape& shape, Dtype dtype) {
  double n = 0;
  return built(shape, dtype, [&](const MultiIndex&) { return ++n; });
}

}  // namespace gradus::test
