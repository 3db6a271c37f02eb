#include "nn/losses.hpp"

#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/softmax.hpp"
#include "tests/autograd/gradient_table/gradient_table.hpp"

namespace gradus::test {

std::vector<GradientRow> loss_rows() {
  using nn::Reduction;
  const std::vector<std::vector<Shape>> two{{{3, 4}, {3, 4}}, {{5}, {5}}, {{}, {}}, {{2, 1, 3}, {2, 1, 3}}};
  const std::vector<std::vector<Shape>> rows{{{3, 4}, {3, 4}}, {{2, 1, 3}, {2, 1, 3}}};
  const Tensor labels = Tensor::of({1, -1, 1}, Dtype::f64);
  const Range share{.low = 0.1, .high = 0.9};
  return {
      {"mse", [](Inputs x) { return nn::mse(x[0], x[1]); }, two},
      {"mse", [](Inputs x) { return nn::mse(x[0], x[1], Reduction::none); }, {{{2, 0}, {2, 0}}, {{1}, {1}}}},
      // Away from the kinks, on both sides.
      {"l1", [](Inputs x) { return nn::l1(x[0] + 5.0, x[1]); }, two},
      {"l1", [](Inputs x) { return nn::l1(x[0] - 5.0, x[1], Reduction::none); }, two},
      {"huber", [](Inputs x) { return nn::huber(x[0] + 5.0, x[1], {.delta = 0.4}); }, two},
      {"huber", [](Inputs x) { return nn::huber(x[0], x[1], {.delta = 50}); }, two},
      {"huber", [](Inputs x) { return nn::huber(x[0], x[1], {.delta = 50, .reduction = Reduction::none}); },
       two},
      {"bce_with_logits", [](Inputs x) { return nn::bce_with_logits(x[0], x[1]); }, two, share},
      {"bce_with_logits",
       [](Inputs x) { return nn::bce_with_logits(x[0] - 1.0, x[1], {.reduction = Reduction::none}); }, two,
       share},
      {"nll",
       [](Inputs x) {
         return nn::nll(x[0], Indices({2, 0, 1}), {.ignore_index = 1});
       },
       {{{3, 4}}}},
      {"soft_cross_entropy", [](Inputs x) { return nn::soft_cross_entropy(x[0], x[1]); }, rows, share},
      {"kl_div", [](Inputs x) { return nn::kl_div(x[0], x[1]); }, rows, share},
      {"kl_div", [](Inputs x) { return nn::kl_div(x[0], x[1], {.log_target = true}); }, rows},
      {"gaussian_nll",
       [](Inputs x) { return nn::gaussian_nll(x[0], x[1], x[2]); },
       {{{3, 4}, {3, 4}, {3, 4}}, {{3, 4}, {3, 4}, {4}}, {{3, 4}, {3, 4}, {3, 1}}},
       share},
      {"cosine_similarity", [](Inputs x) { return nn::cosine_similarity(x[0], x[1]); }, rows},
      {"cosine_similarity", [](Inputs x) { return nn::cosine_similarity(x[0], x[1], 0); }, rows},
      {"cosine",
       [labels](Inputs x) { return nn::cosine(x[0], x[1], labels, {.margin = -0.99}); },
       {{{3, 4}, {3, 4}}}},
      {"margin_ranking",
       [labels](Inputs x) { return nn::margin_ranking(x[0], x[1], labels, {.margin = 5}); },
       {{{3}, {3}}}},
      {"triplet",
       [](Inputs x) {
         return nn::triplet(x[0], x[1] + 5.0, x[2] - 7.0, {.margin = 50, .p = 3, .swap = true});
       },
       {{{3, 4}, {3, 4}, {3, 4}}}},
      {"activation_penalty", [](Inputs x) { return nn::activation_penalty(x[0], 2); }, {{{3, 4}}, {{1}}}},
      {"change_penalty", [](Inputs x) { return nn::change_penalty(x[0], 2); }, {{{3, 4}}, {{2, 1, 2}}}},
  };
}

}  // namespace gradus::test
