#pragma once

#if __has_include(<xtensor/containers/xadapt.hpp>)
#include <xtensor/containers/xadapt.hpp>
#include <xtensor/containers/xarray.hpp>
#else
#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#endif

#include <concepts>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "tensor/indices.hpp"
#include "tensor/tensor.hpp"

/// For users of xtensor: tensors and ids made from xtensor expressions, and seen as xtensor arrays without a
/// copy. Both are row-major, so that layouts agree. An array that is seen holds the elements and cannot
/// outlive them.
namespace gradus {

namespace detail {
inline std::vector<std::size_t> dims_of(const Shape& shape) {
  std::vector<std::size_t> dims;
  for (int i = 0; i < shape.rank(); ++i) dims.push_back(static_cast<std::size_t>(shape[i]));
  return dims;
}
template <class E>
Shape shape_of(const xt::xexpression<E>& expression) {
  std::vector<std::int64_t> dims;
  for (const auto dim : expression.derived_cast().shape()) dims.push_back(static_cast<std::int64_t>(dim));
  return Shape(dims);
}
/// An array over elements that `holder` keeps. Of a pointer with a name the array would keep a reference.
template <class T, class Holder>
auto adapt(T* first, const Shape& shape, Holder holder) {
  return xt::adapt_smart_ptr(std::move(first), dims_of(shape), std::move(holder));
}
template <class X>
concept HoldsTensor = requires(const X& x) {
  { x.value() } -> std::same_as<const Tensor&>;
};
}  // namespace detail

/// The elements as an xtensor array for reading, shared as by a copy of the tensor: what is written to the
/// tensor later does not show in it. Throws DtypeError when the tensor's elements are not of type T.
template <class T = float>
auto as_xtensor(const Tensor& x) {
  auto held = std::make_shared<const Tensor>(x);  // of lent elements a copy, which is what is shown
  const T* const first = held->template data<T>();
  return detail::adapt(first, x.shape(), std::move(held));
}
/// Those of a Variable's or a Parameter's value.
template <class T = float, detail::HoldsTensor X>
auto as_xtensor(const X& x) {
  return as_xtensor<T>(x.value());
}
inline auto as_xtensor(const Indices& ids) {
  return detail::adapt(ids.data(), ids.shape(), std::make_shared<const Indices>(ids));
}

/// The elements for writing: `as_mutable_xtensor(x) = expression` computes into the tensor. Storage that is
/// shared with other tensors is copied first. While the array lives its elements are lent, as by
/// Tensor::mutable_values: no other tensor comes to share them.
template <class T = float>
auto as_mutable_xtensor(Tensor& x) {
  auto values = std::make_shared<MutableValues<T>>(x.mutable_values<T>());
  T* const first = values->data();
  return detail::adapt(first, x.shape(), std::move(values));
}

/// The values of an expression, computed straight into a Tensor of its value type, float or double. A lazy
/// expression is evaluated once and leaves no array behind.
template <class E>
requires std::floating_point<typename E::value_type> Tensor
from_xtensor(const xt::xexpression<E>& expression) {
  using T = std::remove_cv_t<typename E::value_type>;
  Tensor out = Tensor::uninitialized(detail::shape_of(expression), dtype_of<T>());
  if (out.size() > 0) {
    auto to = xt::adapt(out.mutable_data<T>(), static_cast<std::size_t>(out.size()), xt::no_ownership(),
                        detail::dims_of(out.shape()));
    to.assign(expression);  // without a temporary: nothing else reads its elements
  }
  return out;
}

namespace detail {
/// Keeps an array whose elements a tensor has taken over.
template <class Array>
struct ArrayKeeper final : storage::Keeper {
  Array array;
  explicit ArrayKeeper(Array&& from) : array(std::move(from)) {}
};
/// The elements of an array that is given up: taken over where it is row-major, or else copied.
template <class Array>
Tensor taken_over(Array& array) {
  if (array.layout() != xt::layout_type::row_major) return from_xtensor(std::as_const(array));
  const Shape shape = shape_of(array);
  auto keeper = std::make_unique<ArrayKeeper<Array>>(std::move(array));
  auto* const first = keeper->array.data();
  return Tensor::over(first, shape, std::move(keeper));
}
}  // namespace detail

/// An array of one's own that is given up, from_xtensor(std::move(array)) or
/// from_xtensor(xt::xarray<float>(..)), hands its elements over without a copy, where it is row-major: the
/// tensor keeps the array, which is destroyed with the last tensor that shares them. (Of a column-major one
/// the elements are copied, as they are of a view or an adaptor, whose memory may be another's.)
template <class Elements, xt::layout_type layout, class Lengths, class Tag>
requires std::floating_point<typename Elements::value_type> Tensor
from_xtensor(xt::xarray_container<Elements, layout, Lengths, Tag>&& array) {
  return detail::taken_over(array);
}
template <class Elements, std::size_t rank, xt::layout_type layout, class Tag>
requires std::floating_point<typename Elements::value_type> Tensor
from_xtensor(xt::xtensor_container<Elements, rank, layout, Tag>&& array) {
  return detail::taken_over(array);
}

/// Those of an expression of whole numbers, as Indices: labels, tokens, xt::argmax(...). Throws ShapeError,
/// naming it, for one that is beyond 32 bits.
template <class E>
requires std::integral<typename E::value_type> Indices from_xtensor(const xt::xexpression<E>& expression) {
  using T = std::remove_cv_t<typename E::value_type>;
  static_assert(
      !std::same_as<T, bool>,
      "true and false become numbers first: from_xtensor(xt::cast<float>(mask)), or xt::cast<int> for "
      "ids");
  const xt::xarray<T, xt::layout_type::row_major> values = expression.derived_cast();
  std::vector<std::int32_t> ids;
  ids.reserve(values.size());
  for (const T value : values.storage()) {
    if (!std::in_range<std::int32_t>(value))
      fail<ShapeError>("from_xtensor: an id of {}; ids have 32 bits", value);
    ids.push_back(static_cast<std::int32_t>(value));
  }
  return Indices(std::move(ids), detail::shape_of(expression));
}

}  // namespace gradus
