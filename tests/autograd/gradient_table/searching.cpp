#include "autograd/ops/searching.hpp"

#include "autograd/ops/arithmetic.hpp"
#include "tests/autograd/gradient_table/gradient_table.hpp"

namespace gradus::test {

std::vector<GradientRow> searching_rows() {
  const auto table = [](const Variable& x) {
    return Tensor::of({-2.5, -1.03, 0.37, 1.71, 3}, Dtype::f64).to(x.dtype());
  };
  return {
      {"bincount",
       [](Inputs x) {
         return bincount(Indices({1, 0, 1, 3}, {2, 2}), x[0] * x[0], {.minlength = 5});
       },
       {{{2, 2}}}},
      {"bincount", [](Inputs x) { return bincount(Indices(), x[0] * x[0], {.minlength = 2}); }, {{{0}}}},
      {"interp",
       [table](Inputs x) { return interp(x[0] * 0.9, table(x[0]), x[1] * x[1]); },
       {{{4}, {5}}, {{2, 3}, {5}}, {{}, {5}}, {{0}, {5}}, {{2, 1, 2, 2}, {5}}}},
      {"interp",  // some of it beyond the table
       [table](Inputs x) { return interp(x[0] * 3.1, table(x[0]), x[1], {.left = -1}); },
       {{{9}, {5}}, {{2, 3}, {5}}}},
      {"interp",
       [](Inputs x) {
         return interp(x[0], Tensor::of({0.5}, x[0].dtype() == Dtype::f32 ? Dtype::f32 : Dtype::f64), x[1]);
       },
       {{{4}, {1}}}},
  };
}

}  // namespace gradus::test
