#pragma once

#include "tensor/indices.hpp"
#include "tensor/tensor.hpp"

/// Sorting along an axis: stable, so equal elements keep their order; NaN counts as greater than everything
/// and -0 as equal to 0, as in PyTorch.
namespace gradus {

struct SortOptions {
  int axis = -1;
  bool descending = false;
};
struct TopkOptions {
  int axis = -1;
  bool largest = true;
};
/// Sorted elements and where each stood along the axis: values = take_along(x, axis, ids).
template <class T>
struct Sorted {
  T values;
  Indices ids;
};

/// Ascending along the axis, or descending. A scalar is sorted already.
Sorted<Tensor> sort(const Tensor& x, SortOptions options = {});
/// The ids of sort alone.
Indices argsort(const Tensor& x, SortOptions options = {});
/// The k largest (smallest) along the axis, in descending (ascending) order; of equal ones the first. Throws
/// ShapeError unless k is in 0..the axis's length.
Sorted<Tensor> topk(const Tensor& x, std::int64_t k, TopkOptions options = {});
Indices argtopk(const Tensor& x, std::int64_t k, TopkOptions options = {});

}  // namespace gradus
