#pragma once

#include <functional>
#include <vector>

#include "tensor/tensor.hpp"

namespace gradus::test {

inline constexpr Dtype both[]{Dtype::f32, Dtype::f64};

/// An index of a standard container.
inline std::size_t u(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

/// One index an axis.
using Position = std::vector<std::int64_t>;

inline Position position_of(std::int64_t flat, const Shape& shape) {
  Position out(u(shape.rank()));
  for (int i = shape.rank(); i-- > 0; flat /= shape[i]) out[u(i)] = flat % shape[i];
  return out;
}

inline std::int64_t flat_of(const Position& at, const Shape& shape) {
  std::int64_t out = 0;
  for (int i = 0; i < shape.rank(); ++i) out = out * shape[i] + at[u(i)];
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

/// first, first + 1, ... so that every element is known by its place.
inline Tensor counting(const Shape& shape, Dtype dtype = Dtype::f32, double first = 0) {
  return tabulate(shape, dtype,
                  [&](const Position& p) { return first + static_cast<double>(flat_of(p, shape)); });
}

}  // namespace gradus::test
