#pragma once

#include <type_traits>

#include "optim/optimizer.hpp"
#include "optim/rule.hpp"

namespace gradus::optim {

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
  static StateNames state(const Options&) { return {"sum"}; }

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

/// Adadelta (Zeiler 2012, algorithm 1), of which lr multiplies the changes:
///
///   g = g + weight_decay * p;   v = rho v + (1 - rho) g^2;   d = sqrt((u + eps) / (v + eps)) g
///   u = rho u + (1 - rho) d^2;   p = p - lr * d
struct AdadeltaRule {
  struct Options {
    double lr = 1;
    double rho = 0.9;
    double eps = 1e-6;
    double weight_decay = 0;
  };
  static void check(const Options& o) {
    check_options("Adadelta", {{"lr", o.lr, not_negative},
                               {"rho", o.rho, fraction},
                               {"eps", o.eps, keeps_from_zero},
                               {"weight_decay", o.weight_decay, not_negative}});
  }
  static StateNames state(const Options&) { return {"square_avg", "acc_delta"}; }

  Options options;
  std::int64_t t;

  void update(auto& p, auto g, auto& v, auto& u) const {
    const auto& [lr, rho, eps, weight_decay] = options;
    g = mul_add(weight_decay, p, g);
    v = mul_add((1 - rho) * g, g, rho * v);
    const auto d = sqrt(u + eps) / sqrt(v + eps) * g;
    u = mul_add((1 - rho) * d, d, rho * u);
    p = mul_add(-lr, d, p);
  }
};
using Adadelta = Optimizer<AdadeltaRule>;

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
  static StateNames state(const Options& o) {
    StateNames names{"square_avg"};
    if (o.centered) names.add("grad_avg");
    if (o.momentum > 0) names.add("momentum_buffer");
    return names;
  }

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

template <>
inline constexpr bool detail::is_vectorized<AdagradRule> = true;
template <>
inline constexpr bool detail::is_vectorized<AdadeltaRule> = true;
template <>
inline constexpr bool detail::is_vectorized<RmspropRule> = true;

}  // namespace gradus::optim
