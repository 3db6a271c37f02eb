#pragma once

#include <cstdint>
#include <limits>
#include <optional>

#include "autograd/buffer.hpp"
#include "autograd/module_path.hpp"
#include "autograd/ops/norm.hpp"
#include "tensor/ops/creation.hpp"
#include "tensor/random.hpp"

/// Normalisations as layers, with PyTorch's names and initial values: weight starts as ones and bias as
/// zeros. What they compute is said in autograd/ops/norm.hpp. They throw ArgumentError for widths below 1 and
/// an eps that is not positive, and when called ShapeError for an input that does not fit.
namespace gradus::nn {

struct LayerNormOptions {
  /// Added to the variance, so that equal elements do not divide by zero.
  double eps = 1e-5;
  /// Whether there are a weight and, with it, a bias.
  bool affine = true;
  bool bias = true;
};

/// Layer normalisation (Ba, Kiros and Hinton 2016) over the last axis, (..., width) to (..., width), or over
/// several, LayerNorm({height, width}):
///   y = (x - mean) / sqrt(var + eps) * weight + bias
/// The variance is that of the elements themselves, without Bessel's correction.
struct LayerNorm {
  Parameter weight, bias;  // of the shape
  Shape shape;             // the lengths of the axes that are normalised over
  LayerNormOptions options;

  explicit LayerNorm(const Shape& over, LayerNormOptions chosen = {});

  Variable operator()(const Variable& x, Where where = Where::here()) const {
    const InModule here(*this);
    return layer_norm(x, shape, weight, bias, options.eps, where);
  }
  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
  }
};

struct RmsNormOptions {
  /// Without one it is the machine epsilon of the input's dtype, as PyTorch's.
  std::optional<double> eps = {};
  bool affine = true;
};

/// RMS normalisation (Zhang and Sennrich 2019) over the last axis, or several:
///   y = x / sqrt(mean(x^2) + eps) * weight
struct RmsNorm {
  Parameter weight;  // of the shape
  Shape shape;
  RmsNormOptions options;

  explicit RmsNorm(const Shape& over, RmsNormOptions chosen = {});

  Variable operator()(const Variable& x, Where where = Where::here()) const {
    const InModule here(*this);
    const double smallest = x.dtype() == Dtype::f32 ? double{std::numeric_limits<float>::epsilon()}
                                                    : std::numeric_limits<double>::epsilon();
    return rms_norm(x, shape, weight, options.eps.value_or(smallest), where);
  }
  static void members(auto& self, auto&& visit) { visit("weight", self.weight); }
};

struct GroupNormOptions {
  double eps = 1e-5;
  bool affine = true;
};

/// Group normalisation (Wu and He 2018) of (batch, channels, ...): over each of `groups` groups of channels
/// of an entry. With one group it is over all of it, with as many as channels instance normalisation.
struct GroupNorm {
  Parameter weight, bias;  // (channels)
  std::int64_t groups, channels;
  GroupNormOptions options;

  /// Throws ArgumentError where the groups do not divide the channels.
  GroupNorm(std::int64_t group_count, std::int64_t channel_count, GroupNormOptions chosen = {});

  Variable operator()(const Variable& x, Where where = Where::here()) const;
  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
  }
};

struct BatchNormOptions {
  double eps = 1e-5;
  /// How much of a batch's statistics the running ones take in; without one they are the mean over all
  /// batches.
  std::optional<double> momentum = 0.1;
  bool affine = true;
  /// Without running statistics evaluation takes those of its batch too.
  bool running = true;
};

/// Batch normalisation (Ioffe and Szegedy 2015) of (batch, channels), (batch, channels, length) or (batch,
/// channels, height, width):
///   y = (x - mean) / sqrt(var + eps) * weight + bias, by channel
/// Training, when it is called with a generator as Dropout is (it draws nothing), the mean and variance are
/// those of the batch, and running ones are kept; without one, as in evaluation, these are taken. The running
/// variance is with Bessel's correction. A call in training changes the buffers: a function that a checkpoint
/// runs again counts its batch twice.
struct BatchNorm {
  Parameter weight, bias;            // (channels)
  Buffer running_mean, running_var;  // (channels)
  Buffer num_batches_tracked;        // a number, of f64
  std::int64_t channels;
  BatchNormOptions options;

  explicit BatchNorm(std::int64_t channel_count, BatchNormOptions chosen = {});

  /// Training, it throws ShapeError for a batch with one element a channel, which has no variance.
  Variable operator()(const Variable& x, Rng* rng, Where where = Where::here()) const;

  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
    visit("running_mean", self.running_mean);
    visit("running_var", self.running_var);
    visit("num_batches_tracked", self.num_batches_tracked);
  }

 private:
  void keep(const ChannelStatistics& of_batch, std::int64_t elements) const;
};
using BatchNorm1d = BatchNorm;
using BatchNorm2d = BatchNorm;

}  // namespace gradus::nn
