#pragma once

#include "autograd/elementwise/symbol.hpp"
#include "autograd/variable.hpp"

/// Activation functions. Each is a formula that `elementwise` runs, with its gradient, in one pass, and also
/// works on symbols, within a function given to `elementwise`. Values and gradients stay finite for large |x|
/// where the mathematics does; the gradients at kinks are PyTorch's.
namespace gradus {

/// log(1 / (1 + exp(-x)))
Variable log_sigmoid(const Variable& x, Where where = Where::here());
Symbol log_sigmoid(const Symbol& x);

struct SoftplusOptions {
  double beta = 1;
  double threshold = 20;  // x itself where beta * x is above
};
/// log(1 + exp(beta x)) / beta
Variable softplus(const Variable& x, SoftplusOptions options = {}, Where where = Where::here());
Symbol softplus(const Symbol& x, SoftplusOptions options = {});

/// x for x > 0, else slope * x.
Variable leaky_relu(const Variable& x, double slope = 0.01, Where where = Where::here());
Symbol leaky_relu(const Symbol& x, double slope = 0.01);

/// x for x > 0, else alpha (exp(x) - 1): Clevert, Unterthiner and Hochreiter, 2015.
Variable elu(const Variable& x, double alpha = 1, Where where = Where::here());
Symbol elu(const Symbol& x, double alpha = 1);

/// A scaled elu that keeps mean 0 and variance 1: Klambauer and others, 2017.
Variable selu(const Variable& x, Where where = Where::here());
Symbol selu(const Symbol& x);

enum class GeluForm {
  exact,  // x times the normal distribution function of x
  tanh,   // 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
};
/// Hendrycks and Gimpel, 2016.
Variable gelu(const Variable& x, GeluForm form = GeluForm::exact, Where where = Where::here());
Symbol gelu(const Symbol& x, GeluForm form = GeluForm::exact);

/// x / (1 + exp(-x))
Variable silu(const Variable& x, Where where = Where::here());
Symbol silu(const Symbol& x);

/// x tanh(log(1 + exp(x))): Misra, 2019.
Variable mish(const Variable& x, Where where = Where::here());
Symbol mish(const Symbol& x);

/// x between the bounds; at and beyond them the gradient is 0.
Variable hardtanh(const Variable& x, double low = -1, double high = 1, Where where = Where::here());
Symbol hardtanh(const Symbol& x, double low = -1, double high = 1);

/// minimum(maximum(x, low), high): where the bounds cross, high wins. At the bounds the gradient goes to x,
/// beyond them to the bound, which may be a Variable too and broadcasts.
Variable clamp(const VariableOperand& x, const VariableOperand& low, const VariableOperand& high);

}  // namespace gradus
