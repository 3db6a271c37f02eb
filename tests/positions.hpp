#pragma once

#include <functional>
#include <vector>

#include "tensor/tensor.hpp"

namespace gradus::test {

/// One index an axis.
using Position = std::vector<std::int64_t>;

inline Position position_of(std::int64_t flat, const Shape& shape) {
  Position out(static_cast<std::size_t>(shape.rank()));
  for (int i = shape.rank(); i-- > 0; flat /= shape[i]) out[static_cast<std::size_t>(i)] = flat % shape[i];
  return out;
}

inline std::int64_t flat_of(const Position& at, const Shape& shape) {
  std::int64_t out = 0;
  for (int i = 0; i < shape.rank(); ++i) out = out * shape[i] + at[static_cast<std::size_t>(i)];
  return out;
}

inline double at(const Tensor& x, const Position& position) {
  return x.at(flat_of(position, x.shape()));
}

/// f(position) at every position: what an op should give, written as a formula.
inline Tensor tabulate(const Shape& shape, Dtype dtype, const std::function<double(const Position&)>& f) {
  std::vector<double> out;
  for (std::int64_t i = 0; i < shape.size(); ++i) out.push_back(f(position_of(i, shape)));
  return Tensor::from(out, shape).to(dtype);
}

/// 0, 1, 2, ... so that every element is known by its place.
inline Tensor counting(const Shape& shape, Dtype dtype = Dtype::f32) {
  return tabulate(shape, dtype, [&](const Position& p) { return static_cast<double>(flat_of(p, shape)); });
}

}  // namespace gradus::test
