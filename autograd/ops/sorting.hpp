#pragma once

#include "autograd/variable.hpp"
#include "tensor/ops/sorting.hpp"

/// Sorting, as documented in tensor/ops/sorting.hpp, with gradients of every order: each element's goes back
/// to where it stood.
namespace gradus {

Sorted<Variable> sort(const Variable& x, SortOptions options = {}, Where where = Where::here());
Sorted<Variable> topk(const Variable& x, std::int64_t k, TopkOptions options = {},
                      Where where = Where::here());
inline Indices argsort(const Variable& x, SortOptions options = {}) {
  return argsort(x.value(), options);
}

}  // namespace gradus
