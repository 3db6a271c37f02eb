#pragma once

#include "tensor/indices.hpp"
#include "tensor/ops/conv.hpp"
#include "tensor/storage.hpp"
#include "tensor/tensor.hpp"

/// Pooling along the last axis of x (batch, channels, length) and over the last two of x (batch, channels,
/// height, width), with PyTorch's options and lengths. Each axis of the result has the length
///   (length + 2 padding - dilation (kernel - 1) - 1) / stride + 1,
/// rounded down, or with `ceil` up as long as the last window begins inside x or the padding before it. They
/// throw ShapeError for shapes that do not fit, and ArgumentError for options out of range, as a padding of
/// more than half of the kernel is.
namespace gradus {

struct MaxPool1dOptions {
  std::int64_t kernel = 2;
  std::int64_t stride = 0;  // 0: the kernel
  std::int64_t padding = 0, dilation = 1;
  bool ceil = false;
};
struct MaxPool2dOptions {
  HeightWidth kernel = 2;
  HeightWidth stride = 0;  // 0: the kernel
  HeightWidth padding = 0, dilation = 1;
  bool ceil = false;
};
/// The largest of each window; NaN where there is one. The padding is smaller than all.
Tensor max_pool1d(const Tensor& x, MaxPool1dOptions options = {});
Tensor max_pool2d(const Tensor& x, MaxPool2dOptions options = {});

struct AvgPool1dOptions {
  std::int64_t kernel = 2;
  std::int64_t stride = 0;  // 0: the kernel
  std::int64_t padding = 0;
  bool ceil = false;
  bool count_include_pad = true;  // the zeros of the padding count as elements
};
struct AvgPool2dOptions {
  HeightWidth kernel = 2;
  HeightWidth stride = 0;  // 0: the kernel
  HeightWidth padding = 0;
  bool ceil = false;
  bool count_include_pad = true;
};
/// The mean of each window.
Tensor avg_pool1d(const Tensor& x, AvgPool1dOptions options = {});
Tensor avg_pool2d(const Tensor& x, AvgPool2dOptions options = {});

/// The means, or the largest, of as many windows as asked for, of about the same size: window i of n goes
/// from floor(i length / n) up to ceil((i + 1) length / n). One window is all of an axis.
Tensor adaptive_avg_pool1d(const Tensor& x, std::int64_t length);
Tensor adaptive_avg_pool2d(const Tensor& x, HeightWidth lengths);
Tensor adaptive_max_pool1d(const Tensor& x, std::int64_t length);
Tensor adaptive_max_pool2d(const Tensor& x, HeightWidth lengths);

namespace detail {

/// The entries first, first + dilation, ... below last that a window sees, and how many count for its mean.
struct PoolWindow {
  std::int64_t first, last, count;
};
/// The windows down and across images; those of sequences are one row high.
struct PoolWindows {
  Shape x_shape, y_shape;
  storage::PoolVector<PoolWindow> y, x;
  std::int64_t y_dilation = 1, x_dilation = 1;

  std::int64_t planes() const { return x_shape[0] * x_shape[1]; }
  std::int64_t height() const { return x_shape.rank() == 3 ? 1 : x_shape[2]; }
  std::int64_t width() const { return x_shape[-1]; }
};
PoolWindows pool_windows(const Tensor& x, const MaxPool1dOptions& options);
PoolWindows pool_windows(const Tensor& x, const MaxPool2dOptions& options);
PoolWindows pool_windows(const Tensor& x, const AvgPool1dOptions& options);
PoolWindows pool_windows(const Tensor& x, const AvgPool2dOptions& options);
PoolWindows adaptive_windows(const char* op, const Tensor& x, HeightWidth lengths, int rank);

/// The largest of each window, and its position in the plane that it stands in, unless null.
Tensor pool_max(const PoolWindows& windows, const Tensor& x, Indices* where);
/// The elements of x at positions in their planes, of the shape of the windows.
Tensor pool_pick(const PoolWindows& windows, const Tensor& x, const Indices& where);
/// The adjoint of that: zeros of the shape of x with y added.
Tensor pool_place(const PoolWindows& windows, const Tensor& y, const Indices& where);
/// The mean of each window, and its adjoint.
Tensor pool_mean(const PoolWindows& windows, const Tensor& x);
Tensor pool_spread(const PoolWindows& windows, const Tensor& y);

}  // namespace detail

}  // namespace gradus
