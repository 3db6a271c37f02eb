#include "autograd/ops/quantile.hpp"

#include "autograd/ops/arithmetic.hpp"
#include "tests/autograd/gradient_table/gradient_table.hpp"

namespace gradus::test {

std::vector<GradientRow> quantile_rows() {
  const std::vector<std::vector<Shape>> shapes{{{}}, {{1}}, {{5}}, {{3, 4}}, {{2, 5, 2}}, {{2, 3, 1, 4}}};
  const std::vector<std::vector<Shape>> wide{{{2}}, {{5}}, {{2, 4}}, {{3, 2, 4}}, {{0, 3}}};
  // Values well apart: a step of the differences must not change the order.
  return {
      {"quantile", [](Inputs x) { return quantile(x[0] * x[0], 0.3); }, shapes, {}, true},
      {"quantile",
       [](Inputs x) {
         return quantile(x[0] * x[0], {0.9, 0, 0.35}, -1);
       },
       wide,
       {},
       true},
      {"quantile",
       [](Inputs x) {
         return quantile(x[0] * x[0], 0.4, {0, 2},
                         {.interpolation = Interpolation::midpoint, .keepdims = true});
       },
       {{{2, 3, 2}}, {{3, 1, 2}}},
       {},
       true},
      {"median", [](Inputs x) { return median(x[0] * x[0]); }, shapes, {}, true},
      {"median", [](Inputs x) { return median(x[0] * x[0], -1); }, wide, {}, true},
  };
}

}  // namespace gradus::test
