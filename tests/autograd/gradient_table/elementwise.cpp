#include "autograd/ops/elementwise.hpp"

#include "autograd/ops/arithmetic.hpp"
#include "tests/autograd/gradient_table/gradient_table.hpp"

namespace gradus::test {

std::vector<GradientRow> elementwise_rows() {
  const Range positive{.low = 0.5, .high = 3}, inside_one{.low = -0.8, .high = 0.8};
  return {
      unary("abs", abs, {.gap = 0.1}),
      {"abs", [](Inputs x) { return abs(x[0]) * x[0]; }, one_input, {.gap = 0.1}},
      unary("square", square),
      unary("sqrt", sqrt, positive),
      unary("rsqrt", rsqrt, positive),
      unary("reciprocal", reciprocal, {.gap = 0.5}),
      unary("exp", exp),
      unary("expm1", expm1),
      unary("log", log, positive),
      unary("log1p", log1p, {.low = -0.5, .high = 2}),
      unary("log2", log2, positive),
      unary("sin", sin),
      unary("cos", cos),
      unary("tan", tan, {.low = -1, .high = 1}),
      unary("asin", asin, inside_one),
      unary("acos", acos, inside_one),
      unary("atan", atan),
      unary("sinh", sinh),
      unary("cosh", cosh),
      unary("tanh", tanh),
      unary("asinh", asinh),
      unary("acosh", acosh, {.low = 1.5, .high = 4}),
      unary("atanh", atanh, inside_one),
      unary("erf", erf),
      unary("erfc", erfc),
      unary("lgamma", lgamma, positive),
      unary("lgamma", lgamma, {.low = -0.8, .high = -0.2}),
      {"polygamma", [](Inputs x) { return digamma(x[0]); }, one_input, positive},
      {"polygamma", [](Inputs x) { return polygamma(1, x[0]); }, one_input, positive},
      unary("sigmoid", sigmoid),
      unary("relu", relu, {.gap = 0.1}),
      {"relu", [](Inputs x) { return relu(x[0]) * x[0]; }, one_input, {.gap = 0.1}},
      // Steps are constants.
      {"floor",
       [](Inputs x) {
         const Variable& v = x[0];
         return v * v * (sign(v) + floor(v * v / 100) + ceil(v * v / 100) + round(v * v / 100));
       },
       one_input,
       {.gap = 0.1}},
  };
}

}  // namespace gradus::test
