#include "autograd/ops/elementwise.hpp"

#include <array>

#include "autograd/ops/arithmetic.hpp"
#include "tests/autograd/gradient_table/gradient_table.hpp"

namespace gradus::test {

std::vector<GradientRow> elementwise_rows() {
  const Range positive{.low = 0.5, .high = 3};
  std::vector<GradientRow> out{
      {"abs", [](Inputs x) { return abs(x[0]) * x[0]; }, one_input, {.gap = 0.1}},
      {"lgamma", [](Inputs x) { return lgamma(x[0]); }, one_input, {.low = -0.8, .high = -0.2}},
      {"polygamma", [](Inputs x) { return digamma(x[0]); }, one_input, positive},
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
  for (const FunctionRow& row : function_rows()) {
    if (row.flat) continue;
    const auto call = [&row](Inputs x) {
      if (row.range.apart == 0) return row.on_variables(x);
      return row.on_variables(std::array{x[0], x[1] + row.range.apart});
    };
    out.push_back({row.name, call, row.operands == 1 ? one_input : two_inputs, row.range});
  }
  return out;
}

}  // namespace gradus::test
