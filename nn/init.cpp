#include "nn/init.hpp"

#include <cmath>

namespace gradus::nn {

namespace {
double fan_in(const Shape& shape) {
  return static_cast<double>(shape[-1]);
}
double fan_out(const Shape& shape) {
  return static_cast<double>(shape[-2]);
}
}  // namespace

Tensor uniform(Rng& rng, const Shape& shape, double bound) {
  return rng.uniform(shape, -bound, bound);
}
Tensor normal(Rng& rng, const Shape& shape, double deviation) {
  return rng.normal(shape, 0, deviation);
}
Tensor xavier_uniform(Rng& rng, const Shape& shape, double gain) {
  return uniform(rng, shape, gain * std::sqrt(6 / (fan_in(shape) + fan_out(shape))));
}
Tensor xavier_normal(Rng& rng, const Shape& shape, double gain) {
  return normal(rng, shape, gain * std::sqrt(2 / (fan_in(shape) + fan_out(shape))));
}
Tensor kaiming_normal(Rng& rng, const Shape& shape) {
  return normal(rng, shape, std::sqrt(2 / fan_in(shape)));
}
Tensor kaiming_uniform(Rng& rng, const Shape& shape) {
  return uniform(rng, shape, std::sqrt(6 / fan_in(shape)));
}

}  // namespace gradus::nn
