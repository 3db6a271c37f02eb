#pragma once

#include "autograd/variable.hpp"
#include "tensor/ops/reduction.hpp"

/// Reductions, and broadcasting, the adjoint of summing. What each gives and throws is documented at its
/// namesake for tensors, in tensor/ops/reduction.hpp; here stands what there is to say of its gradient.
namespace gradus {

Variable sum(const Variable& x, const Axes& axes = {}, Keepdims keepdims = false,
             Where where = Where::here());
Variable mean(const Variable& x, const Axes& axes = {}, Keepdims keepdims = false,
              Where where = Where::here());
/// The gradient does not divide, so it and its derivatives are right for any number of zeros.
Variable prod(const Variable& x, const Axes& axes = {}, Keepdims keepdims = false,
              Where where = Where::here());
/// Where several are the largest or the smallest, the gradient is shared evenly (as by torch.amax).
Variable max(const Variable& x, const Axes& axes = {}, Keepdims keepdims = false,
             Where where = Where::here());
Variable min(const Variable& x, const Axes& axes = {}, Keepdims keepdims = false,
             Where where = Where::here());

Variable var(const Variable& x, const Axes& axes = {}, VarOptions options = {}, Where where = Where::here());
/// The gradient at 0 is 0.
Variable stddev(const Variable& x, const Axes& axes = {}, VarOptions options = {},
                Where where = Where::here());
/// The gradient at a norm of 0 is 0; for p = 1 that of each |x| at 0 is 0; for an infinite p those that are
/// extreme share it evenly.
Variable norm(const Variable& x, const Axes& axes = {}, NormOptions options = {},
              Where where = Where::here());
/// Over nothing but -infinity the gradient is 0 (PyTorch's is NaN): a row that is masked entirely does not
/// affect the others. Elements that are infinity share the whole of it.
Variable logsumexp(const Variable& x, const Axes& axes = {}, Keepdims keepdims = false,
                   Where where = Where::here());

/// Constants: no gradient.
Variable any(const Variable& x, const Axes& axes = {}, Keepdims keepdims = false,
             Where where = Where::here());
Variable all(const Variable& x, const Axes& axes = {}, Keepdims keepdims = false,
             Where where = Where::here());
Indices argmax(const Variable& x, OptionalAxis axis = {}, Keepdims keepdims = false,
               Where where = Where::here());
Indices argmin(const Variable& x, OptionalAxis axis = {}, Keepdims keepdims = false,
               Where where = Where::here());

Variable sum_to(const Variable& x, const Shape& shape, Where where = Where::here());
Variable broadcast_to(const Variable& x, const Shape& shape, Where where = Where::here());

}  // namespace gradus
