#pragma once

#include <span>

#include "tensor/tensor.hpp"

/// The linear recurrence over the steps of a sequence, as state-space models and minimal recurrent layers
/// have it. (`recurrence`, in cumulative.hpp, is that along any axis, accumulated in double.)
namespace gradus {

/// h[t] = a[t] * h[t-1] + b[t] along the first axis, h[-1] being `start`; without one it is 0.
///
///   a, b (time, ...), start (...)   to   (time, ...)
///
/// Threads share the columns; where these are few and the sequence is long they share the time too: each
/// part of it is summed up as what it makes of the h before it, these are chained, and then all parts run at
/// once (Blelloch 1990). How it is cut depends on the shape alone.
///
/// Throws ShapeError for a scalar and for shapes that do not fit, DtypeError for operands of several dtypes.
Tensor linear_scan(const Tensor& a, const Tensor& b, const Tensor& start = {});

namespace detail {
/// The gradients of a, b and start, those that are wanted, for g that of h, the result.
void linear_scan_gradients(const Tensor& a, const Tensor& start, const Tensor& h, const Tensor& g,
                           std::span<const bool> wanted, std::span<Tensor> out);
}  // namespace detail

}  // namespace gradus
