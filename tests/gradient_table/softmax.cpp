#include "tests/gradient_table/gradient_table.hpp"

#include "autograd/ops/softmax.hpp"

namespace gradus::test {

std::vector<GradientRow> softmax_rows() {
  return {
      {"log_softmax",
       [](Inputs x) { return log_softmax(x[0]); },
       {{{5}}, {{1}}, {{3, 4}}, {{2, 3, 4}}, {{0, 4}}}},
      {"log_softmax", [](Inputs x) { return softmax(x[0]); }, {{{5}}, {{3, 4}}}},
      {"cross_entropy",
       [](Inputs x) {
         return cross_entropy(x[0], Indices({2, 0, 1, 2, 2, 0}, {2, 3}));
       },
       {{{2, 3, 3}}, {{2, 3, 5}}}},
      {"cross_entropy",
       [](Inputs x) {
         return cross_entropy(x[0], Indices({2, 0}), Reduction::none);
       },
       {{{2, 3}}, {{2, 4}}}},
      {"cross_entropy",
       [](Inputs x) {
         return cross_entropy(x[0], Indices(std::vector<std::int32_t>{2}, {}), Reduction::sum);
       },
       {{{3}}}},
  };
}

}  // namespace gradus::test
