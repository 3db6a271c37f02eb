#include "tests/autograd/gradient_table/gradient_table.hpp"

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

}  // namespace gradus::test
