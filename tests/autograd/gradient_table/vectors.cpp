#include "autograd/ops/vectors.hpp"

#include <limits>

#include "autograd/ops/arithmetic.hpp"
#include "tests/autograd/gradient_table/gradient_table.hpp"

namespace gradus::test {

std::vector<GradientRow> vector_rows() {
  std::vector<GradientRow> rows{
      {"cross",
       [](Inputs x) { return cross(x[0] * x[0], x[1]); },
       {{{3}, {3}}, {{2, 3}, {3}}, {{3}, {2, 2, 3}}, {{2, 1, 3}, {4, 3}}, {{0, 3}, {3}}}},
      {"cross", [](Inputs x) { return cross(x[0] * x[0], x[1], 0); }, {{{3, 2}, {3, 2}}, {{3, 2}, {3, 1}}}},
      {"trace",
       [](Inputs x) { return trace(x[0] * x[0]); },
       {{{3, 3}}, {{2, 4}}, {{4, 2}}, {{2, 2, 2}}, {{0, 0}}, {{1, 2, 1, 3}}}},
      {"kron",
       [](Inputs x) { return kron(x[0] * x[0], x[1]); },
       {{{}, {}},
        {{2}, {3}},
        {{2, 3}, {3, 2}},
        {{2}, {2, 2}},
        {{2, 1, 2}, {3}},
        {{0}, {2}},
        {{1, 2, 1, 2}, {}}}},
  };
  for (const double p : {2.0, 1.0, std::numeric_limits<double>::infinity(), 3.0, 1.5, 0.0}) {
    rows.push_back({"cdist",
                    [p](Inputs x) { return cdist(x[0] * x[0], x[1], {.p = p}); },
                    {{{3, 2}, {4, 2}},
                     {{2, 3, 2}, {1, 2}},
                     {{2, 1, 2, 3}, {2, 1, 3}},
                     {{1, 1}, {2, 1}},
                     {{0, 2}, {3, 2}}}});
  }
  return rows;
}

}  // namespace gradus::test
