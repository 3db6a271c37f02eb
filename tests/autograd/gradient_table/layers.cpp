#include "tests/autograd/gradient_table/gradient_table.hpp"

#include "nn/gru.hpp"
#include "nn/lstm.hpp"
#include "nn/rnn.hpp"

namespace gradus::test {

std::vector<GradientRow> layer_rows() {
  const Range small{.low = -0.8, .high = 0.8};
  return {
      // x, h, c, weight_ih, weight_hh, bias_ih, bias_hh
      {"lstm",
       [](Inputs x) { return nn::lstm_sequence(x[0], x[1], x[2], x[3], x[4], x[5], x[6]); },
       {{{3, 2, 3}, {2, 2}, {2, 2}, {8, 3}, {8, 2}, {8}, {8}},
        {{1, 1, 1}, {1, 1}, {1, 1}, {4, 1}, {4, 1}, {4}, {4}}},
       small},
      {"gru",
       [](Inputs x) { return nn::gru_sequence(x[0], x[1], x[2], x[3], x[4], x[5]); },
       {{{3, 2, 3}, {2, 2}, {6, 3}, {6, 2}, {6}, {6}}, {{1, 1, 1}, {1, 1}, {3, 1}, {3, 1}, {3}, {3}}},
       small},
      // embeddings, h, c, weight_ih, weight_hh, bias_ih, bias_hh
      {"lstm",
       [](Inputs x) {
         const Indices ids({0, 2, 2, 1, 0, 0}, {3, 2});
         return nn::lstm_sequence(x[0], ids, x[1], x[2], x[3], x[4], x[5], x[6]);
       },
       {{{3, 2}, {2, 2}, {2, 2}, {8, 2}, {8, 2}, {8}, {8}}},
       small},
      {"rnn",
       [](Inputs x) {
         const Indices ids({0, 2, 2, 1, 0, 0}, {3, 2});
         return nn::rnn_sequence(nn::Activation::tanh, x[0], ids, x[1], x[2], x[3], x[4], x[5]);
       },
       {{{3, 2}, {2, 2}, {2, 2}, {2, 2}, {2}, {2}}},
       small},
      {"rnn",
       [](Inputs x) { return nn::rnn_sequence(nn::Activation::tanh, x[0], x[1], x[2], x[3], x[4], x[5]); },
       {{{3, 2, 3}, {2, 2}, {2, 3}, {2, 2}, {2}, {2}}, {{1, 1, 1}, {1, 1}, {1, 1}, {1, 1}, {1}, {1}}},
       small},
      {"rnn",  // pre-activations well above 0
       [](Inputs x) { return nn::rnn_sequence(nn::Activation::relu, x[0], x[1], x[2], x[3], x[4], x[5]); },
       {{{3, 2, 3}, {2, 2}, {2, 3}, {2, 2}, {2}, {2}}},
       {.low = 0.1, .high = 0.8}},
  };
}

}  // namespace gradus::test
