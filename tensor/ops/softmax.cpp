#include "tensor/ops/softmax.hpp"

#include <limits>

#include "tensor/kernels/softmax.hpp"
#include "tensor/named_axis.hpp"
#include "tensor/ops.hpp"

namespace gradus {

namespace {

using kernels::Softmax;

Tensor forward(const char* name, Softmax kind, const Tensor& x, int axis) {
  const Runs r = runs_along(name, x.shape(), axis);
  Tensor out = Tensor::uninitialized_like(x);
  if (x.size() == 0) return out;
  visit_dtype(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    kernels::softmax(kind, x.data<T>(), r.outer, r.length, r.inner, out.mutable_data<T>());
  });
  return out;
}

Tensor backward(const char* name, Softmax kind, const Tensor& g, const Tensor& y, int axis) {
  if (!g.same_shape(y))
    fail<ShapeError>("{}: a gradient of shape {} for a result of shape {}", name, g.shape(), y.shape());
  const Runs r = runs_along(name, y.shape(), axis);
  Tensor dx = Tensor::uninitialized_like(y);
  if (y.size() == 0) return dx;
  visit_dtype(y.dtype(), [&](auto tag) {
    using T = decltype(tag);
    kernels::softmax_backward(kind, g.data<T>(), y.data<T>(), r.outer, r.length, r.inner,
                              dx.mutable_data<T>());
  });
  return dx;
}

/// logsumexp over the axes first..last-1, which stay with length 1.
Tensor logsumexp_neighbours(const Tensor& x, int first, int last) {
  const Shape shape = x.shape();
  std::int64_t outer = 1, length = 1, inner = 1;
  AxisSet folded;
  for (int i = 0; i < shape.rank(); ++i) {
    (i < first ? outer : i < last ? length : inner) *= shape[i];
    if (i >= first && i < last) folded.add(i);
  }
  Tensor out = Tensor::uninitialized(folded.kept(shape), x.dtype());
  visit_dtype(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    kernels::log_sum_exp(x.data<T>(), outer, length, inner, out.mutable_data<T>());
  });
  return out;
}

}  // namespace

Tensor softmax(const Tensor& x, int axis) {
  return forward("softmax", Softmax::probability, x, axis);
}
Tensor log_softmax(const Tensor& x, int axis) {
  return forward("log_softmax", Softmax::log_probability, x, axis);
}
Tensor softmax_backward(const Tensor& g, const Tensor& y, int axis) {
  return backward("softmax_backward", Softmax::probability, g, y, axis);
}
Tensor log_softmax_backward(const Tensor& g, const Tensor& y, int axis) {
  return backward("log_softmax_backward", Softmax::log_probability, g, y, axis);
}

Tensor logsumexp(const Tensor& x, const Axes& axes, bool keepdims) {
  const Shape shape = x.shape();
  const AxisSet reduced = axes.of("logsumexp", shape);
  const Shape result = reduced.result(shape, keepdims);
  if (x.size() == 0) return full(result, -std::numeric_limits<double>::infinity(), x.dtype());
  Tensor out = x;
  for (int last = shape.rank(); last > 0;) {  // neighbouring axes together, one group after the other
    int first = last;
    while (first > 0 && reduced.contains(first - 1)) --first;
    if (first < last) out = logsumexp_neighbours(out, first, last);
    last = std::min(first, last - 1);
  }
  return out.reshape(result);
}

}  // namespace gradus
