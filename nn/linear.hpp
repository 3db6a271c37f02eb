#pragma once

#include <cmath>

#include "autograd/module_path.hpp"
#include "autograd/ops/matmul.hpp"
#include "nn/init.hpp"

namespace gradus::nn {

struct LinearOptions {
  bool bias = true;
};

/// y = x W^T + b over the last axis: (..., in) to (..., out). Initial weights are uniform within 1/sqrt(in)
/// of 0, as PyTorch's.
struct Linear {
  Parameter weight;  // (out, in)
  Parameter bias;    // (out); has no value with LinearOptions::bias = false

  Linear(Rng& rng, std::int64_t in, std::int64_t out, LinearOptions options = {}) {
    if (in < 1 || out < 1)
      fail<ArgumentError>("Linear: widths of {} and {}; both must be at least 1", in, out);
    const double bound = 1 / std::sqrt(static_cast<double>(in));
    weight = Parameter(uniform(rng, {out, in}, bound));
    if (options.bias) bias = Parameter(uniform(rng, {out}, bound));
  }

  Variable operator()(const Variable& x, Where where = Where::here()) const {
    const InModule here(*this);
    return linear(x, weight, bias, where);
  }

  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
  }
};

}  // namespace gradus::nn
