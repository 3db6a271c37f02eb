#include "tests/gradient_table/gradient_table.hpp"

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"

namespace gradus::test {

std::vector<GradientRow> elementwise_rows() {
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
      {"maximum", [](Inputs x) { return maximum(x[0] * x[0], x[1]); }, two_inputs, {.low = 2, .high = 3}},
      {"maximum", [](Inputs x) { return maximum(x[0] * x[0], 0.01); }, one_input, {.gap = 0.2}},
      {"maximum", [](Inputs x) { return maximum(x[0], x[1] * x[1]); }, two_inputs, {.low = 2, .high = 3}},
      {"minimum", [](Inputs x) { return minimum(x[0], x[1] * x[1]); }, two_inputs, {.low = 2, .high = 3}},
      {"minimum", [](Inputs x) { return minimum(x[0] * x[0], x[1]); }, two_inputs, {.low = 2, .high = 3}},
      {"minimum", [](Inputs x) { return minimum(x[0] * x[0], 0.01); }, one_input, {.gap = 0.2}},
      unary("abs", abs, {.gap = 0.1}),
      unary("square", square),
      unary("sqrt", sqrt, {.low = 0.5, .high = 3}),
      unary("reciprocal", reciprocal, {.gap = 0.5}),
      unary("exp", exp),
      unary("log", log, {.low = 0.5, .high = 3}),
      unary("log1p", log1p, {.low = -0.5, .high = 2}),
      unary("sin", sin),
      unary("cos", cos),
      unary("tanh", tanh),
      unary("sigmoid", sigmoid),
      unary("relu", relu, {.gap = 0.1}),
  };
}

}  // namespace gradus::test
