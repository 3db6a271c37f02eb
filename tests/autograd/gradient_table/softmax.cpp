#include "tests/autograd/gradient_table/gradient_table.hpp"

#include "autograd/ops/cross_entropy.hpp"
#include "autograd/ops/softmax.hpp"

namespace gradus::test {

namespace {
/// 0, 1, ... each modulo `classes`
Indices remainders(std::int32_t count, std::int32_t classes) {
  std::vector<std::int32_t> out;
  for (std::int32_t i = 0; i < count; ++i) out.push_back(i % classes);
  return Indices(std::move(out));
}
}  // namespace

std::vector<GradientRow> softmax_rows() {
  const std::vector<std::vector<Shape>> any{{Shape{}},   {{5}},    {{1}},          {{3, 4}}, {{2, 3, 4}},
                                            {{2, 3, 3}}, {{0, 4}}, {{2, 3, 1, 2}}, {{2, 0}}};
  const Indices six({2, 0, 1, 2, 2, 0}, {2, 3});
  const Tensor weight = Tensor::of({0.5, 2, 1.25}, Dtype::f64);
  return {
      {"log_softmax", [](Inputs x) { return log_softmax(x[0]); }, any},
      {"log_softmax", [](Inputs x) { return log_softmax(x[0], 0); }, any},
      {"log_softmax", [](Inputs x) { return log_softmax(x[0], -2); }, {{{3, 4}}, {{2, 3, 9}}, {{2, 1, 3}}}},
      {"softmax", [](Inputs x) { return softmax(x[0]); }, any},
      {"softmax", [](Inputs x) { return softmax(x[0], 0); }, any},
      {"softmax", [](Inputs x) { return softmax(x[0], -2); }, {{{3, 4}}, {{2, 3, 9}}, {{2, 1, 3}}}},
      {"cross_entropy", [six](Inputs x) { return cross_entropy(x[0], six); }, {{{2, 3, 3}}, {{2, 3, 5}}}},
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
      {"cross_entropy",
       [six](Inputs x) { return cross_entropy(x[0], six, {.label_smoothing = 0.3, .ignore_index = 2}); },
       {{{2, 3, 3}}, {{2, 3, 5}}}},
      {"cross_entropy",
       [six, weight](Inputs x) {
         return cross_entropy(x[0], six, {.label_smoothing = 0.1, .ignore_index = 1, .weight = weight});
       },
       {{{2, 3, 3}}}},
      {"cross_entropy",
       [six, weight](Inputs x) {
         return cross_entropy(x[0], six, {.reduction = Reduction::none, .weight = weight});
       },
       {{{2, 3, 3}}}},
      {"linear_cross_entropy",
       [six](Inputs x) { return linear_cross_entropy(x[0], x[1], x[2], six); },
       {{{2, 3, 4}, {5, 4}, {5}}, {{2, 3, 1}, {3, 1}, {3}}}},
      {"linear_cross_entropy",
       [six](Inputs x) {
         return linear_cross_entropy(x[0], x[1], Variable(), six,
                                     {.reduction = Reduction::sum, .ignore_index = 2});
       },
       {{{2, 3, 4}, {3, 4}}, {{2, 3, 0}, {3, 0}}}},
      {"linear_cross_entropy",
       [six](Inputs x) {
         return linear_cross_entropy(x[0], x[1], x[2], six, {.reduction = Reduction::none});
       },
       {{{2, 3, 4}, {3, 4}, {3}}}},
      {"linear_cross_entropy",
       [](Inputs x) {
         return linear_cross_entropy(x[0], x[1], x[2], Indices(std::vector<std::int32_t>{}, {0}),
                                     {.reduction = Reduction::sum});
       },
       {{{0, 2}, {3, 2}, {3}}}},
      // Several chunks; and one tensor as x and weight.
      {"linear_cross_entropy",
       [](Inputs x) { return linear_cross_entropy(x[0], x[1], x[2], remainders(70, 3), {.chunk_bytes = 1}); },
       {{{70, 1}, {3, 1}, {3}}}},
      {"linear_cross_entropy",
       [](Inputs x) {
         return linear_cross_entropy(x[0], x[0], Variable(), Indices({1, 0, 2}));
       },
       {{{3, 2}}}},
  };
}

}  // namespace gradus::test
