#include "tests/autograd/gradient_table/gradient_table.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gradus::test {

const std::vector<std::vector<Shape>> one_input{{{}},     {{1}},       {{0}},          {{5}},
                                                {{3, 4}}, {{2, 1, 3}}, {{2, 3, 1, 2}}, {{2, 0, 3}}};
const std::vector<std::vector<Shape>> two_inputs{
    {{}, {}},         {{3}, {}},           {{}, {3}},           {{2, 3}, {2, 3}},         {{2, 3}, {3}},
    {{3}, {2, 3}},    {{2, 1}, {1, 3}},    {{2, 1, 3}, {4, 1}}, {{1}, {2, 3, 1, 2}},      {{0}, {1}},
    {{2, 0}, {1, 1}}, {{2, 3, 4}, {1, 4}}, {{1, 1, 1}, {2, 3}}, {{2, 1, 2, 1}, {3, 1, 2}}};

std::vector<GradientRow> gradient_table() {
  std::vector<GradientRow> out;
  for (const auto& rows : {arithmetic_rows(),
                           elementwise_rows(),
                           activation_rows(),
                           reduction_rows(),
                           softmax_rows(),
                           cumulative_rows(),
                           movement_rows(),
                           indexing_rows(),
                           sorting_rows(),
                           matmul_rows(),
                           linalg_rows(),
                           einsum_rows(),
                           conv_rows(),
                           layer_rows(),
                           loss_rows(),
                           transforms_rows(),
                           decomposition_rows(),
                           quantile_rows(),
                           searching_rows(),
                           vector_rows(),
                           norm_rows(),
                           pool_rows(),
                           recurrent_option_rows(),
                           large_loss_rows(),
                           attention_rows(),
                           scan_rows(),
                           transformer_rows()}) {
    out.insert(out.end(), rows.begin(), rows.end());
  }
  return out;
}

namespace {

Tensor draw_one(Rng& rng, const Shape& shape, const GradientRow& row) {
  Tensor x = rng.uniform(shape, row.range.low, row.range.high, Dtype::f64);
  double* values = x.mutable_data<double>();
  for (std::int64_t i = 0; i < x.size(); ++i) {
    if (std::abs(values[i]) < row.range.gap)
      values[i] = values[i] < 0 ? values[i] - row.range.gap : values[i] + row.range.gap;
    if (row.distinct) values[i] = 0.5 + 0.1 * static_cast<double>((i * 7) % 29);
  }
  return x;
}

}  // namespace

std::vector<Tensor> draw(Rng& rng, const std::vector<Shape>& shapes, const GradientRow& row) {
  std::vector<Tensor> inputs;
  for (const Shape& shape : shapes) inputs.push_back(draw_one(rng, shape, row));
  return inputs;
}

std::string text_of(const GradientRow& row, const std::vector<Shape>& shapes) {
  std::string text = row.op;
  for (const Shape& shape : shapes) text += " " + shape.text();
  return text;
}

double relative_difference(const Tensor& a, const Tensor& b) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (a.shape() != b.shape()) return infinity;
  double off = 0, largest = 1e-3;
  for (std::int64_t i = 0; i < a.size(); ++i) {
    const double here = std::abs(a.at(i) - b.at(i));
    if (!(here <= off)) off = std::isnan(here) ? infinity : here;
    largest = std::max(largest, std::abs(b.at(i)));
  }
  return off / largest;
}

}  // namespace gradus::test
