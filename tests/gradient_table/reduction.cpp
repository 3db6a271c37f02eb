#include "tests/gradient_table/gradient_table.hpp"

#include <array>
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/reduction.hpp"

namespace gradus::test {

std::vector<GradientRow> reduction_rows() {
  const std::vector<std::vector<Shape>> matrices{{{3, 4}}, {{1, 4}}, {{3, 1}}, {{2, 3, 4}}, {{2, 3, 1, 2}}};
  return {
      {"sum", [](Inputs x) { return sum(x[0] * x[0]); }, one_input},
      {"sum", [](Inputs x) { return sum(x[0] * x[0], 0); }, {{{3}}, {{0}}, {{3, 4}}, {{2, 0}}, {{2, 3, 4}}}},
      {"sum", [](Inputs x) { return sum(x[0] * x[0], -1, true); }, matrices},
      {"sum",
       [](Inputs x) {
         return sum(x[0] * x[0], std::array{0, -1});
       },
       matrices},
      {"sum", [](Inputs x) { return mean(x[0] * x[0]) + mean(x[0], -1); }, matrices},
      {"max", [](Inputs x) { return max(x[0] * x[0] * x[0], 0); }, matrices, {}, true},
      {"max", [](Inputs x) { return max(x[0] * x[0] * x[0], -1, true); }, matrices, {}, true},
      {"sum_to",
       [](Inputs x) {
         return sum_to(x[0] * x[0], {1, 4});
       },
       {{{3, 4}}, {{2, 3, 4}}, {{0, 4}}}},
      {"broadcast_to",
       [](Inputs x) {
         return broadcast_to(x[0] * x[0], {2, 3, 4});
       },
       {{{}}, {{4}}, {{3, 1}}, {{2, 1, 4}}}},
  };
}

}  // namespace gradus::test
