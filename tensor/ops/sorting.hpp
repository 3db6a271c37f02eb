#pragma once

#include "tensor/indices.hpp"
#include "tensor/tensor.hpp"

/// Sorting along an axis. It is stable: equal elements keep their order. As in PyTorch, NaN is greater than
/// everything else, and -0 equals 0.
namespace gradus {

struct SortOptions {
  int axis = -1;
  bool descending = false;
};
struct TopkOptions {
  int axis = -1;
  bool largest = true;
};
/// The sorted elements, and the position of each along the axis before: values = take_along(x, axis, ids).
template <class T>
struct Sorted {
  T values;
  Indices ids;
};

/// The elements sorted along the axis. A scalar is returned as it is.
Sorted<Tensor> sort(const Tensor& x, SortOptions options = {});
/// The ids of sort.
Indices argsort(const Tensor& x, SortOptions options = {});
/// The k largest elements along the axis in descending order, or the k smallest in ascending order. Among
/// equal elements those that come first are taken. Throws ShapeError unless 0 <= k <= the axis's length.
Sorted<Tensor> topk(const Tensor& x, std::int64_t k, TopkOptions options = {});
/// The ids of topk.
Indices argtopk(const Tensor& x, std::int64_t k, TopkOptions options = {});

}  // namespace gradus
