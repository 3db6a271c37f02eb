#include "nn/adaptive_softmax.hpp"
#include "nn/ctc.hpp"
#include "nn/losses.hpp"
#include "nn/sampled_softmax.hpp"
#include "tests/autograd/gradient_table/gradient_table.hpp"

namespace gradus::test {

namespace {

/// Of x, the head's weight and a cluster's two.
Variable adaptive_softmax(Inputs in, bool all) {
  Rng rng(1);
  nn::AdaptiveSoftmax softmax(rng, 4, 6, {2}, {.div_value = 2});
  static_cast<Variable&>(softmax.head.weight) = in[1];
  static_cast<Variable&>(softmax.tail[0][0].weight) = in[2];
  static_cast<Variable&>(softmax.tail[0][1].weight) = in[3];
  return all ? softmax.log_prob(in[0]) : softmax(in[0], Indices({1, 5, 3})).output;
}

/// Some that were drawn, among them a target and one twice.
nn::Candidates candidates() {
  Rng rng(2);
  nn::Candidates out = nn::Noise::log_uniform(5).draw(rng, 4);
  out.ids = Indices({0, 3, 3, 4});
  return out;
}

}  // namespace

std::vector<GradientRow> large_loss_rows() {
  using nn::Reduction;
  const std::vector<std::vector<Shape>> sampled{{{2, 3}, {5, 3}, {5}}, {{2, 1}, {5, 1}, {5}}};
  const std::vector<std::vector<Shape>> adaptive{{{3, 4}, {3, 4}, {2, 4}, {4, 2}}};
  return {
      {"ctc",
       [](Inputs in) {
         return nn::ctc(in[0], Indices({1, 1, 2, 0}, {2, 2}), Indices({4, 3}), Indices({2, 1}));
       },
       {{{4, 2, 3}}}},
      {"ctc",
       [](Inputs in) {
         // The second target is impossible in two steps; the third is empty.
         return nn::ctc(in[0], Indices({2, 0, 1, 1}), Indices({3, 2, 3}), Indices({2, 2, 0}),
                        {.blank = 3, .reduction = Reduction::none, .zero_infinity = true});
       },
       {{{3, 3, 4}}}},
      {"adaptive_softmax", [](Inputs in) { return adaptive_softmax(in, false); }, adaptive},
      {"adaptive_softmax", [](Inputs in) { return adaptive_softmax(in, true); }, adaptive},
      {"sampled_softmax",
       [](Inputs in) {
         return nn::sampled_softmax(in[0], in[1], in[2], Indices({3, 1}), candidates());
       },
       sampled},
      {"nce",
       [](Inputs in) {
         return nn::nce(in[0], in[1], in[2], Indices({3, 1}), candidates(), {.reduction = Reduction::none});
       },
       sampled},
      {"soft_cross_entropy",
       [](Inputs in) {
         return nn::cross_entropy(
             in[0], in[1], {.label_smoothing = 0.1, .weight = Tensor::of({1, 0.5, 2, 3}, in[0].dtype())});
       },
       {{{3, 4}, {3, 4}}},
       {.low = 0.1, .high = 0.9}},
  };
}

}  // namespace gradus::test
