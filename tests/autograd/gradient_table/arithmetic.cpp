#include "autograd/ops/arithmetic.hpp"

#include "autograd/ops/elementwise.hpp"
#include "tests/autograd/gradient_table/gradient_table.hpp"

namespace gradus::test {

std::vector<GradientRow> arithmetic_rows() {
  const Range positive{.low = 0.5, .high = 2}, apart{.low = 2, .high = 3};
  return {
      {"add", [](Inputs x) { return x[0] + x[1]; }, two_inputs},
      {"add", [](Inputs x) { return 2 + x[0] + 3; }, one_input},
      {"sub", [](Inputs x) { return x[0] - x[1]; }, two_inputs},
      {"sub", [](Inputs x) { return 2 - x[0] * x[0] - 1; }, one_input},
      {"mul", [](Inputs x) { return x[0] * x[1]; }, two_inputs},
      {"mul", [](Inputs x) { return x[0] * x[0] * 3; }, one_input},
      {"div", [](Inputs x) { return x[0] / x[1]; }, two_inputs, {.gap = 0.5}},
      {"div", [](Inputs x) { return 2 / x[0] + x[0] / 3; }, one_input, {.gap = 0.5}},
      {"neg", [](Inputs x) { return -x[0] * x[0]; }, one_input},
      {"maximum", [](Inputs x) { return maximum(x[0] * x[0], x[1]); }, two_inputs, apart},
      {"maximum", [](Inputs x) { return maximum(x[0], x[1] * x[1]); }, two_inputs, apart},
      {"maximum", [](Inputs x) { return maximum(x[0] * x[0], 0.01); }, one_input, {.gap = 0.2}},
      {"maximum", [](Inputs x) { return maximum(9, x[0] * x[0]) + maximum(-1, x[0] * x[0]); }, one_input},
      {"minimum", [](Inputs x) { return minimum(x[0] * x[0], x[1]); }, two_inputs, apart},
      {"minimum", [](Inputs x) { return minimum(x[0], x[1] * x[1]); }, two_inputs, apart},
      {"minimum", [](Inputs x) { return minimum(x[0] * x[0], 0.01); }, one_input, {.gap = 0.2}},
      {"pow", [](Inputs x) { return pow(x[0], x[1]); }, two_inputs, positive},
      {"pow", [](Inputs x) { return pow(x[0], 3) + pow(x[0], 2) + pow(x[0], 0); }, one_input, {.gap = 0.1}},
      {"pow", [](Inputs x) { return pow(x[0], -1.5) + pow(2, x[0]); }, one_input, positive},
      {"atan2", [](Inputs x) { return atan2(x[0], x[1]); }, two_inputs, {.gap = 0.5}},
      {"atan2", [](Inputs x) { return atan2(x[0], 2) + atan2(-1, x[0]); }, one_input, {.gap = 0.5}},
      {"fmod", [](Inputs x) { return fmod(x[0] * x[0], 3 + x[1]); }, two_inputs, {.low = -1, .high = 1}},
      {"fmod",
       [](Inputs x) { return fmod(25 + x[0], 6.5 + x[1]) * x[1]; },
       two_inputs,
       {.low = 0.1, .high = 0.4}},
      {"fmod",
       [](Inputs x) { return x[0] * (fmod(x[0] * 0.1, 2) + fmod(-25.0, 7 + x[0])); },
       one_input,
       {.low = 0.1, .high = 1}},
      {"where", [](Inputs x) { return where(x[0] < x[1] * 100, x[0] * x[0], x[1]); }, two_inputs, apart},
      {"where", [](Inputs x) { return where(x[0] > x[1] * 100, x[0], x[1] * x[1]); }, two_inputs, apart},
      {"where",
       [](Inputs x) { return where(x[0] >= 0, exp(x[0]), 3) + where(x[0] <= 0, 2, sin(x[0])); },
       one_input,
       {.gap = 0.1}},
  };
}

}  // namespace gradus::test
