#include "tests/autograd/gradient_table/gradient_table.hpp"

#include "nn/linear.hpp"
#include "nn/norm.hpp"
#include "tests/support/recurrent.hpp"

namespace gradus::test {

namespace {

/// A cell in both directions, over sequences of equal and of several lengths, and over a table.
template <class Cell>
void add_cell(std::vector<GradientRow>& rows, const char* op, Range range, const Cell& cell = {}) {
  const auto add = [&](const CellFunction<Cell>& f, const std::vector<std::vector<Shape>>& shapes) {
    rows.push_back({op, f, shapes, range});
  };
  for (const bool reverse : {false, true}) {
    const CellFunction<Cell> f{.cell = cell, .reverse = reverse};
    add(f, {f.shapes({3, 2, 3}, 2, 2), f.shapes({1, 1, 1}, 1, 1)});
    const CellFunction<Cell> ragged{.cell = cell, .reverse = reverse, .lengths = {3, 1, 0}};
    add(ragged, {f.shapes({4, 3, 2}, 3, 2)});
  }
  const CellFunction<Cell> of_table{.cell = cell, .ids = Indices({0, 2, 2, 1, 0, 0}).reshape({3, 2})};
  add(of_table, {of_table.shapes({3, 2}, 2, 2)});
}

}  // namespace

std::vector<GradientRow> layer_rows() {
  std::vector<GradientRow> rows;
  for_each_recurrent_layer([&]<class Case>(const Case& of) {
    using Cell = typename Case::Cell;
    const char* op = of.name;
    if constexpr (nn::FusedCell<Cell>) op = Cell::op;
    add_cell<Cell>(rows, op, {.low = -0.8, .high = 0.8}, of.smooth);
    if constexpr (nn::TwiceFusedCell<Cell>)
      add_cell<Cell>(rows, "recurrent_gradient", {.low = -0.8, .high = 0.8}, of.smooth);
  });
  // Well above 0.
  add_cell<nn::RnnCell>(rows, "rnn", {.low = 0.1, .high = 0.8}, nn::Activation::relu);
  const auto layer_norm = [](Inputs in) {
    nn::LayerNorm norm(in[1].size());
    static_cast<Variable&>(norm.weight) = in[1];
    static_cast<Variable&>(norm.bias) = in[2];
    return norm(in[0]);
  };
  rows.push_back({"layer_norm",
                  layer_norm,
                  {{{3}, {3}, {3}}, {{2, 4}, {4}, {4}}, {{2, 1, 3, 2}, {2}, {2}}, {{0, 3}, {3}, {3}}}});
  // A linear layer with an adapter, and its weight with what that adds, as losses read it.
  const auto adapted = [](Inputs in) {
    Rng rng(1);
    nn::Linear layer(rng, 1, 1);
    layer.lora.emplace(nn::LoraAdapter{Parameter(), Parameter(), 3, 0});
    static_cast<Variable&>(layer.weight) = in[1];
    static_cast<Variable&>(layer.bias) = in[2];
    static_cast<Variable&>(layer.lora->a) = in[3];
    static_cast<Variable&>(layer.lora->b) = in[4];
    return layer;
  };
  const std::vector<std::vector<Shape>> shapes{{{3}, {2, 3}, {2}, {1, 3}, {2, 1}},
                                               {{2, 2, 3}, {4, 3}, {4}, {2, 3}, {4, 2}}};
  rows.push_back({"linear", [adapted](Inputs in) { return adapted(in)(in[0]); }, shapes});
  rows.push_back({"linear",
                  [adapted](Inputs in) {
                    const nn::Linear layer = adapted(in);
                    return linear(in[0], layer.effective_weight(), layer.bias);
                  },
                  shapes});
  return rows;
}

}  // namespace gradus::test
