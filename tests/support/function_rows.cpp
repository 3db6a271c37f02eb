#include "tests/support/function_rows.hpp"

#include <numbers>

#include "autograd/elementwise/derivatives.hpp"

namespace gradus::test {

namespace {

using kernels::Binary;
using kernels::Unary;

template <class Function>
Function named(const std::string& name, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    if (name == kernels::name_of(static_cast<Function>(i))) return static_cast<Function>(i);
  }
  fail<ArgumentError>("function_rows: there is no function {} of so many operands", name);
}

/// The derivative of digamma: psi'(x) = psi'(x + 1) + 1 / x^2 up to 20, then the asymptotic series.
Real trigamma(Real x) {
  if (x <= 0) {
    if (x == std::nearbyint(x)) return std::isinf(x) ? Real(NAN) : Real(INFINITY);
    const Real s = std::sin(std::numbers::pi_v<Real> * (x - std::nearbyint(x)));
    return std::pow(std::numbers::pi_v<Real> / s, Real(2)) - trigamma(1 - x);
  }
  Real sum = 0;
  for (; x < 20; x += 1) sum += 1 / (x * x);
  const Real z = 1 / (x * x);
  return sum + 1 / x + z / 2 +
         z / x * (1 / 6.0L - z * (1 / 30.0L - z * (1 / 42.0L - z * (1 / 30.0L - z * (5 / 66.0L)))));
}

/// By Halley's steps.
Real inverse_erf(Real x) {
  const Real size = std::abs(x);
  if (!(size < 1)) return size == 1 ? std::copysign(Real(INFINITY), x) : Real(NAN);
  Real y = size * std::sqrt(std::numbers::pi_v<Real>) / 2;
  if (size < 1e-12L) return std::copysign(y, x);
  for (int step = 0; step < 60; ++step) {
    const Real off = size < 0.5L ? std::erf(y) - size : (1 - size) - std::erfc(y);
    const Real newton = off * std::exp(y * y) * std::sqrt(std::numbers::pi_v<Real>) / 2;
    y -= newton / (1 + y * newton);
  }
  return std::copysign(y, x);
}

Real logistic(Real x) {
  return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x));
}
Real mish_gate(Real x) {
  return std::tanh(x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)));
}
Real gelu_argument(Real x) {
  return 1.595769121605730711760L * (x + 0.044715L * x * x * x);
}

}  // namespace

FunctionRow::FunctionRow(const char* of, Real (*value)(Real), Accuracy bounds, Range from)
    : name(of), exact([value](Real x, Real) { return value(x); }), accuracy(bounds), range(from) {
  const auto op = named<Unary>(of, kernels::unary_count);
  flat = !detail::has_derivative(op);
  is_composed = op == Unary::gelu_gate || op == Unary::gelu_gate_slope;
  on_tensors = [op](auto x) { return apply(op, x[0]); };
  on_variables = [op](auto x) { return apply(op, x[0]); };
  traced = [op](auto x) { return elementwise([op](auto v) { return apply(op, v); }, x[0]); };
}
FunctionRow::FunctionRow(const char* of, Real (*value)(Real, Real), Accuracy bounds, Range from)
    : name(of), operands(2), exact(value), accuracy(bounds), range(from) {
  const auto op = named<Binary>(of, kernels::binary_count);
  flat = !detail::has_derivative(op, 0) && !detail::has_derivative(op, 1);
  on_tensors = [op](auto x) { return apply(op, x[0], x[1]); };
  on_variables = [op](auto x) { return apply(op, x[0], x[1]); };
  traced = [op](auto x) { return elementwise([op](auto v, auto w) { return apply(op, v, w); }, x[0], x[1]); };
}

const std::vector<FunctionRow>& function_rows() {
  constexpr Accuracy rounded{0.51, 0.51};  // to the nearest number, or nearly
  constexpr Accuracy to_one{4, 4, true};
  constexpr Range positive{.low = 0.5, .high = 3}, inside_one{.low = -0.8, .high = 0.8}, no_kink{.gap = 0.1};
  static const std::vector<FunctionRow> all{
      {"neg", [](Real x) { return -x; }, rounded},
      {"abs", [](Real x) { return std::abs(x); }, rounded, no_kink},
      {"sign", [](Real x) { return std::isnan(x) ? x : Real((x > 0) - (x < 0)); }, rounded},
      {"square", [](Real x) { return x * x; }, rounded},
      {"cube", [](Real x) { return x * x * x; }, {1, 1}},
      {"sqrt", [](Real x) { return std::sqrt(x); }, rounded, positive},
      {"rsqrt", [](Real x) { return 1 / std::sqrt(x); }, {2, 2}, positive},
      {"reciprocal", [](Real x) { return 1 / x; }, rounded, {.gap = 0.5}},
      {"exp", [](Real x) { return std::exp(x); }, {2, 4}},
      {"exp2", [](Real x) { return std::exp2(x); }, {2, 2}},
      {"expm1", [](Real x) { return std::expm1(x); }, {2, 4}},
      {"log", [](Real x) { return std::log(x); }, {2, 4}, positive},
      {"log1p", [](Real x) { return std::log1p(x); }, {2, 4}, {.low = -0.5, .high = 2}},
      {"log2", [](Real x) { return std::log2(x); }, {2, 4}, positive},
      {"log10", [](Real x) { return std::log10(x); }, {2, 2}, positive},
      {"sin", [](Real x) { return std::sin(x); }, {2, 4}},
      {"cos", [](Real x) { return std::cos(x); }, {2, 4}},
      {"tan", [](Real x) { return std::tan(x); }, {4, 4}, {.low = -1, .high = 1}},
      {"asin", [](Real x) { return std::asin(x); }, {4, 4}, inside_one},
      {"acos", [](Real x) { return std::acos(x); }, {4, 4}, inside_one},
      {"atan", [](Real x) { return std::atan(x); }, {4, 4}},
      {"sinh", [](Real x) { return std::sinh(x); }, {4, 4}},
      {"cosh", [](Real x) { return std::cosh(x); }, {4, 4}},
      {"tanh", [](Real x) { return std::tanh(x); }, {2, 4}},
      {"asinh", [](Real x) { return std::asinh(x); }, {4, 4}},
      {"acosh", [](Real x) { return std::acosh(x); }, {4, 4}, {.low = 1.5, .high = 4}},
      {"atanh", [](Real x) { return std::atanh(x); }, {4, 4}, inside_one},
      {"erf", [](Real x) { return std::erf(x); }, {2, 4}},
      {"erfc", [](Real x) { return std::erfc(x); }, {4, 8}},
      {"erfinv", inverse_erf, {0.6, 3}, inside_one},
      {"lgamma", [](Real x) { return std::lgamma(x); }, {4, 8}, positive},
      {"sigmoid", logistic, {2, 4}},
      {"sigmoid_slope",
       [](Real x) {
         const Real e = std::exp(-std::abs(x));
         return e / ((1 + e) * (1 + e));
       },
       {4, 4}},
      {"tanh_slope",
       [](Real x) {
         const Real e = std::exp(-2 * std::abs(x));
         return 4 * e / ((1 + e) * (1 + e));
       },
       {4, 4}},
      {"log1p_exp",
       [](Real x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); },
       {2, 4}},
      {"gelu_gate", [](Real x) { return logistic(gelu_argument(x)); }, {4, 4}},
      {"gelu_gate_slope",
       [](Real x) {
         const Real both = logistic(gelu_argument(x)) * logistic(-gelu_argument(x));
         if (both == 0) return both;  // at infinity too
         return both * (1.595769121605730711760L * (1 + 3 * 0.044715L * x * x));
       },
       {8, 8}},
      {"gaussian", [](Real x) { return std::exp(-x * x / 2); }, {4, 4}},
      {"normal_cdf", [](Real x) { return std::erfc(-x / std::numbers::sqrt2_v<Real>) / 2; }, {6, 6}},
      {"erfinv_slope",
       [](Real x) {
         const Real y = inverse_erf(x);
         return std::isnan(y) ? y : std::exp(y * y) * std::sqrt(std::numbers::pi_v<Real>) / 2;
       },
       {0.6, 8},
       inside_one},
      {"mish_gate", [](Real x) { return mish_gate(x); }, {4, 4}},
      {"mish_gate_slope",
       [](Real x) {
         const Real w = std::exp(-std::abs(x)), under = x < 0 ? w * w + 2 * w + 2 : 1 + 2 * w + 2 * w * w;
         return 4 * (w + w * w) / (under * under) * (x < 0 ? 1 : w);
       },
       {6, 6}},
      {"logit",
       [](Real x) { return x < 0.25L ? std::log(x) - std::log1p(-x) : 2 * std::atanh(2 * x - 1); },
       {4, 4},
       {.low = 0.1, .high = 0.9}},
      {"logit_slope", [](Real x) { return 1 / (x * (1 - x)); }, {3, 3}, {.low = 0.1, .high = 0.9}},
      {"relu", [](Real x) { return x <= 0 ? 0 : x; }, rounded, no_kink},
      {"floor", [](Real x) { return std::floor(x); }, rounded},
      {"ceil", [](Real x) { return std::ceil(x); }, rounded},
      {"round", [](Real x) { return std::nearbyint(x); }, rounded},
      {"trunc", [](Real x) { return std::trunc(x); }, rounded},

      {"add", [](Real a, Real b) { return a + b; }, rounded},
      {"sub", [](Real a, Real b) { return a - b; }, rounded},
      {"mul", [](Real a, Real b) { return a * b; }, rounded},
      {"div", [](Real a, Real b) { return a / b; }, rounded, {.gap = 0.5}},
      {"maximum", [](Real a, Real b) { return a > b || std::isnan(a) ? a : b; }, rounded, {.apart = 5}},
      {"minimum", [](Real a, Real b) { return a < b || std::isnan(a) ? a : b; }, rounded, {.apart = 5}},
      {"pow", [](Real a, Real b) { return std::pow(a, b); }, {1, 1}, positive},
      {"atan2", [](Real a, Real b) { return std::atan2(a, b); }, {2, 1}, {.gap = 0.5}},
      {"fmod", [](Real a, Real b) { return std::fmod(a, b); }, rounded, {.low = 2, .high = 3, .apart = 1.5}},
      {"hypot", [](Real a, Real b) { return std::hypot(a, b); }, {1, 1}, {.gap = 0.5}},
      {"logaddexp",
       [](Real a, Real b) {
         return (a > b || std::isnan(a) ? a : b) + std::log1p(std::exp(-std::abs(a == b ? 0 : a - b)));
       },
       {2, 3, true}},
      {"xlogy",
       [](Real a, Real b) { return a == 0 && !std::isnan(b) ? 0 : a * std::log(b); },
       {3, 3},
       positive},
      {"leaky_relu", [](Real a, Real b) { return a > 0 ? a : a * b; }, rounded, no_kink},
      {"elu", [](Real a, Real b) { return a <= 0 ? b * std::expm1(a) : a; }, {2, 3}, no_kink},
      {"less", [](Real a, Real b) { return Real(a < b); }, rounded},
      {"less_equal", [](Real a, Real b) { return Real(a <= b); }, rounded},
      {"greater", [](Real a, Real b) { return Real(a > b); }, rounded},
      {"greater_equal", [](Real a, Real b) { return Real(a >= b); }, rounded},
      {"equal", [](Real a, Real b) { return Real(a == b); }, rounded},
      {"not_equal", [](Real a, Real b) { return Real(a != b); }, rounded},
      {"polygamma", [](const auto& x) { return polygamma(1, x); }, trigamma, {4, 64}, positive},

      {"sinc",
       [](const auto& x) { return sinc(x); },
       [](Real x) {
         const Real pi = std::numbers::pi_v<Real>, whole = std::nearbyint(x);
         if (x == 0 || std::isinf(x)) return Real(x == 0);
         return std::sin(pi * (x - whole)) * (std::fmod(whole, Real(2)) == 0 ? 1 : -1) / (pi * x);
       },
       {0.6, 3}},

      {"log_sigmoid",
       [](const auto& x) { return log_sigmoid(x); },
       [](Real x) { return x < 0 ? x - std::log1p(std::exp(x)) : -std::log1p(std::exp(-x)); },
       {4, 4}},
      {"softplus", [](const auto& x) { return softplus(x); },
       [](Real x) { return x > 20 ? x : std::log1p(std::exp(x)); }, to_one},
      {"softplus_200", [](const auto& x) { return softplus(x, {.threshold = 200}); },
       [](Real x) { return x > 200 ? x
                           : x > 0 ? x + std::log1p(std::exp(-x))
                                   : std::log1p(std::exp(x)); },
       to_one},
      {"leaky_relu_quarter", [](const auto& x) { return leaky_relu(x, 0.25); },
       [](Real x) { return x > 0 ? x : x / 4; }, rounded, no_kink},
      {"elu_1",
       [](const auto& x) { return elu(x); },
       [](Real x) { return x > 0 ? x : std::expm1(x); },
       {2, 4},
       no_kink},
      {"selu",
       [](const auto& x) { return selu(x); },
       [](Real x) {
         return 1.0507009873554804934193L * (x > 0 ? x : 1.6732632423543772848170L * std::expm1(x));
       },
       {4, 4},
       no_kink},
      {"gelu", [](const auto& x) { return gelu(x); },
       [](Real x) { return 0.5L * x * std::erfc(-x / std::numbers::sqrt2_v<Real>); }, to_one},
      {"gelu_tanh", [](const auto& x) { return gelu(x, GeluForm::tanh); },
       [](Real x) { return x * logistic(gelu_argument(x)); }, to_one},
      {"silu", [](const auto& x) { return silu(x); }, [](Real x) { return x / (1 + std::exp(-x)); }, to_one},
      {"mish", [](const auto& x) { return mish(x); },
       [](Real x) { return x * std::tanh(std::log1p(std::exp(x))); }, to_one},
      {"hardtanh", [](const auto& x) { return hardtanh(x, -5, 5); },
       [](Real x) { return x < -5  ? -5
                           : x > 5 ? 5
                                   : x; }, rounded},
  };
  return all;
}

}  // namespace gradus::test
