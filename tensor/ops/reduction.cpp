#include <algorithm>
#include <array>

#include "tensor/kernels/strided.hpp"
#include "tensor/ops.hpp"

namespace gradus {

namespace {

Tensor sum_axis(const Tensor& x, int axis) {
  const Runs s = runs_at(x.shape(), axis);
  Tensor out = Tensor::uninitialized(x.shape().with(axis, 1), x.dtype());
  visit_dtype(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const T* const from = x.data<T>();
    T* const to = out.mutable_data<T>();
    if (s.inner == 1) return kernels::sum_over_cols(from, s.outer, s.length, to);
    for (std::int64_t i = 0; i < s.outer; ++i) {
      kernels::sum_over_rows(from + i * s.length * s.inner, s.length, s.inner, to + i * s.inner);
    }
  });
  return out;
}

}  // namespace

Tensor sum(const Tensor& x) {
  return visit_dtype(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    return Tensor::scalar(kernels::sum(x.data<T>(), x.size()), dtype_of<T>());
  });
}

Tensor sum(const Tensor& x, std::span<const int> axes, bool keepdims) {
  std::array<bool, Shape::max_rank> reduced{};
  const Shape shape = x.shape();
  for (const int axis : axes) {
    bool& marked = reduced[static_cast<std::size_t>(shape.normalize_axis(axis))];
    if (marked) fail<ShapeError>("sum: axis {} of shape {} is named twice", axis, shape);
    marked = true;
  }
  Tensor out = x;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (reduced[static_cast<std::size_t>(axis)]) out = sum_axis(out, axis);
  }
  if (keepdims) return out;
  Shape left = out.shape();
  for (int axis = shape.rank(); axis-- > 0;) {
    if (reduced[static_cast<std::size_t>(axis)]) left = left.erased(axis);
  }
  return out.reshape(left);
}

Tensor sum(const Tensor& x, int axis, bool keepdims) {
  return sum(x, std::span<const int>(&axis, 1), keepdims);
}

Tensor mean(const Tensor& x) {
  return sum(x) / static_cast<double>(x.size());
}

Tensor max(const Tensor& x, int axis, bool keepdims) {
  axis = x.shape().normalize_axis(axis);
  if (x.dim(axis) == 0) fail<ShapeError>("max: axis {} of shape {} is empty", axis, x.shape());
  const Runs s = runs_at(x.shape(), axis);
  const Shape kept = x.shape().with(axis, 1);
  Tensor out = Tensor::uninitialized(kept, x.dtype());
  visit_dtype(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const T* const from = x.data<T>();
    T* const to = out.mutable_data<T>();
    if (s.inner == 1) return kernels::max_over_cols(from, s.outer, s.length, to);
    for (std::int64_t i = 0; i < s.outer; ++i) {
      const T* const rows = from + i * s.length * s.inner;
      T* const best = to + i * s.inner;
      std::copy_n(rows, s.inner, best);
      for (std::int64_t r = 1; r < s.length; ++r) {
        kernels::binary<T>(kernels::Binary::maximum, best, false, rows + r * s.inner, false, best, s.inner);
      }
    }
  });
  return keepdims ? out : out.reshape(kept.erased(axis));
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  const Shape from = x.shape();
  if (from == shape) return x;
  if (broadcast_shapes("sum_to", from, shape) != from)
    fail<ShapeError>("sum_to: {} does not broadcast to {}", shape, from);
  Tensor out = x;
  // First the axes that shape lacks, all at once: they are the slowest.
  const int extra = from.rank() - shape.rank();
  if (extra > 0) {
    std::int64_t outer = 1;
    for (int i = 0; i < extra; ++i) outer *= from[i];
    Shape rest = from;
    for (int i = 0; i < extra; ++i) rest = rest.erased(0);
    out = sum_axis(x.reshape({outer, rest.size()}), 0).reshape(rest);
  }
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (shape[axis] == 1 && out.dim(axis) != 1) out = sum_axis(out, axis);
  }
  return out;
}

Tensor broadcast_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  if (broadcast_shapes("broadcast_to", x.shape(), shape) != shape) {
    fail<ShapeError>("broadcast_to: {} does not broadcast to {}", x.shape(), shape);
  }
  Tensor out = Tensor::uninitialized(shape, x.dtype());
  visit_dtype(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    kernels::read_strided<T>(x.data<T>(), kernels::broadcast_view(x.shape(), shape), out.mutable_data<T>());
  });
  return out;
}

Tensor log_softmax(const Tensor& x) {
  if (x.rank() == 0) fail<ShapeError>("log_softmax: a scalar has no last axis");
  Tensor out = Tensor::uninitialized(x.shape(), x.dtype());
  if (x.size() == 0) return out;
  visit_dtype(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    kernels::log_softmax(x.data<T>(), x.size() / x.dim(-1), x.dim(-1), out.mutable_data<T>());
  });
  return out;
}

}  // namespace gradus
