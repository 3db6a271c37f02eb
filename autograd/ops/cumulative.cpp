#include "autograd/ops/cumulative.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/record.hpp"
#include "tensor/axes.hpp"
#include "tensor/ops.hpp"

namespace gradus {

namespace {

storage::PoolVector<Tensor> values_of(std::span<const Variable> xs) {
  storage::PoolVector<Tensor> out;
  out.reserve(xs.size());
  for (const Variable& x : xs) out.push_back(x.value());
  return out;
}
std::vector<Variable> copied(std::span<const Variable> xs) {
  return {xs.begin(), xs.end()};
}
std::vector<Variable> joined(List<Variable> a, std::span<const Variable> b) {
  std::vector<Variable> out = copied(a);
  out.insert(out.end(), b.begin(), b.end());
  return out;
}
std::vector<Variable> without(std::vector<Variable> xs, std::size_t i) {
  xs.erase(xs.begin() + static_cast<std::ptrdiff_t>(i));
  return xs;
}

/// The closures of cumprod's derivatives in differentiable ops, whose values are those that nobody records.
template <class Gradients>
struct InOps {
  void operator()(const Tensor& g, std::span<const bool>, std::span<Tensor> out) const {
    std::vector<Variable> all = static_cast<const Gradients&>(*this)(Variable(g));
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = std::move(all[i]).take();
  }
};

/// Of the derivative along directions: by x, and by each direction, in which it is linear.
struct DerivativeGradient : InOps<DerivativeGradient> {
  Variable x;
  std::vector<Variable> directions;
  int axis;

  DerivativeGradient(const Variable& of, std::vector<Variable> along, int at)
      : x(of), directions(std::move(along)), axis(at) {}
  using InOps::operator();
  std::vector<Variable> operator()(const Variable& g) const {
    std::vector<Variable> out{cumprod_gradient(g, x, directions, axis)};
    for (std::size_t i = 0; i < directions.size(); ++i)
      out.push_back(cumprod_gradient(g, x, without(directions, i), axis));
    return out;
  }
};

/// Of the gradient of that, <h, gradient> being g times the derivative along h and the directions.
struct GradientGradient : InOps<GradientGradient> {
  Variable g, x;
  std::vector<Variable> directions;
  int axis;

  GradientGradient(const Variable& of_result, const Variable& of, std::vector<Variable> along, int at)
      : g(of_result), x(of), directions(std::move(along)), axis(at) {}
  using InOps::operator();
  std::vector<Variable> operator()(const Variable& h) const {
    const std::vector<Variable> further = joined({h}, directions);
    std::vector<Variable> out{cumprod_derivative(x, further, axis), cumprod_gradient(g, x, further, axis)};
    for (std::size_t i = 1; i < further.size(); ++i)
      out.push_back(cumprod_gradient(g, x, without(further, i), axis));
    return out;
  }
};

}  // namespace

Variable cumsum(const Variable& x, int axis, CumsumOptions options, Where where) {
  const InOp op("cumsum", where);
  return record(op, cumsum(x.value(), axis, options), wrt(x, [axis, options](const Variable& g) {
                  return cumsum(g, axis, {.reverse = !options.reverse});
                }));
}

Variable cumprod(const Variable& x, int axis, Where where) {
  const InOp op("cumprod", where);
  return record(op, cumprod(x.value(), axis),
                wrt(x, [x, axis](const Variable& g) { return cumprod_gradient(g, x, {}, axis); }));
}

Variable cumprod_derivative(const Variable& x, List<Variable> directions, int axis, Where where) {
  const InOp op("cumprod_derivative", where);
  Tensor value = cumprod_derivative(x.value(), values_of(directions), axis);
  if (!recording()) return Variable(std::move(value));
  return record(op, std::move(value),
                jointly(joined({x}, directions), DerivativeGradient{x, copied(directions), axis}));
}

Variable cumprod_gradient(const Variable& g, const Variable& x, List<Variable> directions, int axis,
                          Where where) {
  const InOp op("cumprod_gradient", where);
  Tensor value = cumprod_gradient(g.value(), x.value(), values_of(directions), axis);
  if (!recording()) return Variable(std::move(value));
  return record(op, std::move(value),
                jointly(joined({g, x}, directions), GradientGradient{g, x, copied(directions), axis}));
}

Variable recurrence(const Variable& a, const Variable& b, int axis, Direction direction, Where where) {
  const InOp op("recurrence", where);
  Tensor value = recurrence(a.value(), b.value(), axis, direction);
  const bool forward = direction == Direction::forward;
  const Direction other = forward ? Direction::backward : Direction::forward;
  // With s the gradient of b: forward a[i] stands with y[i-1] s[i], backward with s[i-1] y[i].
  return record(op, std::move(value),
                wrt(a,
                    [a, axis, forward, other](const Variable& g, const Variable& y) {
                      const Variable s = recurrence(a, g, axis, other);
                      return forward ? shift(y, axis) * s : shift(s, axis) * y;
                    }),
                wrt(b, [a, axis, other](const Variable& g) { return recurrence(a, g, axis, other); }));
}

Variable shift(const Variable& x, int axis, double first, Where where) {
  const InOp op("shift", where);
  if (x.rank() == 0) return reshape(shift(reshape(x, {1}, where), axis, first, where), Shape{}, where);
  Tensor value = shift(x.value(), axis, first);
  const Shape shape = x.shape();
  const std::int64_t length = x.dim(axis);
  return record(op, std::move(value), wrt(x, [shape, axis, length](const Variable& g) {
                  if (length == 0) return g;
                  return place_slice(slice(g, axis, 1, length), shape, axis, 0);
                }));
}

Variable diff(const Variable& x, int axis, Where where) {
  const InOp op("diff", where);
  const Tensor v = x.value();
  const std::int64_t n = v.shape()[named_axis("diff", v.shape(), axis)],
                     rest = std::max<std::int64_t>(0, n - 1);
  return record(op, slice(v, axis, n - rest, n) - slice(v, axis, 0, rest),
                wrt(x, [shape = v.shape(), axis, begin = n - rest](const Variable& g) {
                  return place_slice(g, shape, axis, begin) - place_slice(g, shape, axis, 0);
                }));
}

}  // namespace gradus
