#include "tensor/ops/softmax.hpp"

#include "tensor/axes.hpp"
#include "tensor/kernels/softmax.hpp"
#include "tensor/ops.hpp"

namespace gradus {

namespace {

using kernels::Softmax;

Tensor forward(const char* name, Softmax kind, const Tensor& x, int axis) {
  const Runs r = runs_along(name, x.shape(), axis);
  Tensor out = Tensor::uninitialized_like(x);
  if (x.size() == 0) return out;
  visit_elements([&](auto* to, const auto* v) { kernels::softmax(kind, v, r.outer, r.length, r.inner, to); },
                 out, x);
  return out;
}

Tensor backward(const char* name, Softmax kind, const Tensor& g, const Tensor& y, int axis) {
  if (!g.same_shape(y))
    fail<ShapeError>("{}: a gradient of shape {} for a result of shape {}", name, g.shape(), y.shape());
  const Runs r = runs_along(name, y.shape(), axis);
  Tensor dx = Tensor::uninitialized_like(y);
  if (y.size() == 0) return dx;
  const auto run = [&](auto* to, const auto* up, const auto* result) {
    kernels::softmax_backward(kind, up, result, r.outer, r.length, r.inner, to);
  };
  visit_elements(run, dx, g, y);
  return dx;
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

}  // namespace gradus
