#include "autograd/ops/activations.hpp"

#include "autograd/elementwise.hpp"

namespace gradus {

namespace {

/// Records `elementwise(f, operands...)` under the name of an op. Parameters are passed as operands, so that
/// f captures nothing and is traced once.
template <class F, class... Numbers>
Variable record_traced(const Op& op, const F& f, const Variable& x, Numbers... parameters) {
  return [&](const auto&... operands) {
    return detail::record_formula(op, detail::formula_of<sizeof...(operands)>(f), {&operands...});
  }(VariableOperand(x), VariableOperand(parameters)...);
}

// The formulas on symbols; the parameters are symbols too. Each branch of a `where` is right, and can be
// differentiated, wherever it is chosen.
Symbol softplus_of(const Symbol& x, const Symbol& beta, const Symbol& threshold) {
  const Symbol z = x * beta;
  return where(z > threshold, x, log1p(exp(z)) / beta);
}
Symbol leaky_relu_of(const Symbol& x, const Symbol& slope) {
  return where(x > 0, x, x * slope);
}
Symbol elu_of(const Symbol& x, const Symbol& alpha) {
  return where(x <= 0, alpha * expm1(x), x);
}
Symbol gelu_exact(const Symbol& x) {
  constexpr double sqrt_half = 0.707106781186547524401;
  return 0.5 * x * erfc(-sqrt_half * x);
}
Symbol gelu_tanh(const Symbol& x) {
  constexpr double sqrt_two_over_pi = 0.797884560802865355880;
  return 0.5 * x * (1 + tanh(sqrt_two_over_pi * (x + 0.044715 * (x * x * x))));
}
Symbol hardtanh_of(const Symbol& x, const Symbol& low, const Symbol& high) {
  return where(x <= low, low, where(x >= high, high, x));
}

}  // namespace

Symbol log_sigmoid(const Symbol& x) {
  return where(x < 0, x - log1p(exp(x)), -log1p(exp(-x)));
}
Symbol softplus(const Symbol& x, SoftplusOptions options) {
  return softplus_of(x, options.beta, options.threshold);
}
Symbol leaky_relu(const Symbol& x, double slope) {
  return leaky_relu_of(x, slope);
}
Symbol elu(const Symbol& x, double alpha) {
  return elu_of(x, alpha);
}
Symbol selu(const Symbol& x) {
  constexpr double scale = 1.0507009873554804934193, alpha = 1.6732632423543772848170;
  return scale * elu(x, alpha);
}
Symbol gelu(const Symbol& x, GeluForm form) {
  return form == GeluForm::exact ? gelu_exact(x) : gelu_tanh(x);
}
Symbol silu(const Symbol& x) {
  return x * sigmoid(x);
}
Symbol mish(const Symbol& x) {
  return x * tanh(softplus(x));
}
Symbol hardtanh(const Symbol& x, double low, double high) {
  return hardtanh_of(x, low, high);
}

Variable log_sigmoid(const Variable& x, Where where) {
  return record_traced(
      {"log_sigmoid", where}, [](auto v) { return log_sigmoid(v); }, x);
}
Variable softplus(const Variable& x, SoftplusOptions options, Where where) {
  return record_traced(
      {"softplus", where}, [](auto... v) { return softplus_of(v...); }, x, options.beta, options.threshold);
}
Variable leaky_relu(const Variable& x, double slope, Where where) {
  return record_traced(
      {"leaky_relu", where}, [](auto... v) { return leaky_relu_of(v...); }, x, slope);
}
Variable elu(const Variable& x, double alpha, Where where) {
  return record_traced(
      {"elu", where}, [](auto... v) { return elu_of(v...); }, x, alpha);
}
Variable selu(const Variable& x, Where where) {
  return record_traced(
      {"selu", where}, [](auto v) { return selu(v); }, x);
}
Variable gelu(const Variable& x, GeluForm form, Where where) {
  if (form == GeluForm::exact) {
    return record_traced(
        {"gelu", where}, [](auto v) { return gelu_exact(v); }, x);
  }
  return record_traced(
      {"gelu", where}, [](auto v) { return gelu_tanh(v); }, x);
}
Variable silu(const Variable& x, Where where) {
  return record_traced(
      {"silu", where}, [](auto v) { return silu(v); }, x);
}
Variable mish(const Variable& x, Where where) {
  return record_traced(
      {"mish", where}, [](auto v) { return mish(v); }, x);
}
Variable hardtanh(const Variable& x, double low, double high, Where where) {
  return record_traced(
      {"hardtanh", where}, [](auto... v) { return hardtanh_of(v...); }, x, low, high);
}
Variable clamp(const VariableOperand& x, const VariableOperand& low, const VariableOperand& high) {
  const auto formula = detail::formula_of<3>([](auto... v) { return clamp(v...); });
  return detail::record_formula({"clamp", x.where}, formula, {&x, &low, &high});
}

}  // namespace gradus
