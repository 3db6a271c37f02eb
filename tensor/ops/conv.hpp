#pragma once

#include "tensor/tensor.hpp"

/// Convolution along one axis in PyTorch's layout. As in PyTorch the weight is not flipped, so that it is
/// strictly a cross-correlation.
namespace gradus {

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

namespace detail {

/// The lengths in a convolution y of x with a weight: x (batch, channels, length), weight (out, channels /
/// groups, width), y (batch, out, steps). Any of the three can be computed from the other two.
struct ConvLengths {
  std::int64_t batch = 0, channels = 0, length = 0, out = 0, width = 0, steps = 0;
  std::int64_t left = 0;  // zeros added before the first entry of x
  std::int64_t stride = 1, dilation = 1, groups = 1;

  Shape x_shape() const { return {batch, channels, length}; }
  Shape weight_shape() const { return {out, channels / groups, width}; }
  Shape y_shape() const { return {batch, out, steps}; }
};
/// The lengths for conv1d and for conv_transpose1d, whose x is y here. They throw what these functions throw.
ConvLengths conv_lengths(const Tensor& x, const Tensor& weight, const Tensor& bias,
                         const Conv1dOptions& options);
ConvLengths conv_lengths(const Tensor& y, const Tensor& weight, const Tensor& bias,
                         const ConvTranspose1dOptions& options);

/// y from x and the weight, plus the bias if defined.
Tensor conv_forward(const ConvLengths& lengths, const Tensor& x, const Tensor& weight, const Tensor& bias);
/// x from y and the weight, plus the bias if defined: the gradient with respect to x, for a gradient y.
Tensor conv_to_input(const ConvLengths& lengths, const Tensor& y, const Tensor& weight, const Tensor& bias);
/// The weight from x and y: the gradient with respect to the weight, for a gradient y.
Tensor conv_to_weight(const ConvLengths& lengths, const Tensor& x, const Tensor& y);

}  // namespace detail

}  // namespace gradus
