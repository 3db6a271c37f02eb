#pragma once

#include <cmath>
#include <type_traits>

#include "optim/optimizer.hpp"
#include "optim/rule.hpp"

/// The library's optimizers: each a rule, over Numbers, and a name. They follow PyTorch's definitions, and
/// differ from it for row-sparse gradients: the rows without a gradient stay as they are, and so does their
/// state.
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
  static int state(const Options& o) { return o.momentum > 0 ? 1 : 0; }

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

/// Adam (Kingma and Ba 2015, algorithm 1), t counting the steps of a parameter:
///
///   m = beta1 m + (1 - beta1) g;   v = beta2 v + (1 - beta2) g^2
///   p = p - lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)
///
/// weight_decay is added to the gradient (L2), as in PyTorch's Adam; with `decoupled`, which is AdamW
/// (Loshchilov and Hutter 2019), p shrinks by lr * weight_decay * p instead.
template <bool decoupled>
struct AdamRule {
  struct Options {
    double lr = 1e-3;
    double beta1 = 0.9;
    double beta2 = 0.999;
    double eps = 1e-8;
    double weight_decay = decoupled ? 0.01 : 0;
  };
  static void check(const Options& o) {
    check_options(decoupled ? "AdamW" : "Adam", {{"lr", o.lr, not_negative},
                                                 {"beta1", o.beta1, fraction},
                                                 {"beta2", o.beta2, fraction},
                                                 {"eps", o.eps, keeps_from_zero},
                                                 {"weight_decay", o.weight_decay, not_negative}});
  }

  Options options;
  double rate, root;  // lr and the root's factor, with the corrections of the first steps
  AdamRule(const Options& o, std::int64_t t)
      : options(o),
        rate(o.lr / (1 - std::pow(o.beta1, static_cast<double>(t)))),
        root(1 / std::sqrt(1 - std::pow(o.beta2, static_cast<double>(t)))) {}

  void update(auto& p, auto g, auto& m, auto& v) const {
    const auto& [lr, beta1, beta2, eps, decay] = options;
    g = mul_add(decoupled ? 0 : decay, p, g);
    m = mul_add(1 - beta1, g, beta1 * m);
    v = mul_add((1 - beta2) * g, g, beta2 * v);
    p = p * (decoupled ? 1 - lr * decay : 1) - rate * m / mul_add(sqrt(v), root, eps);
  }
};
using Adam = Optimizer<AdamRule<false>>;
using AdamW = Optimizer<AdamRule<true>>;

/// Adagrad (Duchi et al. 2011), t counting the steps of a parameter:
///
///   g = g + weight_decay * p;   s = s + g^2
///   p = p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(initial_accumulator_value + s) + eps)
struct AdagradRule {
  struct Options {
    double lr = 0.01;
    double lr_decay = 0;
    double weight_decay = 0;
    double initial_accumulator_value = 0;
    double eps = 1e-10;
  };
  static void check(const Options& o) {
    check_options("Adagrad", {{"lr", o.lr, not_negative},
                              {"lr_decay", o.lr_decay, not_negative},
                              {"weight_decay", o.weight_decay, not_negative},
                              {"initial_accumulator_value", o.initial_accumulator_value, not_negative},
                              {"eps", o.eps, keeps_from_zero}});
  }

  Options options;
  std::int64_t t;

  void update(auto& p, auto g, auto& s) const {
    const auto& [lr, lr_decay, weight_decay, initial, eps] = options;
    g = mul_add(weight_decay, p, g);
    s = mul_add(g, g, s);
    p -= lr / (1 + static_cast<double>(t - 1) * lr_decay) * g / (sqrt(initial + s) + eps);
  }
};
using Adagrad = Optimizer<AdagradRule>;

/// RMSprop (Hinton 2012, lecture 6e of "Neural networks for machine learning", in PyTorch's form):
///
///   g = g + weight_decay * p;   v = alpha v + (1 - alpha) g^2;   d = g / (sqrt(v) + eps)
///   p = p - lr * d,   or with momentum   u = momentum u + d;   p = p - lr * u
///
/// centered (Graves 2013, equations 38 to 45): the root is of v - m^2, with m = alpha m + (1 - alpha) g, so
/// that d is the gradient over its standard deviation.
struct RmspropRule {
  struct Options {
    double lr = 0.01;
    double alpha = 0.99;
    double eps = 1e-8;
    double weight_decay = 0;
    double momentum = 0;
    bool centered = false;
  };
  static void check(const Options& o) {
    check_options("Rmsprop", {{"lr", o.lr, not_negative},
                              {"alpha", o.alpha, fraction},
                              {"eps", o.eps, keeps_from_zero},
                              {"weight_decay", o.weight_decay, not_negative},
                              {"momentum", o.momentum, fraction}});
  }
  static int state(const Options& o) { return 1 + (o.centered ? 1 : 0) + (o.momentum > 0 ? 1 : 0); }

  Options options;
  std::int64_t t;

  void update(auto& p, auto g, auto& v) const { change(p, g, v, nullptr, nullptr); }
  void update(auto& p, auto g, auto& v, auto& m_or_u) const {
    options.centered ? change(p, g, v, &m_or_u, nullptr) : change(p, g, v, nullptr, &m_or_u);
  }
  void update(auto& p, auto g, auto& v, auto& m, auto& u) const { change(p, g, v, &m, &u); }

 private:
  template <class N>
  void change(N& p, N g, N& v, std::type_identity_t<N>* m, std::type_identity_t<N>* u) const {
    const auto& [lr, alpha, eps, weight_decay, momentum, centered] = options;
    g = mul_add(weight_decay, p, g);
    v = mul_add((1 - alpha) * g, g, alpha * v);
    N variance = v;
    if (m != nullptr) {
      *m = mul_add(1 - alpha, g, alpha * *m);
      variance = maximum(mul_add(-*m, *m, v), 0);  // rounding can leave less than 0 of equal gradients
    }
    N d = g / (sqrt(variance) + eps);
    if (u != nullptr) d = *u = mul_add(momentum, *u, d);
    p = mul_add(-lr, d, p);
  }
};
using Rmsprop = Optimizer<RmspropRule>;

/// The rules that are compiled for each instruction set.
using LibraryRules = RuleList<SgdRule, AdamRule<false>, AdamRule<true>, AdagradRule, RmspropRule>;

template <class Rule>
requires(LibraryRules::contains<Rule>) inline constexpr bool detail::is_vectorized<Rule> = true;

}  // namespace gradus::optim
