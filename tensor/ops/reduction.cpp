#include "tensor/ops/reduction.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "tensor/kernels/elementwise.hpp"
#include "tensor/kernels/reduction.hpp"
#include "tensor/kernels/strided.hpp"
#include "tensor/ops.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus {

namespace {

using kernels::Fold;

/// Folds the axes first..last-1, which are neighbours, to length 1.
Tensor fold_neighbours(Fold op, const Tensor& x, int first, int last) {
  Shape shape = x.shape();
  std::int64_t outer = 1, length = 1, inner = 1;
  for (int i = 0; i < shape.rank(); ++i) (i < first ? outer : i < last ? length : inner) *= shape[i];
  AxisSet folded;
  for (int i = first; i < last; ++i) folded.add(i);
  Tensor out = Tensor::uninitialized(folded.kept(shape), x.dtype());
  visit_dtype(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    kernels::fold_columns(op, x.data<T>(), outer, length, inner, out.mutable_data<T>());
  });
  return out;
}

/// Folds the axes to length 1. Neighbouring axes are folded together, the innermost first; axes of length 1
/// count as neighbours of either side.
Tensor fold_axes(Fold op, const Tensor& x, const AxisSet& axes) {
  const Shape shape = x.shape();
  Tensor out = x;
  const auto joins = [&](int axis) { return axes.contains(axis) || shape[axis] == 1; };
  for (int last = shape.rank(); last > 0;) {
    int first = last;
    bool needed = false;
    while (first > 0 && joins(first - 1)) needed |= shape[--first] != 1;
    if (needed) out = fold_neighbours(op, out, first, last);
    last = std::min(first, last - 1);
  }
  return out;
}

Tensor fold(const char* name, Fold op, const Tensor& x, const Axes& axes, bool keepdims) {
  const Shape shape = x.shape();
  const AxisSet reduced = axes.of(name, shape);
  const Shape result = reduced.result(shape, keepdims);
  if (x.size() == 0 && result.size() > 0) {
    if (op == Fold::max || op == Fold::min) {
      fail<ShapeError>("{}: nothing to choose from in shape {}; reduce axes that are not empty", name, shape);
    }
    return full(result, op == Fold::prod ? 1 : 0, x.dtype());
  }
  if (result.size() == 0) return Tensor::uninitialized(result, x.dtype());
  return fold_axes(op, x, reduced).reshape(result);
}

Indices find(const char* name, bool largest, const Tensor& x, int axis, bool keepdims) {
  const Shape shape = x.shape();
  AxisSet reduced = Axes(axis).of(name, shape);
  axis = shape.normalize_axis(axis);
  const Shape result = reduced.result(shape, keepdims);
  if (shape[axis] == 0 && result.size() > 0)
    fail<ShapeError>("{}: axis {} of shape {} is empty", name, axis, shape);
  std::vector<std::int32_t> places(static_cast<std::size_t>(result.size()));
  const Runs r = runs_at(shape, axis);
  visit_dtype(x.dtype(), [&](auto tag) {
    kernels::find_extreme(largest, x.data<decltype(tag)>(), r.outer, r.length, r.inner, places.data());
  });
  return Indices(std::move(places), result);
}

Indices find(const char* name, bool largest, const Tensor& x) {
  if (x.size() == 0) fail<ShapeError>("{}: a tensor of shape {} has no elements", name, x.shape());
  return find(name, largest, x.reshape(Shape{x.size()}), 0, false);
}

}  // namespace

Tensor sum(const Tensor& x, const Axes& axes, bool keepdims) {
  return fold("sum", Fold::sum, x, axes, keepdims);
}
Tensor mean(const Tensor& x, const Axes& axes, bool keepdims) {
  const std::int64_t count = axes.of("mean", x.shape()).count(x.shape());
  return fold("mean", Fold::sum, x, axes, keepdims) / static_cast<double>(count);
}
Tensor prod(const Tensor& x, const Axes& axes, bool keepdims) {
  return fold("prod", Fold::prod, x, axes, keepdims);
}
Tensor max(const Tensor& x, const Axes& axes, bool keepdims) {
  return fold("max", Fold::max, x, axes, keepdims);
}
Tensor min(const Tensor& x, const Axes& axes, bool keepdims) {
  return fold("min", Fold::min, x, axes, keepdims);
}

Tensor var(const Tensor& x, const Axes& axes, VarOptions options) {
  const std::int64_t count = axes.of("var", x.shape()).count(x.shape());
  const double left = std::max(0.0, static_cast<double>(count) - options.correction);
  return sum(square(x - mean(x, axes, true)), axes, options.keepdims) / left;
}
Tensor stddev(const Tensor& x, const Axes& axes, VarOptions options) {
  axes.of("stddev", x.shape());
  return sqrt(var(x, axes, options));
}

Tensor norm(const Tensor& x, const Axes& axes, NormOptions options) {
  const bool keepdims = options.keepdims;
  const double p = options.p;
  const Shape result = axes.of("norm", x.shape()).result(x.shape(), keepdims);
  if (p == 2) {
    if (result.size() != 1 || x.size() == 0) return sqrt(sum(square(x), axes, keepdims));
    return full(result, std::sqrt(sum_squares(x)), x.dtype());  // summed in double: no square overflows
  }
  if (p == 1) return sum(abs(x), axes, keepdims);
  if (p == 0) return sum(not_equal(x, 0), axes, keepdims);
  if (std::isinf(p)) return fold("norm", p > 0 ? Fold::max : Fold::min, abs(x), axes, keepdims);
  return pow(sum(pow(abs(x), p), axes, keepdims), 1 / p);
}

Tensor any(const Tensor& x, const Axes& axes, bool keepdims) {
  return less(0, fold("any", Fold::sum, not_equal(x, 0), axes, keepdims));
}
Tensor all(const Tensor& x, const Axes& axes, bool keepdims) {
  return equal(fold("all", Fold::sum, equal(x, 0), axes, keepdims), 0);
}

Indices argmax(const Tensor& x, int axis, bool keepdims) {
  return find("argmax", true, x, axis, keepdims);
}
Indices argmax(const Tensor& x) {
  return find("argmax", true, x);
}
Indices argmin(const Tensor& x, int axis, bool keepdims) {
  return find("argmin", false, x, axis, keepdims);
}
Indices argmin(const Tensor& x) {
  return find("argmin", false, x);
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  const Shape from = x.shape();
  if (from == shape) return x;
  if (broadcast_shapes("sum_to", from, shape) != from)
    fail<ShapeError>("sum_to: {} does not broadcast to {}", shape, from);
  AxisSet stretched;
  const int extra = from.rank() - shape.rank();
  for (int i = 0; i < from.rank(); ++i) {
    if (i < extra || shape[i - extra] != from[i]) stretched.add(i);
  }
  if (x.size() == 0) return zeros(shape, x.dtype());
  return fold_axes(Fold::sum, x, stretched).reshape(shape);
}

Tensor broadcast_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  if (broadcast_shapes("broadcast_to", x.shape(), shape) != shape) {
    fail<ShapeError>("broadcast_to: {} does not broadcast to {}", x.shape(), shape);
  }
  Tensor out = Tensor::uninitialized(shape, x.dtype());
  visit_dtype(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const T* const from = x.data<T>();
    T* const to = out.mutable_data<T>();
    if (x.size() == 1) return kernels::fill(*from, to, out.size());
    kernels::read_strided<T>(from, kernels::broadcast_view(x.shape(), shape), to);
  });
  return out;
}

}  // namespace gradus
