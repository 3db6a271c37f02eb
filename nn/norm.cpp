#include "nn/norm.hpp"

#include "tensor/ops.hpp"

namespace gradus::nn {

namespace {

void check_eps(const char* layer, double eps) {
  if (!(eps > 0)) fail<ArgumentError>("{}: eps is {}; it must be above 0", layer, eps);
}
void check_shape(const char* layer, const Shape& shape) {
  if (shape.rank() == 0 || shape.size() == 0)
    fail<ArgumentError>("{}: a shape of {}; its lengths must be at least 1", layer, shape);
}
void check_channels(const char* layer, std::int64_t channels) {
  if (channels < 1) fail<ArgumentError>("{}: {} channels; there must be at least 1", layer, channels);
}
/// The input must have the channels, also where there is no weight that says so.
void check_input(const char* layer, const Variable& x, std::int64_t channels) {
  if (x.rank() < 2 || x.dim(1) != channels) {
    fail<ShapeError>("{}: an input of shape {}; it must be (batch, {}, ...)", layer, x.shape(), channels);
  }
}

}  // namespace

LayerNorm::LayerNorm(const Shape& over, LayerNormOptions chosen) : shape(over), options(chosen) {
  check_shape("LayerNorm", over);
  check_eps("LayerNorm", chosen.eps);
  if (!chosen.affine) return;
  weight = Parameter(ones(over));
  if (chosen.bias) bias = Parameter(zeros(over));
}

RmsNorm::RmsNorm(const Shape& over, RmsNormOptions chosen) : shape(over), options(chosen) {
  check_shape("RmsNorm", over);
  if (chosen.eps) check_eps("RmsNorm", *chosen.eps);
  if (chosen.affine) weight = Parameter(ones(over));
}

GroupNorm::GroupNorm(std::int64_t group_count, std::int64_t channel_count, GroupNormOptions chosen)
    : groups(group_count), channels(channel_count), options(chosen) {
  check_channels("GroupNorm", channels);
  check_eps("GroupNorm", chosen.eps);
  if (groups < 1 || channels % groups != 0)
    fail<ArgumentError>("GroupNorm: {} groups of {} channels; they must divide them", groups, channels);
  if (!chosen.affine) return;
  weight = Parameter(ones({channels}));
  bias = Parameter(zeros({channels}));
}

Variable GroupNorm::operator()(const Variable& x, Where where) const {
  const InModule here(*this);
  check_input("GroupNorm", x, channels);
  return group_norm(x, groups, weight, bias, options.eps, where);
}

BatchNorm::BatchNorm(std::int64_t channel_count, BatchNormOptions chosen)
    : channels(channel_count), options(chosen) {
  check_channels("BatchNorm", channels);
  check_eps("BatchNorm", chosen.eps);
  if (chosen.momentum && !(*chosen.momentum >= 0 && *chosen.momentum <= 1))
    fail<ArgumentError>("BatchNorm: a momentum of {}; it must be from 0 to 1", *chosen.momentum);
  if (chosen.affine) {
    weight = Parameter(ones({channels}));
    bias = Parameter(zeros({channels}));
  }
  if (!chosen.running) return;
  running_mean = Buffer(zeros({channels}));
  running_var = Buffer(ones({channels}));
  num_batches_tracked = Buffer(Tensor::scalar(0, Dtype::f64), Buffer::Dtypes::kept);
}

Variable BatchNorm::operator()(const Variable& x, Rng* rng, Where where) const {
  const InModule here(*this);
  check_input("BatchNorm", x, channels);
  if (rng == nullptr && options.running)
    return batch_norm(x, {running_mean.value(), running_var.value()}, weight, bias, options.eps, where);
  const std::int64_t elements = x.size() / channels;
  if (rng != nullptr && elements < 2)
    fail<ShapeError>("BatchNorm: an input of shape {} has {} elements a channel; training takes at least 2",
                     x.shape(), elements);
  auto [y, statistics] = batch_norm(x, weight, bias, options.eps, where);
  if (rng != nullptr && options.running) keep(statistics, elements);
  return y;
}

void BatchNorm::keep(const ChannelStatistics& of_batch, std::int64_t elements) const {
  double batches = 0;
  num_batches_tracked.change([&](const Tensor& before) {
    batches = before.item() + 1;
    return Tensor::scalar(batches, Dtype::f64);
  });
  const double taken = options.momentum.value_or(1 / batches);
  const auto n = static_cast<double>(elements);
  const auto mixed = [&](const Buffer& running, const Tensor& now, double correction) {
    running.change([&](const Tensor& before) {
      return before * (1 - taken) + now.to(before.dtype()) * (taken * correction);
    });
  };
  mixed(running_mean, of_batch.mean, 1);
  mixed(running_var, of_batch.variance, n / (n - 1));
}

}  // namespace gradus::nn
