#include "autograd/ops/activations.hpp"

#include "autograd/elementwise.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "tests/autograd/gradient_table/gradient_table.hpp"

namespace gradus::test {

std::vector<GradientRow> activation_rows() {
  const std::vector<std::vector<Shape>> three_inputs{
      {{}, {}, {}},   {{3}, {}, {1}},   {{2, 3}, {3}, {2, 1}},  {{1}, {4, 1}, {2, 1, 3}},
      {{0}, {1}, {}}, {{2, 0}, {}, {}}, {{2, 1, 3, 1}, {2}, {}}};
  return {
      {"log_sigmoid", [](Inputs x) { return log_sigmoid(8 * x[0]); }, one_input},
      {"softplus",
       [](Inputs x) { return softplus(x[0], {.beta = 3, .threshold = 2}); },
       one_input,
       {.low = -2, .high = 0.6}},
      {"softplus",
       [](Inputs x) { return softplus(x[0], {.beta = 3, .threshold = 2}) * x[0]; },
       one_input,
       {.low = 0.7, .high = 2}},
      {"leaky_relu", [](Inputs x) { return leaky_relu(x[0], 0.2) * x[0]; }, one_input, {.gap = 0.1}},
      {"leaky_relu", [](Inputs x) { return leaky_relu(x[0], x[1]) * x[1]; }, two_inputs, {.gap = 0.1}},
      {"elu", [](Inputs x) { return elu(x[0], 0.7); }, one_input, {.gap = 0.1}},
      {"elu", [](Inputs x) { return elu(x[0], x[1]); }, two_inputs, {.gap = 0.1}},
      {"gelu", [](Inputs x) { return gelu(x[0], GeluForm::tanh); }, one_input},
      {"hardtanh", [](Inputs x) { return hardtanh(x[0] * x[0], -2, 0.01); }, one_input, {.gap = 0.2}},
      {"hardtanh", [](Inputs x) { return hardtanh(x[0] * x[0], -2, 5); }, one_input},
      {"clamp", [](Inputs x) { return clamp(x[0] * x[0], 0.01, 9) * x[0]; }, one_input, {.gap = 0.2}},
      {"clamp",
       [](Inputs x) { return clamp(x[0] * x[1] * x[2], 9 * x[1], 10 + x[2]); },
       three_inputs,
       {.low = 0.1, .high = 0.9}},
      {"clamp",
       [](Inputs x) { return clamp(x[0] * x[1], -9 - x[1], x[2] * x[2] - 9); },
       three_inputs,
       {.low = 0.1, .high = 0.9}},
      {"clamp_flat",
       [](Inputs x) { return clamp_flat(x[0], -1, 1) * x[0]; },
       one_input,
       {.low = -0.9, .high = 0.9}},
      {"within", [](Inputs x) { return within(x[0], -1, 1) * x[0]; }, one_input, {.low = -0.9, .high = 0.9}},
      {"inside", [](Inputs x) { return inside(x[0], -1, 1) * x[0]; }, one_input, {.low = -0.9, .high = 0.9}},
      {"fma", [](Inputs x) { return fma(x[0], x[1], x[2]); }, three_inputs},
      {"elementwise",
       [](Inputs x) {
         return elementwise([](auto a, auto b, auto c) { return a * b + c * sin(a) - exp(b * c); }, x[0],
                            x[1], x[2]);
       },
       three_inputs},
      {"elementwise",
       [](Inputs x) {
         return elementwise(
             [](auto a, auto b) { return where(a * a > 100, exp(1e3 * a), tanh(a) * sigmoid(b)); }, x[0],
             x[1]);
       },
       two_inputs},
      // whose last step is read from the result
      {"elementwise", [](Inputs x) { return elementwise([](auto a) { return exp(a); }, x[0]); }, one_input},
      {"elementwise",
       [](Inputs x) {
         return elementwise([](auto w, auto a, auto b) { return tanh(w * a + b); }, x[0], x[1], x[2]);
       },
       three_inputs},
      {"elementwise",
       [](Inputs x) {
         const double k = 1.5;
         return elementwise([k](auto a, auto b) { return pow(a, b) / (k + atan2(a, b)) + pow(a, 3) * k; },
                            x[0], x[1]);
       },
       two_inputs,
       {.low = 0.5, .high = 2}},
  };
}

}  // namespace gradus::test
