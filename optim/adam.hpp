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
class AdamRule {
 public:
  struct Options {
    double lr = 1e-3;
    double beta1 = 0.9;
    double beta2 = 0.999;
    double eps = 1e-8;
    double weight_decay = decoupled ? 0.01 : 0;
  };

  /// Throws ArgumentError for a negative number or a beta of 1 or more.
  static void check(const Options& options);
  /// The first and second moments.
  static int kept(const Options&) { return 2; }

  AdamRule(const Options& options, std::int64_t t);
  template <class T>
  void update(const Run<T>& run) const;

 private:
  Options options_;
  double correction1_, correction2_;  // 1 - beta^t
};

using Adam = Optimizer<AdamRule<false>>;
using AdamW = Optimizer<AdamRule<true>>;

}  // namespace gradus::optim
