#pragma once

#include <cmath>

#include "autograd/module_path.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/reduction.hpp"
#include "tensor/ops/creation.hpp"

namespace gradus::nn {

struct LayerNormOptions {
  /// Added to the variance, so that equal elements do not divide by zero.
  double eps = 1e-5;
};

/// Layer normalisation (Ba, Kiros and Hinton 2016) over the last axis, (..., width) to (..., width):
///   y = (x - mean) / sqrt(var + eps) * weight + bias
/// The variance is that of the elements themselves, without Bessel's correction. weight starts as ones and
/// bias as zeros, as PyTorch's.
struct LayerNorm {
  Parameter weight, bias;  // (width)
  LayerNormOptions options;

  /// Throws ArgumentError for a width below 1 or an eps that is not positive.
  explicit LayerNorm(std::int64_t width, LayerNormOptions chosen = {}) : options(chosen) {
    if (width < 1 || !(chosen.eps > 0))
      fail<ArgumentError>("LayerNorm: width {} and eps {}; the width must be at least 1, eps above 0", width,
                          chosen.eps);
    weight = Parameter(ones({width}));
    bias = Parameter(zeros({width}));
  }

  /// Throws ShapeError when the last axis has another length than the width.
  Variable operator()(const Variable& x, Where where = Where::here()) const {
    const InModule here(*this);
    const InOp op("layer_norm", where);
    if (x.rank() < 1 || x.dim(-1) != weight.dim(0))
      fail<ShapeError>("LayerNorm: the input has shape {}; its last axis must be {}", x.shape(),
                       weight.dim(0));
    const Variable deviation = x - mean(x, -1, true);
    const Variable square = var(x, -1, {.correction = 0, .keepdims = true});
    if (in_range(square.value())) return deviation * rsqrt(square + options.eps) * weight + bias;
    // sqrt(var + eps) without squares, and their slopes, that leave the dtype.
    const Variable spread = hypot(stddev(x, -1, {.correction = 0, .keepdims = true}), std::sqrt(options.eps));
    return deviation / spread * weight + bias;
  }

  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
  }

 private:
  /// Whether the variances and their powers down to -3/2 are.
  bool in_range(const Tensor& variances) const {
    return variances.size() == 0 ||
           (min(variances).item() + options.eps > 1e-20 && max(variances).item() + options.eps < 1e20);
  }
};

}  // namespace gradus::nn
