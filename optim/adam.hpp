#pragma once

#include "optim/optimizer.hpp"

namespace gradus::optim {

/// Adam (Kingma and Ba 2015, algorithm 1), t counting the steps of a parameter:
///
///   m = beta1 m + (1 - beta1) g;   v = beta2 v + (1 - beta2) g^2
///   p = p - lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)
///
/// weight_decay is added to the gradient (L2), as in PyTorch's Adam; with `decoupled`, which is AdamW
/// (Loshchilov and Hutter 2019), p shrinks by lr * weight_decay * p instead. A row-sparse gradient leaves the
/// moments of the other rows as they are ("lazy").
template <bool decoupled>
struct AdamRule {
  struct Options {
    double lr = 1e-3;
    double beta1 = 0.9;
    double beta2 = 0.999;
    double eps = 1e-8;
    double weight_decay = decoupled ? 0.01 : 0;
  };
  struct State {
    Tensor m, v;  // first and second moments, of the parameter's shape
    std::int64_t t = 0;
  };

  /// Throws ArgumentError for a negative number or a beta of 1 or more.
  static void check(const Options& options);
  static void begin(const Options& options, State& state, const Tensor& parameter);
  template <class T>
  static void update(const Options& options, State& state, T* p, const Segment& segment);
};

using Adam = Optimizer<AdamRule<false>>;
using AdamW = Optimizer<AdamRule<true>>;

}  // namespace gradus::optim
