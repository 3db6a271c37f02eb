#pragma once

#include <cmath>
#include <optional>

#include "autograd/module_path.hpp"
#include "autograd/ops/matmul.hpp"
#include "nn/init.hpp"
#include "nn/lora_adapter.hpp"

namespace gradus::nn {

struct LinearOptions {
  bool bias = true;
};

/// y = x W^T + b over the last axis: (..., in) to (..., out). Initial weights are uniform within 1/sqrt(in)
/// of 0, as PyTorch's.
struct Linear {
  Parameter weight;                 // (out, in)
  Parameter bias;                   // (out); has no value with LinearOptions::bias = false
  std::optional<LoraAdapter> lora;  // given by add_lora (nn/lora.hpp)

  Linear(Rng& rng, std::int64_t in, std::int64_t out, LinearOptions options = {}) {
    if (in < 1 || out < 1)
      fail<ArgumentError>("Linear: widths of {} and {}; both must be at least 1", in, out);
    const double bound = 1 / std::sqrt(static_cast<double>(in));
    weight = Parameter(uniform(rng, {out, in}, bound));
    if (options.bias) bias = Parameter(uniform(rng, {out}, bound));
  }

  Variable operator()(const Variable& x, Where where = Where::here()) const {
    const InModule here(*this);
    if (lora) [[unlikely]]
      return lora->call(x, weight, bias, where);
    return linear(x, weight, bias, where);
  }

  /// The weight with what an adapter adds to it, for what reads the weight itself, such as a loss over a
  /// large vocabulary (nn/losses.hpp).
  Variable effective_weight(Where where = Where::here()) const {
    return lora ? lora->added_to(weight, where) : Variable(weight);
  }

  /// An adapter is a part of its own until it is merged.
  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
    if (!self.lora || self.lora->is_merged()) return;
    visit("lora_A.weight", self.lora->a);
    visit("lora_B.weight", self.lora->b);
  }
};

}  // namespace gradus::nn
