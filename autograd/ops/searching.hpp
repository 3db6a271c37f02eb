#pragma once

#include "autograd/variable.hpp"
#include "tensor/ops/searching.hpp"

/// Finding, counting and looking up, as documented in tensor/ops/searching.hpp. What gives ids has no
/// gradient.
namespace gradus {

/// With the gradients of the weights.
Variable bincount(const Indices& ids, const Variable& weights, BincountOptions options = {},
                  Where where = Where::here());
/// With the gradients of x and of fp: those of the segment that x lies in, at a point of the table of the
/// one behind it; for x that is outside 0, and that of fp is its end's, unless `left` or `right` stands for
/// it.
Variable interp(const Variable& x, const Tensor& xp, const Variable& fp, InterpOptions options = {},
                Where where = Where::here());
inline Variable interp(const Variable& x, const Tensor& xp, const Tensor& fp, InterpOptions options = {},
                       Where where = Where::here()) {
  return interp(x, xp, Variable(fp), options, where);
}
inline Variable interp(const Tensor& x, const Tensor& xp, const Variable& fp, InterpOptions options = {},
                       Where where = Where::here()) {
  return interp(Variable(x), xp, fp, options, where);
}

inline Indices searchsorted(const Tensor& sorted, const Variable& values, SearchOptions options = {}) {
  return searchsorted(sorted, values.value(), options);
}
inline Unique<Tensor> unique(const Variable& x) {
  return unique(x.value());
}
inline Unique<Tensor> unique(const Variable& x, int axis) {
  return unique(x.value(), axis);
}
inline Indices nonzero(const Variable& x) {
  return nonzero(x.value());
}

}  // namespace gradus
