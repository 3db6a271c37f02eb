#pragma once

#include <algorithm>
#include <cmath>

#include "optim/optimizer.hpp"
#include "optim/rule.hpp"

namespace gradus::optim {

/// Stochastic gradient descent with momentum (Sutskever et al. 2013, in PyTorch's form):
///
///   g = g + weight_decay * p;   v = momentum * v + g
///   p = p - lr * v,   or with Nesterov's momentum   p = p - lr * (g + momentum * v)
struct SgdRule {
  struct Options {
    double lr = 0.01;
    double momentum = 0;
    bool nesterov = false;
    double weight_decay = 0;
  };
  static void check(const Options& o) {
    check_options("Sgd", {{"lr", o.lr, not_negative},
                          {"momentum", o.momentum, fraction},
                          {"weight_decay", o.weight_decay, not_negative}});
    if (o.nesterov && o.momentum == 0) fail<ArgumentError>("Sgd: nesterov needs a momentum above 0");
  }
  static StateNames state(const Options& o) {
    return o.momentum > 0 ? StateNames{"momentum_buffer"} : StateNames{};
  }

  Options options;
  std::int64_t t;

  void update(auto& p, auto g) const {
    g = mul_add(options.weight_decay, p, g);
    p = mul_add(-options.lr, g, p);
  }
  void update(auto& p, auto g, auto& v) const {
    g = mul_add(options.weight_decay, p, g);
    v = mul_add(options.momentum, v, g);
    p = mul_add(-options.lr, options.nesterov ? mul_add(options.momentum, v, g) : v, p);
  }
};
using Sgd = Optimizer<SgdRule>;

/// Averaged stochastic gradient descent (Polyak and Juditsky 1992), t counting the steps of a parameter:
///
///   g = g + weight_decay * p;   eta = lr / (1 + lambd * lr * (t - 1))^alpha
///   p = p - lambd * eta * p - eta * g;   ax = ax + (p - ax) / max(1, t - 1 - t0)
///
/// so ax, its state "ax", is p itself at first, and from step t0 + 2 on the mean of what p was since.
/// `WeightAverage` averages under any optimizer.
struct AsgdRule {
  struct Options {
    double lr = 0.01;
    double lambd = 1e-4;
    double alpha = 0.75;
    double t0 = 1e6;
    double weight_decay = 0;
  };
  static void check(const Options& o) {
    check_options("Asgd", {{"lr", o.lr, not_negative},
                           {"lambd", o.lambd, not_negative},
                           {"alpha", o.alpha, not_negative},
                           {"t0", o.t0, not_negative},
                           {"weight_decay", o.weight_decay, not_negative}});
  }
  static StateNames state(const Options&) { return {"ax"}; }

  Options options;
  double eta, share;
  AsgdRule(const Options& o, std::int64_t t)
      : options(o),
        eta(o.lr / std::pow(1 + o.lambd * o.lr * static_cast<double>(t - 1), o.alpha)),
        share(1 / std::max(1.0, static_cast<double>(t - 1) - o.t0)) {}

  void update(auto& p, auto g, auto& ax) const {
    g = mul_add(options.weight_decay, p, g);
    p = mul_add(-eta, g, (1 - options.lambd * eta) * p);
    ax = share == 1 ? p : mul_add(share, p - ax, ax);
  }
};
using Asgd = Optimizer<AsgdRule>;

/// Lion (Chen et al. 2023, algorithm 2):
///
///   p = p - lr * (sign(beta1 m + (1 - beta1) g) + weight_decay * p);   m = beta2 m + (1 - beta2) g
struct LionRule {
  struct Options {
    double lr = 1e-4;
    double beta1 = 0.9;
    double beta2 = 0.99;
    double weight_decay = 0;
  };
  static void check(const Options& o) {
    check_options("Lion", {{"lr", o.lr, not_negative},
                           {"beta1", o.beta1, fraction},
                           {"beta2", o.beta2, fraction},
                           {"weight_decay", o.weight_decay, not_negative}});
  }
  static StateNames state(const Options&) { return {"exp_avg"}; }

  Options options;
  std::int64_t t;

  void update(auto& p, auto g, auto& m) const {
    const auto& [lr, beta1, beta2, weight_decay] = options;
    p = mul_add(-lr, sign(mul_add(1 - beta1, g, beta1 * m)), (1 - lr * weight_decay) * p);
    m = mul_add(1 - beta2, g, beta2 * m);
  }
};
using Lion = Optimizer<LionRule>;

template <>
inline constexpr bool detail::is_vectorized<SgdRule> = true;
template <>
inline constexpr bool detail::is_vectorized<AsgdRule> = true;
template <>
inline constexpr bool detail::is_vectorized<LionRule> = true;

}  // namespace gradus::optim
