#include "tests/gradient_table/gradient_table.hpp"

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/indexing.hpp"

namespace gradus::test {

std::vector<GradientRow> indexing_rows() {
  return {
      {"gather_rows",
       [](Inputs x) {
         return gather_rows(x[0] * x[0], Indices({2, 0, 2, 1}, {2, 2}));
       },
       {{{3, 2}}, {{4, 1}}, {{3, 2, 2}}, {{3}}}},
      {"gather_rows",
       [](Inputs x) {
         return gather_rows(x[0], Indices({2, 0, 2})) * x[1];
       },
       {{{3, 2}, {3, 2}}}},
      {"scatter_rows",
       [](Inputs x) {
         return scatter_rows(x[0] * x[0], Indices({2, 0, 2}), 4);
       },
       {{{3, 2}}, {{3}}, {{3, 1, 2}}}},
  };
}

}  // namespace gradus::test
