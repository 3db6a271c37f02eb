#include "autograd/ops/sorting.hpp"

#include "autograd/ops/arithmetic.hpp"
#include "tests/autograd/gradient_table/gradient_table.hpp"

namespace gradus::test {

std::vector<GradientRow> sorting_rows() {
  const std::vector<std::vector<Shape>> shapes{{{}},     {{1}},       {{0}},          {{5}},
                                               {{3, 4}}, {{2, 5, 3}}, {{2, 3, 1, 4}}, {{0, 3}}};
  const std::vector<std::vector<Shape>> wide{{{2}}, {{5}}, {{2, 4}}, {{3, 2, 4}}, {{2, 3, 1, 3}}, {{0, 3}}};
  // Values well apart: a step of the differences must not change the order.
  return {
      {"sort", [](Inputs x) { return sort(x[0] * x[0]).values; }, shapes, {}, true},
      {"sort",
       [](Inputs x) { return sort(x[0] * x[0], {.axis = 0, .descending = true}).values; },
       wide,
       {},
       true},
      {"topk", [](Inputs x) { return topk(x[0] * x[0], 2).values; }, wide, {}, true},
      {"topk",
       [](Inputs x) { return topk(x[0] * x[0], 1, {.axis = 0, .largest = false}).values; },
       {{{1}}, {{3}}, {{3, 2}}, {{2, 3, 2}}},
       {},
       true},
  };
}

}  // namespace gradus::test
