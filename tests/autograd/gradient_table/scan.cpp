#include "autograd/ops/scan.hpp"

#include "autograd/ops/arithmetic.hpp"
#include "nn/min_rnn.hpp"
#include "tests/autograd/gradient_table/gradient_table.hpp"

namespace gradus::test {

namespace {

/// A layer of x, a state and the parameters of both its cells; h and the last state, side by side.
template <class Layer>
Variable min_layer(Inputs in, nn::MinCandidate candidate, const Indices& lengths) {
  Rng rng(1);
  Layer layer(rng, in[0].dim(2), in[1].dim(2),
              {.layers = static_cast<int>(in[1].dim(0)), .candidate = candidate});
  std::size_t next = 2;
  for_each_parameter(layer,
                     [&](const std::string&, Parameter& p) { static_cast<Variable&>(p) = in[next++]; });
  const auto [h, last] = layer(in[0], {in[1]}, nullptr, lengths);
  return concat({flatten(h), flatten(last.h)}, 0);
}

/// The shapes of such inputs.
std::vector<Shape> min_shapes(const Shape& x, std::int64_t layers, std::int64_t width, int maps) {
  std::vector<Shape> out{x, {layers, x[1], width}};
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    for (int map = 0; map < maps; ++map) {
      out.push_back({width, layer == 0 ? x[2] : width});
      out.push_back({width});
    }
  }
  return out;
}

template <class Layer>
void add_layer(std::vector<GradientRow>& rows, int maps) {
  const auto row = [&](nn::MinCandidate candidate, const Indices& lengths, const std::vector<Shape>& shapes) {
    rows.push_back({"linear_scan",
                    [=](Inputs in) { return min_layer<Layer>(in, candidate, lengths); },
                    {shapes},
                    {.low = -0.8, .high = 0.8}});
  };
  row(nn::MinCandidate::linear, {}, min_shapes({3, 2, 2}, 2, 2, maps));
  row(nn::MinCandidate::positive, {}, min_shapes({2, 1, 3}, 1, 2, maps));
  row(nn::MinCandidate::linear, {3, 0, 1}, min_shapes({3, 3, 2}, 1, 2, maps));
}

}  // namespace

std::vector<GradientRow> scan_rows() {
  std::vector<GradientRow> rows{
      {"linear_scan",
       [](Inputs x) { return linear_scan(x[0], x[1], x[2]); },
       {{{4}, {4}, {}}, {{1, 3}, {1, 3}, {3}}, {{3, 2, 2}, {3, 2, 2}, {2, 2}}, {{0, 2}, {0, 2}, {2}}}},
      {"linear_scan", [](Inputs x) { return linear_scan(x[0], x[1]); }, {{{4, 2}, {4, 2}}, {{1}, {1}}}},
      // One tensor in all places.
      {"linear_scan", [](Inputs x) { return linear_scan(x[0], x[0], select(x[0], 0)); }, {{{4, 2}}}},
  };
  add_layer<nn::MinGru>(rows, 2);
  add_layer<nn::MinLstm>(rows, 3);
  return rows;
}

}  // namespace gradus::test
