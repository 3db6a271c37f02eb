#pragma once

#include "autograd/variable.hpp"
#include "tensor/ops/sorting.hpp"

/// Sorting along an axis, with gradients of every order: each element's goes back to where it stood. The
/// order is that of tensor/ops/sorting.hpp.
namespace gradus {

Sorted<Variable> sort(const Variable& x, SortOptions options = {}, Where where = Where::here());
/// The k largest (smallest) along the axis, in descending (ascending) order.
Sorted<Variable> topk(const Variable& x, std::int64_t k, TopkOptions options = {},
                      Where where = Where::here());
/// The ids of sort alone.
inline Indices argsort(const Variable& x, SortOptions options = {}) {
  return argsort(x.value(), options);
}

}  // namespace gradus
