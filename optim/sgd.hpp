#pragma once

#include "optim/optimizer.hpp"

namespace gradus::optim {

/// Stochastic gradient descent with momentum (Sutskever et al. 2013, in PyTorch's form):
///
///   g' = g + weight_decay * p;   v = momentum * v + g'
///   p = p - lr * v,   or with Nesterov's momentum   p = p - lr * (g' + momentum * v)
class SgdRule {
 public:
  struct Options {
    double lr = 0.01;
    double momentum = 0;
    bool nesterov = false;
    double weight_decay = 0;
  };

  /// Throws ArgumentError for a negative number, momentum of 1 or more, or Nesterov without momentum.
  static void check(const Options& options);
  /// The velocity, when there is momentum.
  static int kept(const Options& options) { return options.momentum > 0 ? 1 : 0; }

  SgdRule(const Options& options, std::int64_t) : options_(options) {}
  template <class T>
  void update(const Run<T>& run) const;

 private:
  Options options_;
};

using Sgd = Optimizer<SgdRule>;

}  // namespace gradus::optim
