#include "autograd/ops/reduction.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/cumulative.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/record.hpp"
#include "tensor/ops.hpp"

namespace gradus {

namespace {

/// The shapes that a reduction's gradient goes through: that of the result with the axes at length 1, and
/// x's.
struct Reduced {
  Shape full, kept;
  std::int64_t count;

  Reduced(const Op& op, const Variable& x, const Axes& axes) : full(x.shape()) {
    const AxisSet reduced = axes.of(op.name, full);
    kept = reduced.kept(full);
    count = reduced.count(full);
  }
};

/// The gradient of a sum that was divided by a number: the same for all elements that were added up. `rank`
/// is the result's.
auto spread(const Variable& x, const Reduced& shapes, double divisor, int rank) {
  return wrt(x, batching([shapes, divisor, rank](const Variable& g) {
               return broadcast_to(reshape(divisor == 1 ? g : g / divisor, batched(g, rank, shapes.kept)),
                                   batched(g, rank, shapes.full));
             }),
             [kept = shapes.kept, divisor](const Tensor& g) {
               return Stretched{(divisor == 1 ? g : g / divisor).reshape(kept)};
             });
}

/// A result that may be 0 as what is divided by: there 1.
Variable not_zero(const Variable& y) {
  return y + Variable(equal(y.value(), 0));
}

enum class Extreme { max, min };

/// How the gradient of an extreme y falls on x: evenly on the elements that equal it. x - y may be |x| - y.
Tensor shares(const Tensor& x, const Tensor& y, const Axes& axes) {
  return detail::shared_out(ones_like(y), x, y, axes);
}

Variable extreme(const Op& op, Extreme which, const Variable& x, const Axes& axes, bool keepdims) {
  const Tensor y = which == Extreme::max ? max(x.value(), axes, true) : min(x.value(), axes, true);
  const Tensor value = y.reshape(axes.of(op.name, x.shape()).result(x.shape(), keepdims));
  return record(op, value,
                wrt(
                    x,
                    [v = x.value(), y, axes](const Variable& g) {
                      return reshape(g, y.shape()) * Variable(shares(v, y, axes));
                    },
                    [v = x.value(), y, axes](const Tensor& g) {
                      return detail::shared_out(g.reshape(y.shape()), v, y, axes);
                    }));
}

/// The shares of the elements in logsumexp, as they are where y is finite; where it is infinity, those of the
/// infinite elements.
template <class Shares>
Shares infinite_shares(Shares finite, const Tensor& x, const Tensor& y, const Axes& axes) {
  const Tensor infinite = equal(y, std::numeric_limits<double>::infinity());
  if (any(infinite).item() == 0) return finite;
  return where(Shares(broadcast_to(infinite, x.shape())), Shares(shares(x, y, axes)), std::move(finite));
}

/// |x|^p, or sign(x) |x|^p: the derivative of each is p times the other with p - 1. Those at 0 are 0.
Variable power_of_abs(const Variable& x, double p, bool with_sign) {
  const Tensor& v = x.value();
  Tensor value = where(equal(v, 0), p == 0 && !with_sign ? 1 : 0, pow(abs(v), p));
  if (with_sign) value = std::move(value) * sign(v);
  return record("power_of_abs", std::move(value), wrt(x, [x, p, with_sign](const Variable& g) {
                  return g * power_of_abs(x, p - 1, !with_sign) * p;
                }));
}

/// The gradient of a norm y of finite order p, where y is not 0. No power of x / y overflows.
Variable norm_gradient(const Variable& g, const Variable& x, const Variable& y, double p) {
  if (p == 1) return g * Variable(sign(x.value()));
  if (p == 2) return x / y * g;
  return power_of_abs(x / y, p - 1, true) * g;
}

/// x without its mean along the axes, as the variance takes it.
Variable centered(const Variable& x, const Axes& axes) {
  Variable rough = x - mean(x, axes, true);
  if (!all_finite(rough.value())) return rough;
  return rough - mean(rough, axes, true);
}

/// Where a norm or a deviation leaves the dtype, its gradient, which does not change as x shrinks, is that of
/// this much less.
constexpr double much_less = 0x1p-40;

/// The product of each row of x (rows, n): the last of the running products.
Variable prod_rows(const Variable& x, Where where) {
  const InOp op("prod", where);
  return record(op, prod(x.value(), 1), wrt(x, [x](const Variable& g) {
                  const std::int64_t n = x.dim(1);
                  if (n == 0) return x;
                  const Variable at_last = place_slice(reshape(g, {g.size(), 1}), x.shape(), 1, n - 1);
                  return cumprod_gradient(at_last, x, {}, 1);
                }));
}

}  // namespace

Variable sum(const Variable& x, const Axes& axes, Keepdims keepdims, Where where) {
  const InOp op("sum", where);
  const Reduced shapes(op, x, axes);
  Tensor value = sum(x.value(), axes, keepdims);
  const int rank = value.rank();
  return record(op, std::move(value), spread(x, shapes, 1, rank));
}

Variable mean(const Variable& x, const Axes& axes, Keepdims keepdims, Where where) {
  const InOp op("mean", where);
  const Reduced shapes(op, x, axes);
  Tensor value = mean(x.value(), axes, keepdims);
  const int rank = value.rank();
  return record(op, std::move(value), spread(x, shapes, static_cast<double>(shapes.count), rank));
}

Variable max(const Variable& x, const Axes& axes, Keepdims keepdims, Where where) {
  const InOp op("max", where);
  return extreme(op, Extreme::max, x, axes, keepdims);
}
Variable min(const Variable& x, const Axes& axes, Keepdims keepdims, Where where) {
  const InOp op("min", where);
  return extreme(op, Extreme::min, x, axes, keepdims);
}

Variable prod(const Variable& x, const Axes& axes, Keepdims keepdims, Where where) {
  const InOp op("prod", where);
  const Shape shape = x.shape();
  const AxisSet reduced = axes.of("prod", shape);
  const Shape result = reduced.result(shape, keepdims);
  std::array<int, Shape::max_rank> order{};  // the reduced axes behind the others
  std::size_t placed = 0;
  bool sorted = true;
  for (const bool last : {false, true}) {
    for (int i = 0; i < shape.rank(); ++i) {
      if (reduced.contains(i) != last) continue;
      sorted &= static_cast<int>(placed) == i;
      order[placed++] = i;
    }
  }
  const Variable turned = sorted ? x : permute(x, std::span<const int>(order).first(placed), where);
  const Variable rows = reshape(turned, {result.size(), reduced.count(shape)}, where);
  return reshape(prod_rows(rows, where), result, where);
}

Variable var(const Variable& x, const Axes& axes, VarOptions options, Where where) {
  const InOp op("var", where);
  const Reduced shapes(op, x, axes);
  const double left = std::max(0.0, static_cast<double>(shapes.count) - options.correction);
  return record(op, var(x.value(), axes, options),
                wrt(x, [x, axes, left, kept = shapes.kept](const Variable& g) {
                  const Variable deviation = centered(x, axes), factor = reshape(g * (2 / left), kept);
                  if (all_finite(deviation.value()) || !all_finite(x.value())) return deviation * factor;
                  return centered(x / 4, axes) * factor * 4;  // too far apart for the dtype
                }));
}

Variable stddev(const Variable& x, const Axes& axes, VarOptions options, Where where) {
  const InOp op("stddev", where);
  const Reduced shapes(op, x, axes);
  const double left = std::max(0.0, static_cast<double>(shapes.count) - options.correction);
  return record(op, stddev(x.value(), axes, options),
                wrt(x, [x, axes, options, left, kept = shapes.kept](const Variable& g, const Variable& y) {
                  const Variable factor = reshape(g / left, kept);
                  const Variable deviation = centered(x, axes);
                  if ((all_finite(y.value()) && all_finite(deviation.value())) || !all_finite(x.value()))
                    return deviation / reshape(not_zero(y), kept) * factor;
                  const Variable smaller = x * much_less, of_smaller = stddev(smaller, axes, options);
                  return centered(smaller, axes) / reshape(not_zero(of_smaller), kept) * factor;
                }));
}

Variable norm(const Variable& x, const Axes& axes, NormOptions options, Where where) {
  const InOp op("norm", where);
  const Reduced shapes(op, x, axes);
  Tensor value = norm(x.value(), axes, options);
  const double p = options.p;
  const Shape kept = shapes.kept;
  if (std::isinf(p)) {
    return record(op, std::move(value),
                  wrt(x, [v = x.value(), axes, kept](const Variable& g, const Variable& y) {
                    const Tensor share = shares(abs(v), y.value().reshape(kept), axes);
                    return reshape(g, kept) * Variable(sign(v) * share);
                  }));
  }
  return record(op, std::move(value), wrt(x, [x, p, kept, axes](const Variable& g, const Variable& y) {
                  if (p == 0) return Variable(zeros_like(x.value()));
                  if (p == 1 || all_finite(y.value()) || !all_finite(x.value())) {
                    Variable d = norm_gradient(reshape(g, kept), x, reshape(not_zero(y), kept), p);
                    if (p > 0) return d;
                    // Of a negative order the norm is 0 where any element is, whatever the others are.
                    return gradus::where(Variable(equal(y.value().reshape(kept), 0)), 0, d);
                  }
                  const Variable smaller = x * much_less, of_smaller = norm(smaller, axes, {.p = p});
                  return norm_gradient(reshape(g, kept), smaller, reshape(not_zero(of_smaller), kept), p);
                }));
}

Variable logsumexp(const Variable& x, const Axes& axes, Keepdims keepdims, Where where) {
  const InOp op("logsumexp", where);
  const Reduced shapes(op, x, axes);
  const Tensor value = logsumexp(x.value(), axes, keepdims);
  // The softmax. Where all are -infinity its exponents are taken from a finite number instead, and it is 0;
  // where some are infinity, it is these elements' alone.
  const double lowest =
      x.dtype() == Dtype::f32 ? std::numeric_limits<float>::lowest() : std::numeric_limits<double>::lowest();
  return record(op, value,
                wrt(x, batching([x, lowest, axes, kept = shapes.kept](const Variable& g, const Variable& y) {
                      const Variable bound = reshape(y, kept), share = exp(x - maximum(bound, lowest));
                      return reshape(g, batched(g, y.rank(), kept)) *
                             infinite_shares(share, x.value(), bound.value(), axes);
                    }),
                    [v = x.value(), value, lowest, axes, kept = shapes.kept](const Tensor& g) {
                      const Tensor bound = value.reshape(kept);
                      Tensor share = exp(v - maximum(bound, lowest));
                      return infinite_shares(std::move(share), v, bound, axes) * g.reshape(kept);
                    }));
}

Variable any(const Variable& x, const Axes& axes, Keepdims keepdims, Where where) {
  const InOp op("any", where);
  return Variable(any(x.value(), axes, keepdims));
}
Variable all(const Variable& x, const Axes& axes, Keepdims keepdims, Where where) {
  const InOp op("all", where);
  return Variable(all(x.value(), axes, keepdims));
}
Indices argmax(const Variable& x, OptionalAxis axis, Keepdims keepdims, Where where) {
  const InOp op("argmax", where);
  return argmax(x.value(), axis, keepdims);
}
Indices argmin(const Variable& x, OptionalAxis axis, Keepdims keepdims, Where where) {
  const InOp op("argmin", where);
  return argmin(x.value(), axis, keepdims);
}

Variable sum_to(const Variable& x, const Shape& shape, Where where) {
  if (x.shape() == shape) return x;
  const InOp op("sum_to", where);
  return record(op, sum_to(x.value(), shape),
                wrt(x, batching([from = x.shape(), shape](const Variable& g) {
                      // The axes that were summed away stand behind those of a batch.
                      Shape kept = shape;
                      while (kept.rank() < from.rank()) kept = kept.inserted(0, 1);
                      const Variable wide = reshape(g, batched(g, shape.rank(), kept));
                      return broadcast_to(wide, batched(g, shape.rank(), from));
                    }),
                    [](const Tensor& g) { return Stretched{g}; }));
}

Variable broadcast_to(const Variable& x, const Shape& shape, Where where) {
  if (x.shape() == shape) return x;
  const InOp op("broadcast_to", where);
  return record(op, broadcast_to(x.value(), shape), wrt(x, batching([](const Variable& g) { return g; })));
}

}  // namespace gradus
