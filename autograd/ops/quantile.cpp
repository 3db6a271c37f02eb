#include "autograd/ops/quantile.hpp"

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/indexing.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/record.hpp"
#include "tensor/ops.hpp"

namespace gradus {

namespace {

/// The quantiles of each row of x (rows, n): (rows, qs).
Variable of_rows(const Op& op, const Variable& x, List<double> qs, QuantileOptions options) {
  detail::QuantilePlan plan = detail::plan_quantiles(x.value(), qs, options);
  const Shape shape = x.shape(), pairs{shape[0], static_cast<std::int64_t>(qs.size()), 2};
  return record(op, std::move(plan.values),
                wrt(x, [shape, pairs, ids = plan.ids, weights = plan.weights](const Variable& g) {
                  const Variable both = broadcast_to(reshape(g, pairs.with(2, 1)), pairs);
                  return scatter_add(Variable(zeros(shape, g.dtype())), 1, ids,
                                     reshape(both, ids.shape()) * weights);
                }));
}

Variable quantiles(const Op& op, const Variable& x, List<double> qs, const Axes& axes,
                   QuantileOptions options) {
  const detail::QuantileRows shapes(op.name, x.shape(), axes, options.keepdims);
  const Variable rows = reshape(permute(x, shapes.order, op.where), shapes.rows, op.where);
  const Variable values = transpose(of_rows(op, rows, qs, options), 0, 1, op.where);
  return reshape(values, shapes.result.inserted(0, static_cast<std::int64_t>(qs.size())), op.where);
}
Variable one_quantile(const Op& op, const Variable& x, double q, const Axes& axes, QuantileOptions options) {
  return select(quantiles(op, x, {q}, axes, options), 0, op.where);
}

}  // namespace

Variable quantile(const Variable& x, double q, const Axes& axes, QuantileOptions options, Where where) {
  const InOp op("quantile", where);
  return one_quantile(op, x, q, axes, options);
}
Variable quantile(const Variable& x, List<double> qs, const Axes& axes, QuantileOptions options,
                  Where where) {
  const InOp op("quantile", where);
  return quantiles(op, x, qs, axes, options);
}
Variable median(const Variable& x, const Axes& axes, MedianOptions options, Where where) {
  const InOp op("median", where);
  return one_quantile(op, x, 0.5, axes, {Interpolation::lower, options.keepdims, options.ignore_nan});
}

}  // namespace gradus
