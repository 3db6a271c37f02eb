#pragma once

#include <cmath>

#include "optim/optimizer.hpp"
#include "optim/rule.hpp"

namespace gradus::optim {

/// Checks the options that the optimizers here have in common.
template <class Options>
void check_adam_options(const char* optimizer, const Options& o) {
  check_options(optimizer, {{"lr", o.lr, not_negative},
                            {"beta1", o.beta1, fraction},
                            {"beta2", o.beta2, fraction},
                            {"eps", o.eps, keeps_from_zero},
                            {"weight_decay", o.weight_decay, not_negative}});
}

/// What they make of a gradient: with the weight decay, its mean, and the mean of its square.
template <class Options, class N>
void update_mean(const Options& o, double decay, const N& p, N& g, N& m) {
  g = mul_add(decay, p, g);
  m = mul_add(1 - o.beta1, g, o.beta1 * m);
}
template <class Options, class N>
void update_means(const Options& o, double decay, const N& p, N& g, N& m, N& v) {
  update_mean(o, decay, p, g, m);
  v = mul_add((1 - o.beta2) * g, g, o.beta2 * v);
}

/// Adam (Kingma and Ba 2015, algorithm 1), t counting the steps of a parameter:
///
///   m = beta1 m + (1 - beta1) g;   v = beta2 v + (1 - beta2) g^2
///   p = p - lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)
///
/// weight_decay is added to the gradient (L2), as in PyTorch's Adam; with `decoupled`, which is AdamW
/// (Loshchilov and Hutter 2019), p shrinks by lr * weight_decay * p instead. With amsgrad (Reddi et al. 2018)
/// the largest v so far takes v's place in p's change.
template <bool decoupled>
struct AdamRule {
  struct Options {
    double lr = 1e-3;
    double beta1 = 0.9;
    double beta2 = 0.999;
    double eps = 1e-8;
    double weight_decay = decoupled ? 0.01 : 0;
    bool amsgrad = false;
  };
  static void check(const Options& o) { check_adam_options(decoupled ? "AdamW" : "Adam", o); }
  static StateNames state(const Options& o) {
    return o.amsgrad ? StateNames{"exp_avg", "exp_avg_sq", "max_exp_avg_sq"}
                     : StateNames{"exp_avg", "exp_avg_sq"};
  }

  Options options;
  double rate, root;  // lr and the root's factor, with the corrections of the first steps
  AdamRule(const Options& o, std::int64_t t)
      : options(o),
        rate(o.lr / (1 - std::pow(o.beta1, static_cast<double>(t)))),
        root(1 / std::sqrt(1 - std::pow(o.beta2, static_cast<double>(t)))) {}

  void update(auto& p, auto g, auto& m, auto& v) const {
    update_means(options, decoupled ? 0 : options.weight_decay, p, g, m, v);
    change(p, m, v);
  }
  void update(auto& p, auto g, auto& m, auto& v, auto& largest) const {
    update_means(options, decoupled ? 0 : options.weight_decay, p, g, m, v);
    largest = maximum(v, largest);
    change(p, m, largest);
  }

 private:
  template <class N>
  void change(N& p, const N& m, const N& v) const {
    p = p * (decoupled ? 1 - options.lr * options.weight_decay : 1) -
        rate * m / mul_add(sqrt(v), root, options.eps);
  }
};
using Adam = Optimizer<AdamRule<false>>;
using AdamW = Optimizer<AdamRule<true>>;

/// Adamax (Kingma and Ba 2015, algorithm 2, in PyTorch's form), t counting the steps of a parameter:
///
///   g = g + weight_decay * p;   m = beta1 m + (1 - beta1) g;   u = max(beta2 u, |g| + eps)
///   p = p - lr / (1 - beta1^t) * m / u
struct AdamaxRule {
  struct Options {
    double lr = 2e-3;
    double beta1 = 0.9;
    double beta2 = 0.999;
    double eps = 1e-8;
    double weight_decay = 0;
  };
  static void check(const Options& o) { check_adam_options("Adamax", o); }
  static StateNames state(const Options&) { return {"exp_avg", "exp_inf"}; }

  Options options;
  double rate;
  AdamaxRule(const Options& o, std::int64_t t)
      : options(o), rate(o.lr / (1 - std::pow(o.beta1, static_cast<double>(t)))) {}

  void update(auto& p, auto g, auto& m, auto& u) const {
    update_mean(options, options.weight_decay, p, g, m);
    u = maximum(options.beta2 * u, abs(g) + options.eps);
    p = p - rate * m / u;
  }
};
using Adamax = Optimizer<AdamaxRule>;

/// NAdam, Adam with Nesterov's momentum (Dozat 2016), t counting the steps of a parameter:
///
///   g = g + weight_decay * p;   m and v as Adam's;   mu_t = beta1 (1 - 0.96^(t * momentum_decay) / 2)
///   p = p - lr * ((1 - mu_t) / (1 - mu_1 ... mu_t) * g + mu_(t+1) / (1 - mu_1 ... mu_(t+1)) * m)
///           / (sqrt(v / (1 - beta2^t)) + eps)
struct NadamRule {
  struct Options {
    double lr = 2e-3;
    double beta1 = 0.9;
    double beta2 = 0.999;
    double eps = 1e-8;
    double weight_decay = 0;
    double momentum_decay = 4e-3;
  };
  static void check(const Options& o) {
    check_adam_options("Nadam", o);
    check_options("Nadam", {{"momentum_decay", o.momentum_decay, not_negative}});
  }
  static StateNames state(const Options&) { return {"exp_avg", "exp_avg_sq"}; }
  static constexpr const char* memory_name = "mu_product";

  Options options;
  double of_gradient, of_mean, root;
  /// `product` of the steps before; 0 at first.
  NadamRule(const Options& o, std::int64_t t, double& product) : options(o) {
    const auto mu = [&](std::int64_t step) {
      return o.beta1 * (1 - 0.5 * std::pow(0.96, static_cast<double>(step) * o.momentum_decay));
    };
    product = (t == 1 ? 1 : product) * mu(t);
    of_gradient = o.lr * (1 - mu(t)) / (1 - product);
    of_mean = o.lr * mu(t + 1) / (1 - product * mu(t + 1));
    root = 1 / std::sqrt(1 - std::pow(o.beta2, static_cast<double>(t)));
  }

  void update(auto& p, auto g, auto& m, auto& v) const {
    update_means(options, options.weight_decay, p, g, m, v);
    p = p - mul_add(of_gradient, g, of_mean * m) / mul_add(sqrt(v), root, options.eps);
  }
};
using Nadam = Optimizer<NadamRule>;

/// RAdam, whose steps are plain momentum's until v can be relied on (Liu et al. 2020, algorithm 2), t
/// counting the steps of a parameter:
///
///   g = g + weight_decay * p;   m and v as Adam's
///   rho = rho_inf - 2 t beta2^t / (1 - beta2^t), with rho_inf = 2 / (1 - beta2) - 1
///   p = p - lr * m / (1 - beta1^t), where rho > 5 times r * sqrt(1 - beta2^t) / (sqrt(v) + eps) with
///   r^2 = (rho - 4) (rho - 2) rho_inf / ((rho_inf - 4) (rho_inf - 2) rho)
struct RadamRule {
  struct Options {
    double lr = 1e-3;
    double beta1 = 0.9;
    double beta2 = 0.999;
    double eps = 1e-8;
    double weight_decay = 0;
  };
  static void check(const Options& o) { check_adam_options("Radam", o); }
  static StateNames state(const Options&) { return {"exp_avg", "exp_avg_sq"}; }

  Options options;
  double rate;
  bool rectified;
  RadamRule(const Options& o, std::int64_t step) : options(o) {
    const auto t = static_cast<double>(step);
    const double rest = 1 - std::pow(o.beta2, t), most = 2 / (1 - o.beta2) - 1;
    const double rho = most - 2 * t * (1 - rest) / rest;
    rate = o.lr / (1 - std::pow(o.beta1, t));
    rectified = rho > 5;
    if (rectified)
      rate *= std::sqrt((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho)) * std::sqrt(rest);
  }

  void update(auto& p, auto g, auto& m, auto& v) const {
    update_means(options, options.weight_decay, p, g, m, v);
    p = rectified ? p - rate * m / (sqrt(v) + options.eps) : mul_add(-rate, m, p);
  }
};
using Radam = Optimizer<RadamRule>;

template <bool decoupled>
inline constexpr bool detail::is_vectorized<AdamRule<decoupled>> = true;
template <>
inline constexpr bool detail::is_vectorized<AdamaxRule> = true;
template <>
inline constexpr bool detail::is_vectorized<NadamRule> = true;
template <>
inline constexpr bool detail::is_vectorized<RadamRule> = true;

}  // namespace gradus::optim
