#include "tests/autograd/gradient_table/gradient_table.hpp"

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/cumulative.hpp"
#include "autograd/ops/logcumsumexp.hpp"

namespace gradus::test {

std::vector<GradientRow> cumulative_rows() {
  const std::vector<std::vector<Shape>> first{{Shape{}}, {{4}},       {{1}},         {{0}},
                                              {{3, 2}},  {{2, 3, 2}}, {{2, 2, 1, 2}}};
  const std::vector<std::vector<Shape>> pairs{
      {{4}, {4}}, {{1}, {1}}, {{0}, {0}}, {{3, 2}, {3, 2}}, {{2, 3, 2}, {2, 3, 2}}};
  const std::vector<std::vector<Shape>> along{{{4}},       {{1}},          {{0}},   {{3, 2}},
                                              {{2, 1, 3}}, {{2, 2, 1, 2}}, {{0, 3}}};
  const Range zero{.low = 0, .high = 0};  // every element is 0
  return {
      {"cumsum", [](Inputs x) { return cumsum(x[0] * x[0], 0); }, first},
      {"cumsum", [](Inputs x) { return cumsum(x[0] * x[0], -1, {.reverse = true}); }, first},
      {"cumprod", [](Inputs x) { return cumprod(x[0], 0); }, first},
      {"cumprod", [](Inputs x) { return cumprod(x[0], -1); }, first},
      {"cumprod", [](Inputs x) { return cumprod(x[0], -1); }, {{{1}}, {{3}}, {{2, 4}}}, zero},
      {"cumprod_derivative", [](Inputs x) { return cumprod_derivative(x[0], {}, 0); }, first},
      {"cumprod_derivative", [](Inputs x) { return cumprod_derivative(x[0], {x[1]}, -1); }, pairs},
      {"cumprod_derivative",
       [](Inputs x) {
         return cumprod_derivative(x[0], {x[1], x[0], x[1]}, 0);
       },
       pairs},
      {"cumprod_gradient", [](Inputs x) { return cumprod_gradient(x[1], x[0], {}, 0); }, pairs},
      {"cumprod_gradient",
       [](Inputs x) {
         return cumprod_gradient(x[0], x[1], {x[0], x[1]}, -1);
       },
       pairs},
      {"logcumsumexp", [](Inputs x) { return logcumsumexp(x[0] * x[0], 0); }, first},
      {"logcumsumexp", [](Inputs x) { return logcumsumexp(x[0] * 4, -1); }, first},
      {"recurrence", [](Inputs x) { return recurrence(x[0], x[1], 0); }, pairs},
      {"recurrence", [](Inputs x) { return recurrence(x[0], x[1], -1, Direction::backward); }, pairs},
      {"shift", [](Inputs x) { return shift(x[0] * x[0], 0, 2); }, first},
      {"shift", [](Inputs x) { return shift(x[0] * x[0], -1); }, first},
      {"diff", [](Inputs x) { return diff(x[0] * x[0], 0); }, along},
      {"diff", [](Inputs x) { return diff(x[0] * x[0]); }, along},
  };
}

}  // namespace gradus::test
