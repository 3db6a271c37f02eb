#include "tests/gradient_table.hpp"

#include <array>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/indexing.hpp"
#include "autograd/ops/matmul.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/ops/softmax.hpp"
#include "nn/lstm.hpp"
#include "nn/rnn.hpp"

namespace gradus::test {

namespace {

using Inputs = std::span<const Variable>;

const std::vector<std::vector<Shape>> one_input{{{}},     {{1}},       {{0}},          {{5}},
                                                {{3, 4}}, {{2, 1, 3}}, {{2, 3, 1, 2}}, {{2, 0, 3}}};
const std::vector<std::vector<Shape>> two_inputs{
    {{}, {}},         {{3}, {}},           {{}, {3}},           {{2, 3}, {2, 3}},         {{2, 3}, {3}},
    {{3}, {2, 3}},    {{2, 1}, {1, 3}},    {{2, 1, 3}, {4, 1}}, {{1}, {2, 3, 1, 2}},      {{0}, {1}},
    {{2, 0}, {1, 1}}, {{2, 3, 4}, {1, 4}}, {{1, 1, 1}, {2, 3}}, {{2, 1, 2, 1}, {3, 1, 2}}};

GradientRow unary(const char* op, Variable (*f)(const Variable&, Where), Range range = {}) {
  return {op, [f](Inputs x) { return f(x[0], Where::here()); }, one_input, range};
}

std::vector<GradientRow> elementwise_rows() {
  return {
      {"add", [](Inputs x) { return x[0] + x[1]; }, two_inputs},
      {"add", [](Inputs x) { return 2 + x[0] + 3; }, one_input},
      {"sub", [](Inputs x) { return x[0] - x[1]; }, two_inputs},
      {"sub", [](Inputs x) { return 2 - x[0] * x[0] - 1; }, one_input},
      {"mul", [](Inputs x) { return x[0] * x[1]; }, two_inputs},
      {"mul", [](Inputs x) { return x[0] * x[0] * 3; }, one_input},
      {"div", [](Inputs x) { return x[0] / x[1]; }, two_inputs, {.gap = 0.5}},
      {"div", [](Inputs x) { return 2 / x[0] + x[0] / 3; }, one_input, {.gap = 0.5}},
      {"neg", [](Inputs x) { return -x[0] * x[0]; }, one_input},
      {"maximum", [](Inputs x) { return maximum(x[0] * x[0], x[1]); }, two_inputs, {.low = 2, .high = 3}},
      {"maximum", [](Inputs x) { return maximum(x[0] * x[0], 0.01); }, one_input, {.gap = 0.2}},
      {"minimum", [](Inputs x) { return minimum(x[0] * x[0], x[1]); }, two_inputs, {.low = 2, .high = 3}},
      {"minimum", [](Inputs x) { return minimum(x[0] * x[0], 0.01); }, one_input, {.gap = 0.2}},
      unary("abs", abs, {.gap = 0.1}),
      unary("square", square),
      unary("sqrt", sqrt, {.low = 0.5, .high = 3}),
      unary("reciprocal", reciprocal, {.gap = 0.5}),
      unary("exp", exp),
      unary("log", log, {.low = 0.5, .high = 3}),
      unary("log1p", log1p, {.low = -0.5, .high = 2}),
      unary("sin", sin),
      unary("cos", cos),
      unary("tanh", tanh),
      unary("sigmoid", sigmoid),
      unary("relu", relu, {.gap = 0.1}),
  };
}

std::vector<GradientRow> reduction_rows() {
  const std::vector<std::vector<Shape>> matrices{{{3, 4}}, {{1, 4}}, {{3, 1}}, {{2, 3, 4}}, {{2, 3, 1, 2}}};
  return {
      {"sum", [](Inputs x) { return sum(x[0] * x[0]); }, one_input},
      {"sum", [](Inputs x) { return sum(x[0] * x[0], 0); }, {{{3}}, {{0}}, {{3, 4}}, {{2, 0}}, {{2, 3, 4}}}},
      {"sum", [](Inputs x) { return sum(x[0] * x[0], -1, true); }, matrices},
      {"sum",
       [](Inputs x) {
         return sum(x[0] * x[0], std::array{0, -1});
       },
       matrices},
      {"sum", [](Inputs x) { return mean(x[0] * x[0]) + mean(x[0], -1); }, matrices},
      {"max", [](Inputs x) { return max(x[0] * x[0] * x[0], 0); }, matrices, {}, true},
      {"max", [](Inputs x) { return max(x[0] * x[0] * x[0], -1, true); }, matrices, {}, true},
      {"sum_to",
       [](Inputs x) {
         return sum_to(x[0] * x[0], {1, 4});
       },
       {{{3, 4}}, {{2, 3, 4}}, {{0, 4}}}},
      {"broadcast_to",
       [](Inputs x) {
         return broadcast_to(x[0] * x[0], {2, 3, 4});
       },
       {{{}}, {{4}}, {{3, 1}}, {{2, 1, 4}}}},
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

std::vector<GradientRow> movement_rows() {
  const auto squares = [](Inputs x) {
    std::vector<Variable> out;
    for (const Variable& v : x) out.push_back(v * v);
    return out;
  };
  return {
      {"identity", [](Inputs x) { return identity(x[0] * x[0]); }, one_input},
      {"reshape",
       [](Inputs x) {
         return reshape(x[0] * x[0], {3, 4});
       },
       {{{12}}, {{2, 6}}, {{2, 3, 2}}}},
      {"permute",
       [](Inputs x) {
         return permute(x[0] * x[0], std::array{2, 0, -2});
       },
       {{{2, 3, 4}}, {{1, 3, 2}}, {{2, 0, 3}}}},
      {"transpose", [](Inputs x) { return transpose(x[0] * x[0]); }, {{{2, 3}}, {{4, 2, 3}}, {{1, 0}}}},
      {"transpose", [](Inputs x) { return transpose(x[0] * x[0], 0, 2); }, {{{2, 3, 4}}, {{2, 3, 4, 2}}}},
      {"concat", [squares](Inputs x) { return concat(squares(x), 0); }, {{{2, 3}, {1, 3}}, {{2}, {0}, {3}}}},
      {"concat",
       [squares](Inputs x) { return concat(squares(x), -1); },
       {{{2, 3}, {2, 1}}, {{2, 1, 3}, {2, 1, 2}}}},
      {"concat", [squares](Inputs x) { return stack(squares(x), 1); }, {{{2, 3}, {2, 3}}, {{2}, {2}}}},
      {"slice", [](Inputs x) { return slice(x[0] * x[0], 1, 1, 3); }, {{{2, 4}}, {{2, 3, 2}}, {{0, 3}}}},
      {"slice", [](Inputs x) { return slice(x[0], 0, 0, 2) * slice(x[0], 0, 1, 3); }, {{{3}}, {{3, 2}}}},
      {"select", [](Inputs x) { return select(x[0], 1) * select(x[0], 0); }, {{{2}}, {{3, 2}}, {{2, 3, 2}}}},
      {"place_slice",
       [](Inputs x) {
         return place_slice(x[0] * x[0], {2, 5}, 1, 1);
       },
       {{{2, 3}}, {{2, 0}}, {{2, 4}}}},
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

std::vector<GradientRow> matmul_rows() {
  const std::vector<std::vector<Shape>> plain{
      {{2, 3}, {3, 4}},    {{1, 1}, {1, 1}},       {{2, 0}, {0, 3}},          {{5, 2, 3}, {3, 4}},
      {{2, 3}, {5, 3, 4}}, {{5, 2, 3}, {5, 3, 4}}, {{5, 1, 2, 3}, {2, 3, 1}}, {{3}, {3}},
      {{3}, {3, 4}},       {{2, 3}, {3}},          {{4, 2, 3}, {3}},          {{3}, {4, 3, 2}}};
  return {
      {"matmul", [](Inputs x) { return matmul(x[0], x[1]); }, plain},
      {"matmul",
       [](Inputs x) { return matmul(x[0], x[1], {.transpose_a = true}); },
       {{{3, 2}, {3, 4}}, {{5, 3, 2}, {3, 4}}, {{5, 3, 2}, {5, 3, 4}}}},
      {"matmul",
       [](Inputs x) { return matmul(x[0], x[1], {.transpose_b = true}); },
       {{{2, 3}, {4, 3}}, {{5, 2, 3}, {4, 3}}, {{2, 3}, {5, 4, 3}}}},
      {"matmul",
       [](Inputs x) { return matmul(x[0], x[1], {.transpose_a = true, .transpose_b = true}); },
       {{{3, 2}, {4, 3}}, {{5, 3, 2}, {5, 4, 3}}}},
      {"linear",
       [](Inputs x) { return linear(x[0], x[1], x[2]); },
       {{{2, 3}, {4, 3}, {4}},
        {{3}, {4, 3}, {4}},
        {{2, 5, 3}, {4, 3}, {4}},
        {{0, 3}, {4, 3}, {4}},
        {{2, 3}, {1, 3}, {1}}}},
      {"linear", [](Inputs x) { return linear(x[0], x[1], Variable()); }, {{{2, 3}, {4, 3}}}},
  };
}

}  // namespace

std::vector<GradientRow> gradient_table() {
  std::vector<GradientRow> out;
  for (auto rows : {elementwise_rows(), reduction_rows(), movement_rows(), matmul_rows()}) {
    out.insert(out.end(), rows.begin(), rows.end());
  }
  return out;
}

std::vector<GradientRow> layer_gradient_table() {
  const Range small{.low = -0.8, .high = 0.8};
  return {
      // x, h, c, weight_ih, weight_hh, bias_ih, bias_hh
      {"lstm",
       [](Inputs x) { return nn::lstm_sequence(x[0], x[1], x[2], x[3], x[4], x[5], x[6]); },
       {{{3, 2, 3}, {2, 2}, {2, 2}, {8, 3}, {8, 2}, {8}, {8}},
        {{1, 1, 1}, {1, 1}, {1, 1}, {4, 1}, {4, 1}, {4}, {4}}},
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
