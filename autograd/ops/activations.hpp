#pragma once

#include "autograd/elementwise.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"

/// Activation functions: formulas of elementwise functions, for Tensors, Variables and symbols alike. A
/// formula runs, with its gradient, in one pass (autograd/elementwise.hpp). Each branch of a `where` is
/// right, and can be differentiated, wherever it is chosen. Values and gradients stay finite for large |x|
/// where the mathematics does; the gradients at kinks are PyTorch's.
namespace gradus {

/// log(1 / (1 + exp(-x)))
auto log_sigmoid(const ElementwiseOperand auto& x, Where at = Where::here()) {
  return formula(
      "log_sigmoid", at, [](auto v) { return -log1p_exp(-v); }, x);
}

struct SoftplusOptions {
  double beta = 1;
  double threshold = 20;  // x itself where beta * x is above
};
/// log(1 + exp(beta x)) / beta
auto softplus(const ElementwiseOperand auto& x, SoftplusOptions options = {}, Where at = Where::here()) {
  const auto f = [](auto v, auto beta, auto threshold) {
    return where(v * beta > threshold, v, log1p_exp(v * beta) / beta);
  };
  return formula("softplus", at, f, x, options.beta, options.threshold);
}

/// x for x > 0, else slope * x. leaky_relu(x, slope) is one of the functions of two operands, so the slope
/// may be a Variable.
auto leaky_relu(const ElementwiseOperand auto& x, Where at = Where::here()) {
  return leaky_relu(x, 0.01, at);
}

/// x for x > 0, else alpha (exp(x) - 1): Clevert, Unterthiner and Hochreiter, 2015. elu(x, alpha) is one of
/// the functions of two operands.
auto elu(const ElementwiseOperand auto& x, Where at = Where::here()) {
  return elu(x, 1.0, at);
}

/// A scaled elu that keeps mean 0 and variance 1: Klambauer and others, 2017.
auto selu(const ElementwiseOperand auto& x, Where at = Where::here()) {
  return formula(
      "selu", at, [](auto v) { return 1.0507009873554804934193 * elu(v, 1.6732632423543772848170); }, x);
}

enum class GeluForm {
  exact,  // x times the normal distribution function of x
  tanh,   // 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
};
/// Hendrycks and Gimpel, 2016.
auto gelu(const ElementwiseOperand auto& x, GeluForm form = GeluForm::exact, Where at = Where::here()) {
  const auto exact = [](auto v) { return v * normal_cdf(v); };
  const auto with_tanh = [](auto v) { return v * gelu_gate(v); };
  return form == GeluForm::exact ? formula("gelu", at, exact, x) : formula("gelu", at, with_tanh, x);
}

/// x / (1 + exp(-x))
auto silu(const ElementwiseOperand auto& x, Where at = Where::here()) {
  return formula(
      "silu", at, [](auto v) { return v * sigmoid(v); }, x);
}

/// x tanh(log(1 + exp(x))): Misra, 2019.
auto mish(const ElementwiseOperand auto& x, Where at = Where::here()) {
  // The bound keeps the derivative from multiplying an infinite v with a slope of 0.
  return formula(
      "mish", at, [](auto v) { return v * mish_gate(where(v >= 1000, 1000, v)); }, x);
}

/// x between the bounds; at and beyond them the gradient is 0.
auto hardtanh(const ElementwiseOperand auto& x, double low = -1, double high = 1, Where at = Where::here()) {
  const auto f = [](auto v, auto l, auto h) { return apply(kernels::Ternary::clamp_flat, v, l, h); };
  return formula("hardtanh", at, f, x, low, high);
}

}  // namespace gradus
