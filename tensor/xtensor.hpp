#pragma once

#if __has_include(<xtensor/containers/xadapt.hpp>)
#include <xtensor/containers/xadapt.hpp>
#include <xtensor/containers/xarray.hpp>
#else
#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#endif

#include <memory>
#include <utility>
#include <vector>

#include "tensor/tensor.hpp"

/// For users of xtensor: a Tensor from an xtensor expression, and an xtensor adaptor over a Tensor.
namespace gradus {

namespace detail {
inline std::vector<std::size_t> dims_of(const Tensor& x) {
  std::vector<std::size_t> dims;
  for (int i = 0; i < x.rank(); ++i) dims.push_back(static_cast<std::size_t>(x.dim(i)));
  return dims;
}
}  // namespace detail

/// The elements as an xtensor array for reading; the tensor must outlive it. Throws DtypeError when the
/// tensor's elements are not of type T.
template <class T>
auto view(const Tensor& x) {
  return xt::adapt(x.data<T>(), static_cast<std::size_t>(x.size()), xt::no_ownership(), detail::dims_of(x));
}
template <class T>
auto view(Tensor&& x) = delete;

/// The same for writing. Storage that is shared with other tensors is copied first. While the adaptor lives
/// its elements are lent, as by Tensor::mutable_values: no other tensor comes to share them.
template <class T>
auto mutable_view(Tensor& x) {
  auto values = std::make_shared<MutableValues<T>>(x.mutable_values<T>());
  T* const first = values->data();
  return xt::adapt_smart_ptr(first, detail::dims_of(x), std::move(values));
}

/// A Tensor with the values of an expression, whose value type must be float or double.
template <class E>
Tensor from_xtensor(const xt::xexpression<E>& expression) {
  using T = std::remove_cv_t<typename E::value_type>;
  const xt::xarray<T> values = expression.derived_cast();
  std::vector<std::int64_t> dims;
  for (const std::size_t dim : values.shape()) dims.push_back(static_cast<std::int64_t>(dim));
  return Tensor::from(std::span<const T>(values.data(), values.size()), Shape(dims));
}

}  // namespace gradus
