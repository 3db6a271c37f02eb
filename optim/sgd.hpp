#pragma once

#include "optim/optimizer.hpp"

namespace gradus::optim {

/// Stochastic gradient descent with momentum (Sutskever et al. 2013, in PyTorch's form):
///
///   g' = g + weight_decay * p;   v = momentum * v + g'
///   p = p - lr * v,   or with Nesterov's momentum   p = p - lr * (g' + momentum * v)
struct SgdRule {
  struct Options {
    double lr = 0.01;
    double momentum = 0;
    bool nesterov = false;
    double weight_decay = 0;
  };
  struct State {
    Tensor velocity;  // of the parameter's shape; undefined without momentum
  };

  /// Throws ArgumentError for a negative number, momentum of 1 or more, or Nesterov without momentum.
  static void check(const Options& options);
  static void begin(const Options& options, State& state, const Tensor& parameter);

  template <class T>
  static void update(const Options& options, State& state, T* p, const Segment& segment);
};

using Sgd = Optimizer<SgdRule>;

}  // namespace gradus::optim
