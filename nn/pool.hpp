#pragma once

#include "autograd/ops/pool.hpp"
#include "nn/activations.hpp"

/// Pooling as modules: `nn::MaxPool2d({.kernel = 3, .stride = 2})`. The functions of their names are in
/// tensor/ops/pool.hpp.
namespace gradus::nn {

/// The largest entry of each window: (batch, channels, length) to (batch, channels, steps).
struct MaxPool1d : Stateless<MaxPool1d> {
  MaxPool1dOptions options;
  explicit MaxPool1d(MaxPool1dOptions chosen = {}) : options(chosen) {}
  Variable of(const Variable& x, Where at) const { return max_pool1d(x, options, at); }
};
/// The largest entry of each window: (batch, channels, height, width) to as many channels, fewer entries.
struct MaxPool2d : Stateless<MaxPool2d> {
  MaxPool2dOptions options;
  explicit MaxPool2d(MaxPool2dOptions chosen = {}) : options(chosen) {}
  Variable of(const Variable& x, Where at) const { return max_pool2d(x, options, at); }
};
/// The mean of each window: (batch, channels, length) to (batch, channels, steps).
struct AvgPool1d : Stateless<AvgPool1d> {
  AvgPool1dOptions options;
  explicit AvgPool1d(AvgPool1dOptions chosen = {}) : options(chosen) {}
  Variable of(const Variable& x, Where at) const { return avg_pool1d(x, options, at); }
};
/// The mean of each window: (batch, channels, height, width) to as many channels, fewer entries.
struct AvgPool2d : Stateless<AvgPool2d> {
  AvgPool2dOptions options;
  explicit AvgPool2d(AvgPool2dOptions chosen = {}) : options(chosen) {}
  Variable of(const Variable& x, Where at) const { return avg_pool2d(x, options, at); }
};
/// Means of windows such that `length` entries come out: (batch, channels, any) to (batch, channels, length).
struct AdaptiveAvgPool1d : Stateless<AdaptiveAvgPool1d> {
  std::int64_t length;
  explicit AdaptiveAvgPool1d(std::int64_t to = 1) : length(to) {}
  Variable of(const Variable& x, Where at) const { return adaptive_avg_pool1d(x, length, at); }
};
/// Means of windows such that lengths.height by lengths.width entries come out.
struct AdaptiveAvgPool2d : Stateless<AdaptiveAvgPool2d> {
  HeightWidth lengths;
  explicit AdaptiveAvgPool2d(HeightWidth to = 1) : lengths(to) {}
  Variable of(const Variable& x, Where at) const { return adaptive_avg_pool2d(x, lengths, at); }
};
/// Largest entries of windows such that `length` of them come out.
struct AdaptiveMaxPool1d : Stateless<AdaptiveMaxPool1d> {
  std::int64_t length;
  explicit AdaptiveMaxPool1d(std::int64_t to = 1) : length(to) {}
  Variable of(const Variable& x, Where at) const { return adaptive_max_pool1d(x, length, at); }
};
/// Largest entries of windows such that lengths.height by lengths.width of them come out.
struct AdaptiveMaxPool2d : Stateless<AdaptiveMaxPool2d> {
  HeightWidth lengths;
  explicit AdaptiveMaxPool2d(HeightWidth to = 1) : lengths(to) {}
  Variable of(const Variable& x, Where at) const { return adaptive_max_pool2d(x, lengths, at); }
};

}  // namespace gradus::nn
