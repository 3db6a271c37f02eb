#include "autograd/ops/norm.hpp"

#include <cmath>
#include <utility>
#include <vector>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/record.hpp"
#include "tensor/ops.hpp"
#include "tensor/ops/norm.hpp"

namespace gradus {

namespace {

using detail::NormLengths;
using detail::NormOver;
using detail::NormStatistics;

// The shapes of the plain form: x with the axes that are summed over apart, and what broadcasts to it.
Shape view_of(const NormLengths& l) {
  if (l.over == NormOver::rows) return {l.batch, l.channels};
  if (l.over == NormOver::channels) return {l.batch, l.channels, l.inner};
  return {l.batch, l.groups, l.channels / l.groups, l.inner};
}
Axes summed_axes(const NormLengths& l) {
  if (l.over == NormOver::rows) return 1;
  if (l.over == NormOver::channels) return {0, 2};
  return {2, 3};
}
Shape weight_view(const NormLengths& l) {
  if (l.over == NormOver::rows) return {l.channels};
  if (l.over == NormOver::channels) return {l.channels, 1};
  return {l.groups, l.channels / l.groups, 1};
}

/// x without its mean.
Variable deviation_of(const NormLengths& l, const NormStatistics& statistics, const Variable& view) {
  if (l.fixed) return view - statistics.mean.reshape(weight_view(l));
  return l.centred ? view - mean(view, summed_axes(l), true) : view;
}

/// 1 / sqrt(variance + eps), for variances in range.
Variable inverse_of(const NormLengths& l, const NormStatistics& statistics, const Variable& view) {
  if (l.fixed) return Variable(statistics.inverse.reshape(weight_view(l)));
  const Axes axes = summed_axes(l);
  return rsqrt(
      (l.centred ? var(view, axes, {.correction = 0, .keepdims = true}) : mean(view * view, axes, true)) +
      l.eps);
}

/// sqrt(variance + eps) without squares, and their slopes, that leave the dtype.
Variable spread_of(const NormLengths& l, const Variable& view) {
  const Axes axes = summed_axes(l);
  const double elements = static_cast<double>(l.set_size());
  const Variable root = l.centred ? stddev(view, axes, {.correction = 0, .keepdims = true})
                                  : norm(view * (1 / std::sqrt(elements)), axes, {.keepdims = true});
  return hypot(root, std::sqrt(l.eps));
}

Variable plain(const NormLengths& l, const NormStatistics& statistics, const Variable& x,
               const Variable& weight, const Variable& bias) {
  const Variable view = reshape(x, view_of(l)), deviation = deviation_of(l, statistics, view);
  Variable y =
      statistics.in_range ? deviation * inverse_of(l, statistics, view) : deviation / spread_of(l, view);
  if (weight.value().defined()) y = y * reshape(weight, weight_view(l));
  if (bias.value().defined()) y = y + reshape(bias, weight_view(l));
  return reshape(y, x.shape());
}

struct NormGradient {
  NormLengths lengths;
  NormStatistics statistics;
  Variable x, weight, bias;

  void operator()(const Tensor& g, std::span<const bool> wanted, std::span<Tensor> out) const {
    detail::NormGradients all = norm_gradients(lengths, statistics, g, x.value(), weight.value());
    if (wanted[0]) out[0] = std::move(all.x);
    if (wanted[1]) out[1] = all.weight.reshape(weight.shape());
    if (wanted[2]) out[2] = all.bias.reshape(bias.shape());
  }
  std::vector<Variable> operator()(const Variable& g) const {
    const Axes axes = summed_axes(lengths);
    const Shape of_weight = weight_view(lengths);
    const Variable up = reshape(g, view_of(lengths));
    const Variable view = reshape(x, view_of(lengths)), inverse = inverse_of(lengths, statistics, view);
    const Variable normal = deviation_of(lengths, statistics, view) * inverse;
    const Variable h = weight.value().defined() ? up * reshape(weight, of_weight) : up;
    Variable dx = h;
    if (!lengths.fixed) dx = dx - normal * mean(h * normal, axes, true);
    if (!lengths.fixed && lengths.centred) dx = dx - mean(h, axes, true);
    std::vector<Variable> out{reshape(dx * inverse, x.shape()), {}, {}};
    if (weight.value().defined()) out[1] = reshape(sum_to(up * normal, of_weight), weight.shape());
    if (bias.value().defined()) out[2] = reshape(sum_to(up, of_weight), bias.shape());
    return out;
  }
};

/// Checks what the lengths have not; weight and bias are of the shape `affine`, if any.
void check(const InOp& op, const Variable& x, const Variable& weight, const Variable& bias,
           const Shape& affine, double eps) {
  if (!(eps > 0)) fail<ArgumentError>("{}: eps is {}; it must be above 0", op.name, eps);
  for (const auto& [name, given] : {std::pair{"weight", &weight}, {"bias", &bias}}) {
    if (!given->value().defined()) continue;
    if (given->shape() != affine)
      fail<ShapeError>("{}: x of shape {}, {} of shape {}; it must be {}", op.name, x.shape(), name,
                       given->shape(), affine);
    if (given->dtype() != x.dtype())
      fail<DtypeError>("{}: x is {}, the {} {}; convert with to()", op.name, name_of(x.dtype()), name,
                       name_of(given->dtype()));
  }
}

/// By the given statistics, or those of x, which are then set.
Variable normalize(const InOp& op, const NormLengths& l, NormStatistics& statistics, const Variable& x,
                   const Variable& weight, const Variable& bias) {
  if (x.size() == 0) return plain(l, statistics, x, weight, bias);
  if (!l.fixed) statistics = norm_statistics(l, x.value());
  if (!statistics.in_range) return plain(l, statistics, x, weight, bias);
  Tensor value = normalized(l, statistics, x.value(), weight.value(), bias.value());
  if (!recording()) return Variable(std::move(value));
  return record(op, std::move(value),
                jointly({x, weight, bias}, NormGradient{l, statistics, x, weight, bias}));
}
Variable normalize(const InOp& op, const NormLengths& l, const Variable& x, const Variable& weight,
                   const Variable& bias) {
  NormStatistics statistics;
  return normalize(op, l, statistics, x, weight, bias);
}

/// x (batch, channels, ...) in three parts.
NormLengths lengths_of_channels(const InOp& op, NormOver over, const Variable& x, double eps) {
  if (x.rank() < 2)
    fail<ShapeError>("{}: x of shape {}; it must be (batch, channels, ...)", op.name, x.shape());
  std::int64_t inner = 1;
  for (int axis = 2; axis < x.rank(); ++axis) inner *= x.dim(axis);
  return {.over = over, .batch = x.dim(0), .channels = x.dim(1), .inner = inner, .eps = eps};
}

/// The lengths of rows of the last axes, which are to be of the lengths `over`.
NormLengths lengths_of_rows(const InOp& op, const Variable& x, const Shape& over, double eps) {
  const int outer = x.rank() - over.rank();
  bool fits = over.rank() > 0 && outer >= 0;
  for (int axis = 0; fits && axis < over.rank(); ++axis) fits = x.dim(outer + axis) == over[axis];
  if (over.rank() == 0)
    fail<ShapeError>("{}: no axes to take together; give the lengths of the last axes of x, {}", op.name,
                     x.shape());
  if (!fits) fail<ShapeError>("{}: x of shape {}; its last axes must be {}", op.name, x.shape(), over);
  const std::int64_t width = over.size();
  std::int64_t rows = 1;
  for (int axis = 0; axis < outer; ++axis) rows *= x.dim(axis);
  return {.over = NormOver::rows, .batch = rows, .channels = width, .eps = eps};
}

/// Of x (batch, channels), where a channel's elements do not lie side by side, f of (1, channels, batch).
template <class F>
Variable by_columns(const Variable& x, Where where, const F& f) {
  const Variable turned = reshape(transpose(x, 0, 1, where), {1, x.dim(1), x.dim(0)}, where);
  return transpose(reshape(f(turned), {x.dim(1), x.dim(0)}, where), 0, 1, where);
}

}  // namespace

Variable layer_norm(const Variable& x, const Shape& over, const Variable& weight, const Variable& bias,
                    double eps, Where where) {
  const InOp op("layer_norm", where);
  const NormLengths lengths = lengths_of_rows(op, x, over, eps);
  check(op, x, weight, bias, over, eps);
  return normalize(op, lengths, x, weight, bias);
}

Variable rms_norm(const Variable& x, const Shape& over, const Variable& weight, double eps, Where where) {
  const InOp op("rms_norm", where);
  NormLengths lengths = lengths_of_rows(op, x, over, eps);
  lengths.centred = false;
  check(op, x, weight, {}, over, eps);
  return normalize(op, lengths, x, weight, {});
}

Variable group_norm(const Variable& x, std::int64_t groups, const Variable& weight, const Variable& bias,
                    double eps, Where where) {
  const InOp op("group_norm", where);
  NormLengths lengths = lengths_of_channels(op, NormOver::groups, x, eps);
  if (groups < 1 || lengths.channels % groups != 0)
    fail<ShapeError>("group_norm: x of shape {} has {} channels, which {} groups do not divide", x.shape(),
                     lengths.channels, groups);
  lengths.groups = groups;
  check(op, x, weight, bias, {lengths.channels}, eps);
  return normalize(op, lengths, x, weight, bias);
}

BatchNormResult batch_norm(const Variable& x, const Variable& weight, const Variable& bias, double eps,
                           Where where) {
  const InOp op("batch_norm", where);
  const NormLengths lengths = lengths_of_channels(op, NormOver::channels, x, eps);
  if (x.size() == 0)
    fail<ShapeError>("batch_norm: x of shape {} has no elements to take statistics of", x.shape());
  check(op, x, weight, bias, {lengths.channels}, eps);
  if (x.rank() == 2) {
    BatchNormResult out;
    out.y = by_columns(x, where, [&](const Variable& turned) {
      BatchNormResult of_turned = batch_norm(turned, weight, bias, eps, where);
      out.statistics = std::move(of_turned.statistics);
      return std::move(of_turned.y);
    });
    return out;
  }
  NormStatistics statistics;
  Variable y = normalize(op, lengths, statistics, x, weight, bias);
  return {std::move(y), {statistics.mean, statistics.variance}};
}

Variable batch_norm(const Variable& x, const ChannelStatistics& given, const Variable& weight,
                    const Variable& bias, double eps, Where where) {
  const InOp op("batch_norm", where);
  NormLengths lengths = lengths_of_channels(op, NormOver::channels, x, eps);
  lengths.fixed = true;
  check(op, x, weight, bias, {lengths.channels}, eps);
  for (const auto& [name, value] : {std::pair{"mean", &given.mean}, {"variance", &given.variance}}) {
    if (value->shape() != Shape{lengths.channels})
      fail<ShapeError>("batch_norm: x of shape {}, a {} of shape {}; it must be {}", x.shape(), name,
                       value->shape(), Shape{lengths.channels});
    if (value->dtype() != x.dtype())
      fail<DtypeError>("batch_norm: x is {}, the {} {}; convert with to()", name_of(x.dtype()), name,
                       name_of(value->dtype()));
  }
  if (x.rank() == 2) {
    return by_columns(x, where, [&](const Variable& turned) {
      return batch_norm(turned, given, weight, bias, eps, where);
    });
  }
  NormStatistics statistics{given.mean, given.variance, rsqrt(given.variance + eps)};
  return normalize(op, lengths, statistics, x, weight, bias);
}

}  // namespace gradus
