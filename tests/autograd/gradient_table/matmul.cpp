#include "tests/autograd/gradient_table/gradient_table.hpp"

#include "autograd/ops/matmul.hpp"

namespace gradus::test {

std::vector<GradientRow> matmul_rows() {
  const std::vector<std::vector<Shape>> plain{{{2, 3}, {3, 4}},
                                              {{1, 1}, {1, 1}},
                                              {{2, 0}, {0, 3}},
                                              {{5, 2, 3}, {3, 4}},
                                              {{2, 3}, {5, 3, 4}},
                                              {{5, 2, 3}, {5, 3, 4}},
                                              {{5, 1, 2, 3}, {2, 3, 1}},
                                              {{3}, {3}},
                                              {{3}, {3, 4}},
                                              {{2, 3}, {3}},
                                              {{4, 2, 3}, {3}},
                                              {{3}, {4, 3, 2}},
                                              {{5, 0, 3}, {3, 4}},
                                              {{0, 2, 3}, {3, 4}},
                                              {{5, 2, 0}, {0, 4}},
                                              {{5, 2, 3}, {3, 0}},
                                              {{5, 2, 3}, {1, 3, 4}},
                                              {{2, 1, 2, 3}, {1, 3, 3, 2}}};
  return {
      {"matmul", [](Inputs x) { return matmul(x[0], x[1]); }, plain},
      {"matmul",
       [](Inputs x) { return matmul(x[0], x[1], {.transpose_a = true}); },
       {{{3, 2}, {3, 4}}, {{5, 3, 2}, {3, 4}}, {{5, 3, 2}, {5, 3, 4}}}},
      {"matmul",
       [](Inputs x) { return matmul(x[0], x[1], {.transpose_b = true}); },
       {{{2, 3}, {4, 3}}, {{5, 2, 3}, {4, 3}}, {{0, 2, 3}, {4, 3}}, {{2, 3}, {5, 4, 3}}}},
      {"matmul",
       [](Inputs x) { return matmul(x[0], x[1], {.transpose_a = true, .transpose_b = true}); },
       {{{3, 2}, {4, 3}}, {{5, 3, 2}, {5, 4, 3}}}},
      {"linear",
       [](Inputs x) { return linear(x[0], x[1], x[2]); },
       {{{2, 3}, {4, 3}, {4}},
        {{3}, {4, 3}, {4}},
        {{2, 5, 3}, {4, 3}, {4}},
        {{0, 3}, {4, 3}, {4}},
        {{2, 0}, {4, 0}, {4}},
        {{2, 3}, {0, 3}, {0}},
        {{2, 3}, {1, 3}, {1}}}},
      {"linear", [](Inputs x) { return linear(x[0], x[1], Variable()); }, {{{2, 3}, {4, 3}}}},
  };
}

}  // namespace gradus::test
