#pragma once

#if __has_include(<xtensor/containers/xadapt.hpp>)
#include <xtensor/containers/xadapt.hpp>
#include <xtensor/containers/xarray.hpp>
#else
#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#endif

#include <vector>

#include "tensor/tensor.hpp"

/// xtensor at the user's edge: a Tensor from any expression, and an adaptor over a Tensor's elements.
namespace gradus {

namespace detail {
inline std::vector<std::size_t> dims_of(const Tensor& x) {
  std::vector<std::size_t> dims;
  for (int i = 0; i < x.rank(); ++i) dims.push_back(static_cast<std::size_t>(x.dim(i)));
  return dims;
}
}  // namespace detail

/// The elements as an xtensor array that can be read; it lives no longer than the tensor. Throws DtypeError
/// when T is not the dtype.
template <class T>
auto view(const Tensor& x) {
  return xt::adapt(x.data<T>(), static_cast<std::size_t>(x.size()), xt::no_ownership(), detail::dims_of(x));
}
template <class T>
auto view(Tensor&& x) = delete;

/// The elements to write to; shared storage is made separate first.
template <class T>
auto mutable_view(Tensor& x) {
  return xt::adapt(x.mutable_data<T>(), static_cast<std::size_t>(x.size()), xt::no_ownership(),
                   detail::dims_of(x));
}

/// The values of an expression, computed now. Its value type must be float or double.
template <class E>
Tensor from_xtensor(const xt::xexpression<E>& expression) {
  using T = std::remove_cv_t<typename E::value_type>;
  const xt::xarray<T> values = expression.derived_cast();
  std::vector<std::int64_t> dims;
  for (const std::size_t dim : values.shape()) dims.push_back(static_cast<std::int64_t>(dim));
  return Tensor::from(std::span<const T>(values.data(), values.size()), Shape(dims));
}

}  // namespace gradus
