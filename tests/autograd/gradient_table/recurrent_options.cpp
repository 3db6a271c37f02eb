#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/matmul.hpp"
#include "autograd/ops/movement.hpp"
#include "nn/embedding.hpp"
#include "nn/single_step.hpp"
#include "tests/autograd/gradient_table/gradient_table.hpp"

namespace gradus::test {

namespace {

/// An LSTM of both changes of its state, of x, h, c, the weights and weight_hr: width 2, h of width 1.
Variable changed_lstm(Inputs in, bool training, bool ragged) {
  Rng rng(5);
  const nn::Zoneout rates{.h = 0.3, .c = 0.4};
  const nn::LstmCell cell;
  const nn::detail::ChangedCell<nn::LstmCell> changed(cell, in[7], rates, training ? &rng : nullptr);
  const Indices lengths = ragged ? Indices({3, 1}) : Indices();
  const nn::Steps steps = nn::detail::SortedLengths(lengths, in[0].dim(0), in[0].dim(1)).steps;
  const auto [out, last] =
      nn::over_sequence(changed, steps, {in[0]}, {in[1], in[2]}, {in[3], in[4], in[5], in[6]});
  return concat({flatten(out), flatten(last.h), flatten(last.c)}, 0);
}

/// The fused LSTM with dropped recurrent weights.
Variable weight_drop(Inputs in) {
  Rng rng(6);
  const Variable weight_hh = nn::dropout(in[4], 0.5, &rng);
  const auto [out, last] = nn::over_sequence(nn::LstmCell(), {.count = in[0].dim(0), .batch = in[0].dim(1)},
                                             {in[0]}, {in[1], in[2]}, {in[3], weight_hh, in[5], in[6]});
  return concat({flatten(out), flatten(last.c)}, 0);
}

Variable embedding(Inputs in, const Indices& ids) {
  Rng rng(1);
  nn::Embedding embed(rng, in[0].dim(0), in[0].dim(1), {.padding = 1});
  static_cast<Variable&>(embed.weight) = in[0];
  return embed(ids);
}

}  // namespace

std::vector<GradientRow> recurrent_option_rows() {
  const std::vector<std::vector<Shape>> lstm{{{3, 2, 3}, {2, 1}, {2, 2}, {8, 3}, {8, 1}, {8}, {8}, {1, 2}}};
  const std::vector<std::vector<Shape>> plain{{{3, 2, 3}, {2, 2}, {2, 2}, {8, 3}, {8, 2}, {8}, {8}}};
  const Range small{.low = -0.8, .high = 0.8};
  return {
      {"projection_zoneout", [](Inputs in) { return changed_lstm(in, true, false); }, lstm, small},
      {"projection_zoneout", [](Inputs in) { return changed_lstm(in, true, true); }, lstm, small},
      {"projection_zoneout", [](Inputs in) { return changed_lstm(in, false, false); }, lstm, small},
      {"weight_dropout", weight_drop, plain, small},
      // Rows 0 and 2 are read; the gradient of 1, the padding, would not be what differences say.
      {"embedding",
       [](Inputs in) {
         return embedding(in, Indices({0, 2, 2, 0}, {2, 2}));
       },
       {{{3, 2}}, {{4, 1}}}},
      {"embedding_dropout",
       [](Inputs in) {
         Rng rng(2);
         nn::Embedding embed(rng, in[0].dim(0), in[0].dim(1));
         static_cast<Variable&>(embed.weight) = in[0];
         return nn::embedding_dropout(embed, Indices({0, 1, 1, 0, 2}), 0.3, &rng);
       },
       {{{3, 2}}}},
      {"locked_dropout",
       [](Inputs in) {
         Rng rng(3);
         return nn::locked_dropout(in[0], 0.4, &rng);
       },
       {{{3, 2, 4}}, {{2}}}},
  };
}

}  // namespace gradus::test
