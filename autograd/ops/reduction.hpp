#pragma once

#include "autograd/variable.hpp"
#include "tensor/ops/reduction.hpp"

/// Reductions, and broadcasting, the adjoint of summing. Each works over all axes, one, or several: `sum(x)`,
/// `sum(x, -1)`, `sum(x, {0, -1})`; `{}` is all. Reduced axes are dropped, or kept with length 1 when
/// keepdims. Throw ShapeError for an axis out of range or named twice. Values at NaN, infinities and over
/// nothing are documented in tensor/ops/reduction.hpp; they are PyTorch's.
namespace gradus {

Variable sum(const Variable& x, const Axes& axes = {}, bool keepdims = false, Where where = Where::here());
/// NaN over nothing.
Variable mean(const Variable& x, const Axes& axes = {}, bool keepdims = false, Where where = Where::here());
/// The gradient does not divide, so it and its derivatives are right for any number of zeros.
Variable prod(const Variable& x, const Axes& axes = {}, bool keepdims = false, Where where = Where::here());
/// The largest and the smallest. Where several are, the gradient is shared evenly (as by torch.amax). Throw
/// ShapeError over nothing.
Variable max(const Variable& x, const Axes& axes = {}, bool keepdims = false, Where where = Where::here());
Variable min(const Variable& x, const Axes& axes = {}, bool keepdims = false, Where where = Where::here());

/// sum((x - mean)^2) / max(0, n - correction), and its root, torch.std, whose gradient at 0 is 0.
Variable var(const Variable& x, const Axes& axes = {}, VarOptions options = {}, Where where = Where::here());
Variable stddev(const Variable& x, const Axes& axes = {}, VarOptions options = {},
                Where where = Where::here());
/// (sum |x|^p)^(1/p), of any order p. The gradient at a norm of 0 is 0; for p = 1 that of each |x| at 0 is 0;
/// for an infinite p those that are extreme share it evenly. Throws ShapeError for an infinite p over
/// nothing.
Variable norm(const Variable& x, const Axes& axes = {}, NormOptions options = {},
              Where where = Where::here());
/// log(sum(exp(x))), shifted so that nothing overflows. Over nothing but -infinity it is -infinity, with a
/// gradient of 0 (PyTorch's is NaN): a row that is masked entirely does not affect the others.
Variable logsumexp(const Variable& x, const Axes& axes = {}, bool keepdims = false,
                   Where where = Where::here());

/// 1 where any element is not 0, or where all are not; else 0. A constant: no gradient.
Variable any(const Variable& x, const Axes& axes = {}, bool keepdims = false, Where where = Where::here());
Variable all(const Variable& x, const Axes& axes = {}, bool keepdims = false, Where where = Where::here());
/// The first place of the largest or smallest along the axis; without one, in x taken as one row. NaN counts
/// as beyond all. Throw ShapeError over nothing.
Indices argmax(const Variable& x, int axis, bool keepdims = false, Where where = Where::here());
Indices argmax(const Variable& x, Where where = Where::here());
Indices argmin(const Variable& x, int axis, bool keepdims = false, Where where = Where::here());
Indices argmin(const Variable& x, Where where = Where::here());

/// x summed down to a shape that broadcasts to x's.
Variable sum_to(const Variable& x, const Shape& shape, Where where = Where::here());
/// x repeated up to a shape it broadcasts to.
Variable broadcast_to(const Variable& x, const Shape& shape, Where where = Where::here());

}  // namespace gradus
