#pragma once

#include "optim/optimizer.hpp"

namespace gradus::optim {

/// What Adam and AdamW share; t counts the steps of a parameter.
struct AdamState {
  Tensor m, v;  // first and second moments, of the parameter's shape
  std::int64_t t = 0;
};

/// Adam (Kingma and Ba 2015, algorithm 1):
///
///   m = beta1 m + (1 - beta1) g;   v = beta2 v + (1 - beta2) g^2
///   p = p - lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)
///
/// weight_decay is added to the gradient (L2), as in PyTorch's Adam. A row-sparse gradient leaves the moments
/// of the other rows as they are ("lazy").
struct AdamRule {
  struct Options {
    double lr = 1e-3;
    double beta1 = 0.9;
    double beta2 = 0.999;
    double eps = 1e-8;
    double weight_decay = 0;
  };
  using State = AdamState;

  /// Throws ArgumentError for a negative number or a beta of 1 or more.
  static void check(const Options& options);
  static void begin(const Options& options, State& state, const Tensor& parameter);
  template <class T>
  static void update(const Options& options, State& state, T* p, const Segment& segment);
};

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019): p shrinks by lr * weight_decay * p instead.
struct AdamWRule {
  struct Options {
    double lr = 1e-3;
    double beta1 = 0.9;
    double beta2 = 0.999;
    double eps = 1e-8;
    double weight_decay = 0.01;
  };
  using State = AdamState;

  static void check(const Options& options);
  static void begin(const Options& options, State& state, const Tensor& parameter);
  template <class T>
  static void update(const Options& options, State& state, T* p, const Segment& segment);
};

using Adam = Optimizer<AdamRule>;
using AdamW = Optimizer<AdamWRule>;

}  // namespace gradus::optim
