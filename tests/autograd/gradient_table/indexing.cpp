#include "autograd/ops/indexing.hpp"

#include "autograd/ops/arithmetic.hpp"
#include "tests/autograd/gradient_table/gradient_table.hpp"

namespace gradus::test {

namespace {

std::vector<GradientRow> row_rows() {
  return {
      {"gather_rows",
       [](Inputs x) {
         return gather_rows(x[0] * x[0], Indices({2, 0, 2, 1}, {2, 2}));
       },
       {{{3, 2}}, {{4, 1}}, {{3, 2, 2}}, {{3}}, {{3, 0}}, {{3, 1, 2, 2}}}},
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
      {"index_select",
       [](Inputs x) {
         return index_select(x[0] * x[0], 0, Indices({2, 0, 2, 1}, {2, 2}));
       },
       {{{3}}, {{3, 2}}, {{3, 0}}, {{3, 2, 1, 2}}}},
      {"index_select",
       [](Inputs x) {
         return index_select(x[0] * x[0], -2, Indices({1, 0, 1}));
       },
       {{{2, 3}}, {{2, 1}}, {{3, 2, 2}}, {{2, 1, 2, 3}}, {{0, 2, 2}}}},
      {"index_select",
       [](Inputs x) { return index_select(x[0] * x[0], -1, Indices(std::vector<std::int32_t>{1}, {})); },
       {{{2}}, {{3, 2}}}},
      {"index_add",
       [](Inputs x) {
         return index_add(x[0] * x[1], 1, Indices({2, 0, 2}), x[1] * x[1]);
       },
       {{{2, 3}, {2, 3}}, {{2, 3, 2}, {2, 3, 2}}, {{1, 3, 2, 2}, {1, 3, 2, 2}}, {{0, 3}, {0, 3}}}},
      {"repeat_interleave",
       [](Inputs x) {
         return repeat_interleave(x[0] * x[0], Indices({2, 0, 1}), -1);
       },
       {{{3}}, {{2, 3}}, {{0, 3}}, {{2, 1, 2, 3}}}},
  };
}

std::vector<GradientRow> lane_rows() {
  return {
      {"gather",
       [](Inputs x) {
         return gather(x[0] * x[0], 1, Indices({0, 2, 1, 1, 2, 2}, {2, 3}));
       },
       {{{2, 3}}, {{3, 4}}}},
      {"gather",
       [](Inputs x) {
         return gather(x[0] * x[0], 0, Indices({1, 1, 0, 1}, {2, 1, 2}));
       },
       {{{2, 1, 2}}, {{3, 2, 3}}}},
      {"gather",
       [](Inputs x) {
         return gather(x[0] * x[0], -1, Indices({1, 0, 1}));
       },
       {{{2}}, {{4}}}},
      {"gather",
       [](Inputs x) {
         return gather(x[0] * x[0], 2, Indices({1, 0, 1, 0}, {2, 1, 2, 1}));
       },
       {{{2, 1, 2, 1}}, {{2, 2, 3, 2}}}},
      {"scatter_add",
       [](Inputs x) {
         return scatter_add(x[0] * x[0], 1, Indices({0, 2, 2, 1, 2, 2}, {2, 3}), x[1] * x[1]);
       },
       {{{2, 3}, {2, 3}}, {{3, 4}, {2, 3}}}},
      {"scatter_add",
       [](Inputs x) {
         return scatter_add(x[0] * x[1], -3, Indices({1, 1, 0, 1}, {2, 1, 2}), x[1] * x[1]);
       },
       {{{2, 1, 2}, {2, 1, 2}}}},
      {"take_along",
       [](Inputs x) {
         return take_along(x[0] * x[0], 1, Indices({0, 2, 1, 1}, {1, 4}));
       },
       {{{2, 3}}, {{1, 3}}, {{0, 3}}}},
      {"take_along",
       [](Inputs x) {
         return take_along(x[0] * x[0], 0, Indices({0, 1, 1, 0, 0, 0}, {2, 3, 1}));
       },
       {{{2, 1, 2}}, {{2, 3, 1}}}},
      {"pick",
       [](Inputs x) {
         return pick(x[0] * x[0], -1, Indices({2, 0, 1}));
       },
       {{{3, 3}}, {{3, 4}}}},
      {"pick",
       [](Inputs x) {
         return pick(x[0] * x[0], 1, Indices({1, 0, 1, 1}, {2, 2}));
       },
       {{{2, 2, 2}}, {{2, 3, 2}}}},
      {"pick",
       [](Inputs x) { return pick(x[0] * x[0], 0, Indices(std::vector<std::int32_t>{1}, {})); },
       {{{2}}, {{3}}}},
      {"masked_fill",
       [](Inputs x) {
         return masked_fill(x[0] * x[0], Tensor::of({1, 0, 1}), 7);
       },
       {{{3}}, {{2, 3}}, {{2, 1, 3}}, {{0, 3}}, {{2, 1, 2, 3}}}},
      {"masked_fill", [](Inputs x) { return masked_fill(x[0] * x[0], Tensor::scalar(0, Dtype::f64), 7); },
       one_input},
  };
}

}  // namespace

std::vector<GradientRow> indexing_rows() {
  std::vector<GradientRow> out = row_rows();
  for (GradientRow& row : lane_rows()) out.push_back(std::move(row));
  return out;
}

}  // namespace gradus::test
