#include "nn/conv.hpp"

#include <cmath>

#include "nn/init.hpp"

namespace gradus::nn {

namespace {

void check(const char* layer, std::int64_t in, std::int64_t out, std::int64_t groups, HeightWidth kernel) {
  if (in < 1 || out < 1 || kernel.height < 1 || kernel.width < 1) {
    fail<ArgumentError>("{}: {} channels to {}, a kernel of {} by {}; all must be at least 1", layer, in, out,
                        kernel.height, kernel.width);
  }
  if (groups < 1 || in % groups != 0 || out % groups != 0)
    fail<ArgumentError>("{}: {} groups of {} channels to {}; they must divide both", layer, groups, in, out);
}

/// Draws the weight and, where wanted, the bias.
void draw(Rng& rng, const Shape& shape, std::int64_t out, bool with_bias, Parameter& weight,
          Parameter& bias) {
  const std::int64_t fan_in = shape.size() / shape[0];  // as PyTorch counts it for transposed ones too
  const double bound = 1 / std::sqrt(static_cast<double>(fan_in));
  weight = Parameter(uniform(rng, shape, bound));
  if (with_bias) bias = Parameter(uniform(rng, {out}, bound));
}

}  // namespace

Conv1d::Conv1d(Rng& rng, std::int64_t in, std::int64_t out, std::int64_t kernel, Conv1dOptions chosen)
    : options(chosen) {
  check("Conv1d", in, out, chosen.groups, {1, kernel});
  draw(rng, {out, in / chosen.groups, kernel}, out, chosen.bias, weight, bias);
}
Variable Conv1d::operator()(const Variable& x, Where where) const {
  const InModule here(*this);
  const auto& o = options;
  return conv1d(x, weight, bias, {o.stride, o.padding, o.dilation, o.groups, o.causal}, where);
}

Conv2d::Conv2d(Rng& rng, std::int64_t in, std::int64_t out, HeightWidth kernel, Conv2dOptions chosen)
    : options(chosen) {
  check("Conv2d", in, out, chosen.groups, kernel);
  draw(rng, {out, in / chosen.groups, kernel.height, kernel.width}, out, chosen.bias, weight, bias);
}
Variable Conv2d::operator()(const Variable& x, Where where) const {
  const InModule here(*this);
  const auto& o = options;
  return conv2d(x, weight, bias, {o.stride, o.padding, o.dilation, o.groups}, where);
}

ConvTranspose1d::ConvTranspose1d(Rng& rng, std::int64_t in, std::int64_t out, std::int64_t kernel,
                                 ConvTranspose1dOptions chosen)
    : options(chosen) {
  check("ConvTranspose1d", in, out, chosen.groups, {1, kernel});
  draw(rng, {in, out / chosen.groups, kernel}, out, chosen.bias, weight, bias);
}
Variable ConvTranspose1d::operator()(const Variable& x, Where where) const {
  const InModule here(*this);
  const auto& o = options;
  return conv_transpose1d(x, weight, bias, {o.stride, o.padding, o.output_padding, o.dilation, o.groups},
                          where);
}

ConvTranspose2d::ConvTranspose2d(Rng& rng, std::int64_t in, std::int64_t out, HeightWidth kernel,
                                 ConvTranspose2dOptions chosen)
    : options(chosen) {
  check("ConvTranspose2d", in, out, chosen.groups, kernel);
  draw(rng, {in, out / chosen.groups, kernel.height, kernel.width}, out, chosen.bias, weight, bias);
}
Variable ConvTranspose2d::operator()(const Variable& x, Where where) const {
  const InModule here(*this);
  const auto& o = options;
  return conv_transpose2d(x, weight, bias, {o.stride, o.padding, o.output_padding, o.dilation, o.groups},
                          where);
}

}  // namespace gradus::nn
