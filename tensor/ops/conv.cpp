#include "tensor/ops/conv.hpp"

#include <algorithm>

#include "tensor/support/error.hpp"

// The options of convolutions and the lengths that follow from them. What computes is in conv_product.cpp.
namespace gradus {

namespace detail {

namespace {

/// What is said of a convolution along `rank` axes.
struct Said {
  const char *op, *x;
};

constexpr Said of_conv1d{"conv1d", "(batch, channels, length)"};
constexpr Said of_conv_transpose1d{"conv_transpose1d", "(batch, channels, length)"};
constexpr Said of_conv2d{"conv2d", "(batch, channels, height, width)"};
constexpr Said of_conv_transpose2d{"conv_transpose2d", "(batch, channels, height, width)"};

void check_operands(const Said& said, int rank, const Tensor& x, const Tensor& weight, const Tensor& bias,
                    bool transposed, std::int64_t groups) {
  if (x.rank() != rank + 2 || weight.rank() != rank + 2) {
    fail<ShapeError>("{}: x of shape {}, weight of shape {}; x must be {}, the weight have {} axes too",
                     said.op, x.shape(), weight.shape(), said.x, rank == 1 ? "three" : "four");
  }
  if (x.dtype() != weight.dtype() || (bias.defined() && bias.dtype() != x.dtype())) {
    fail<DtypeError>("{}: x is {}, the weight {}{}; convert with to()", said.op, name_of(x.dtype()),
                     name_of(weight.dtype()),
                     bias.defined() ? fmt::format(", the bias {}", name_of(bias.dtype())) : "");
  }
  if (weight.dim(2) == 0 || weight.dim(-1) == 0) {
    fail<ShapeError>("{}: a weight of shape {}; its width must be at least 1", said.op, weight.shape());
  }
  const std::int64_t outs = transposed ? weight.dim(1) * groups : weight.dim(0);
  if (bias.defined() && bias.shape() != Shape{outs})
    fail<ShapeError>("{}: a bias of shape {} for {} channels of the result", said.op, bias.shape(), outs);
  const bool fits =
      weight.dim(0) % groups == 0 && (transposed ? weight.dim(0) : weight.dim(1) * groups) == x.dim(1);
  if (!fits) {
    fail<ShapeError>(
        "{}: x of shape {}, weight of shape {}, {} groups; the weight must be ({}, width{}), with as many {} "
        "for each group",
        said.op, x.shape(), weight.shape(), groups,
        transposed ? "in, channels / groups" : "out, channels / groups", rank == 1 ? "" : "s",
        transposed ? "inputs" : "outputs");
  }
}

void check_range(const char* op, const char* option, std::int64_t value, std::int64_t least) {
  if (value < least) fail<ArgumentError>("{}: {} is {}; it must be at least {}", op, option, value, least);
  check_length(op, option, value);
}

/// The options along one axis.
struct AxisOptions {
  std::int64_t stride, padding, dilation;
  std::int64_t output_padding = 0;
  bool causal = false;
};
/// What all convolutions ask of their options.
void check_options(const char* op, std::int64_t groups, std::initializer_list<AxisOptions> axes) {
  for (const AxisOptions& o : axes) {
    check_range(op, "stride", o.stride, 1);
    check_range(op, "dilation", o.dilation, 1);
    check_range(op, "groups", groups, 1);
    check_range(op, "padding", o.padding, 0);
    check_range(op, "output_padding", o.output_padding, 0);
  }
}

/// An axis of a convolution of x.
ConvAxis forward_axis(const char* op, const Tensor& x, const Tensor& weight, int axis, const AxisOptions& o) {
  const std::int64_t width = weight.dim(axis), length = x.dim(axis), reach = o.dilation * (width - 1) + 1;
  const std::int64_t left = o.causal ? reach - 1 : o.padding, padded = length + left + o.padding;
  if (padded < reach && !o.causal) {
    fail<ShapeError>(
        "{}: x of shape {}, weight of shape {}: {} entries with padding, the weight reaches over {}; pad "
        "more or take a narrower weight",
        op, x.shape(), weight.shape(), padded, reach);
  }
  return {.length = length,
          .width = width,
          .steps = padded < reach ? 0 : (padded - reach) / o.stride + 1,
          .left = left,
          .stride = o.stride,
          .dilation = o.dilation};
}

/// An axis of the convolution whose result y is what a transposed one is given.
ConvAxis transposed_axis(const char* op, const Tensor& y, const Tensor& weight, int axis,
                         const AxisOptions& o) {
  if (o.output_padding >= std::max(o.stride, o.dilation)) {
    fail<ArgumentError>("{}: output_padding is {}; it must be less than the stride {} or the dilation {}", op,
                        o.output_padding, o.stride, o.dilation);
  }
  const std::int64_t length = (y.dim(axis) - 1) * o.stride - 2 * o.padding +
                              o.dilation * (weight.dim(axis) - 1) + o.output_padding + 1;
  if (length < 0) {
    fail<ShapeError>("{}: x of shape {}, weight of shape {}, padding {}: a result of length {}", op,
                     y.shape(), weight.shape(), o.padding, length);
  }
  return {.length = length,
          .width = weight.dim(axis),
          .steps = y.dim(axis),
          .left = o.padding,
          .stride = o.stride,
          .dilation = o.dilation};
}

AxisOptions down(const auto& o) {
  return {o.stride.height, o.padding.height, o.dilation.height};
}
AxisOptions across(const auto& o) {
  return {o.stride.width, o.padding.width, o.dilation.width};
}

}  // namespace

ConvLengths conv_lengths(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv1dOptions& o) {
  const AxisOptions axis{
      .stride = o.stride, .padding = o.padding, .dilation = o.dilation, .causal = o.causal};
  check_options("conv1d", o.groups, {axis});
  check_operands(of_conv1d, 1, x, weight, bias, false, o.groups);
  if (o.causal && o.padding != 0) {
    fail<ArgumentError>("conv1d: padding is {} with causal, which pads by itself; leave padding at 0",
                        o.padding);
  }
  return {.rank = 1,
          .batch = x.dim(0),
          .channels = x.dim(1),
          .out = weight.dim(0),
          .groups = o.groups,
          .y = {},
          .x = forward_axis("conv1d", x, weight, 2, axis)};
}

ConvLengths conv_lengths(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& o) {
  check_options("conv2d", o.groups, {down(o), across(o)});
  check_operands(of_conv2d, 2, x, weight, bias, false, o.groups);
  return {.rank = 2,
          .batch = x.dim(0),
          .channels = x.dim(1),
          .out = weight.dim(0),
          .groups = o.groups,
          .y = forward_axis("conv2d", x, weight, 2, down(o)),
          .x = forward_axis("conv2d", x, weight, 3, across(o))};
}

ConvLengths conv_lengths(const Tensor& y, const Tensor& weight, const Tensor& bias,
                         const ConvTranspose1dOptions& o) {
  const AxisOptions axis{o.stride, o.padding, o.dilation, o.output_padding};
  check_options("conv_transpose1d", o.groups, {axis});
  check_operands(of_conv_transpose1d, 1, y, weight, bias, true, o.groups);
  return {.rank = 1,
          .batch = y.dim(0),
          .channels = weight.dim(1) * o.groups,
          .out = weight.dim(0),
          .groups = o.groups,
          .y = {},
          .x = transposed_axis("conv_transpose1d", y, weight, 2, axis)};
}

ConvLengths conv_lengths(const Tensor& y, const Tensor& weight, const Tensor& bias,
                         const ConvTranspose2dOptions& o) {
  AxisOptions height = down(o), width = across(o);
  height.output_padding = o.output_padding.height;
  width.output_padding = o.output_padding.width;
  check_options("conv_transpose2d", o.groups, {height, width});
  check_operands(of_conv_transpose2d, 2, y, weight, bias, true, o.groups);
  return {.rank = 2,
          .batch = y.dim(0),
          .channels = weight.dim(1) * o.groups,
          .out = weight.dim(0),
          .groups = o.groups,
          .y = transposed_axis("conv_transpose2d", y, weight, 2, height),
          .x = transposed_axis("conv_transpose2d", y, weight, 3, width)};
}

}  // namespace detail

Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias, Conv1dOptions options) {
  return detail::conv_forward(detail::conv_lengths(x, weight, bias, options), x, weight, bias);
}

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, Conv2dOptions options) {
  return detail::conv_forward(detail::conv_lengths(x, weight, bias, options), x, weight, bias);
}

Tensor conv_transpose1d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        ConvTranspose1dOptions options) {
  return detail::conv_to_input(detail::conv_lengths(x, weight, bias, options), x, weight, bias);
}

Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        ConvTranspose2dOptions options) {
  return detail::conv_to_input(detail::conv_lengths(x, weight, bias, options), x, weight, bias);
}

}  // namespace gradus
