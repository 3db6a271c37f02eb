#pragma once

#include <concepts>

#include "tensor/tensor.hpp"

/// Convolutions along one axis and along two in PyTorch's layout. As in PyTorch the weight is not flipped, so
/// that it is strictly a cross-correlation.
namespace gradus {

/// A number for each of the two axes of an image: {1, 2}, or one number for both.
struct HeightWidth {
  std::int64_t height = 0, width = 0;

  template <std::integral Number>
  requires(!std::same_as<Number, bool>) HeightWidth(Number both)
      : height(static_cast<std::int64_t>(both)), width(static_cast<std::int64_t>(both)) {}
  HeightWidth(std::int64_t of_height, std::int64_t of_width) : height(of_height), width(of_width) {}
  bool operator==(const HeightWidth&) const = default;
};

struct Conv1dOptions {
  std::int64_t stride = 1;
  std::int64_t padding = 0;   // zeros added on both sides
  std::int64_t dilation = 1;  // the distance between the weight's taps
  std::int64_t groups = 1;    // input and output channels are split into groups, convolved separately
  bool causal = false;  // pads by dilation * (width - 1) on the left only: no output depends on later inputs
};
/// out[b, o, t] = bias[o] + sum over c, k of weight[o, c, k] x[b, c, t * stride + k * dilation - padding].
/// x: (batch, channels, length); weight: (out, channels / groups, width); bias: (out), or undefined;
/// out: (batch, out, (length + 2 padding - dilation (width - 1) - 1) / stride + 1), and when causal
/// (batch, out, (length - 1) / stride + 1). Throws ShapeError for shapes that do not fit or a length that is
/// too short for the weight, DtypeError, and ArgumentError for options out of range or padding with causal.
Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias, Conv1dOptions options = {});

struct ConvTranspose1dOptions {
  std::int64_t stride = 1;
  std::int64_t padding = 0;         // entries removed from both sides of the result
  std::int64_t output_padding = 0;  // entries added on the right; less than the stride or the dilation
  std::int64_t dilation = 1;
  std::int64_t groups = 1;
};
/// The adjoint of conv1d with respect to x:
///   out[b, c, t * stride + k * dilation - padding] += weight[o, c, k] x[b, o, t], and + bias[c].
/// x: (batch, in, length); weight: (in, channels / groups, width); bias: (channels), or undefined;
/// out: (batch, channels, (length - 1) stride - 2 padding + dilation (width - 1) + output_padding + 1).
/// Throws as conv1d.
Tensor conv_transpose1d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        ConvTranspose1dOptions options = {});

struct Conv2dOptions {
  HeightWidth stride = 1;
  HeightWidth padding = 0;  // zeros added on both sides
  HeightWidth dilation = 1;
  std::int64_t groups = 1;
};
/// The same over two axes: x (batch, channels, height, width), weight (out, channels / groups, kernel's
/// height, kernel's width), bias (out) or undefined. Each axis of the result has the length that conv1d's
/// has. Throws as conv1d.
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, Conv2dOptions options = {});

struct ConvTranspose2dOptions {
  HeightWidth stride = 1;
  HeightWidth padding = 0;         // entries removed from both sides of the result
  HeightWidth output_padding = 0;  // entries added at the bottom and on the right
  HeightWidth dilation = 1;
  std::int64_t groups = 1;
};
/// The adjoint of conv2d with respect to x, as conv_transpose1d is that of conv1d: x (batch, in, height,
/// width), weight (in, channels / groups, kernel's height, kernel's width), bias (channels) or undefined.
Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        ConvTranspose2dOptions options = {});

namespace detail {

/// One axis of a convolution y of x with a weight of `width` taps: x has `length` entries, y `steps`.
struct ConvAxis {
  std::int64_t length = 1, width = 1, steps = 1;
  std::int64_t left = 0;  // zeros added before the first entry of x
  std::int64_t stride = 1, dilation = 1;
};

/// The lengths in a convolution y of x with a weight: x (batch, channels, lengths), weight (out, channels /
/// groups, widths), y (batch, out, steps). Any of the three can be computed from the other two. A convolution
/// along one axis is one of images that are one row high.
struct ConvLengths {
  int rank = 1;  // 1 or 2 axes
  std::int64_t batch = 0, channels = 0, out = 0, groups = 1;
  ConvAxis y, x;  // down and across

  Shape x_shape() const { return shape(batch, channels, y.length, x.length); }
  Shape weight_shape() const { return shape(out, channels / groups, y.width, x.width); }
  Shape y_shape() const { return shape(batch, out, y.steps, x.steps); }
  /// Of one channel.
  std::int64_t length() const { return y.length * x.length; }
  std::int64_t steps() const { return y.steps * x.steps; }
  std::int64_t width() const { return y.width * x.width; }

 private:
  Shape shape(std::int64_t a, std::int64_t b, std::int64_t down, std::int64_t across) const {
    return rank == 1 ? Shape{a, b, across} : Shape{a, b, down, across};
  }
};
/// The lengths for each of the convolutions; for the transposed ones x is y here. They throw what these
/// functions throw.
ConvLengths conv_lengths(const Tensor& x, const Tensor& weight, const Tensor& bias,
                         const Conv1dOptions& options);
ConvLengths conv_lengths(const Tensor& y, const Tensor& weight, const Tensor& bias,
                         const ConvTranspose1dOptions& options);
ConvLengths conv_lengths(const Tensor& x, const Tensor& weight, const Tensor& bias,
                         const Conv2dOptions& options);
ConvLengths conv_lengths(const Tensor& y, const Tensor& weight, const Tensor& bias,
                         const ConvTranspose2dOptions& options);

/// y from x and the weight, plus the bias if defined.
Tensor conv_forward(const ConvLengths& lengths, const Tensor& x, const Tensor& weight, const Tensor& bias);
/// x from y and the weight, plus the bias if defined: the gradient with respect to x, for a gradient y.
Tensor conv_to_input(const ConvLengths& lengths, const Tensor& y, const Tensor& weight, const Tensor& bias);
/// The weight from x and y: the gradient with respect to the weight, for a gradient y.
Tensor conv_to_weight(const ConvLengths& lengths, const Tensor& x, const Tensor& y);

}  // namespace detail

}  // namespace gradus
