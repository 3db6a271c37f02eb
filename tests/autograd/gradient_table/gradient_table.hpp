#pragma once

#include <functional>
#include <string>
#include <vector>

#include "autograd/gradcheck.hpp"
#include "autograd/variable.hpp"
#include "tensor/random.hpp"
#include "tests/support/function_rows.hpp"

namespace gradus::test {

using Inputs = std::span<const Variable>;

/// One row of the table of gradient checks: an op, how to call it, and the shapes to try it on.
struct GradientRow {
  std::string op;  // the name given to record
  std::function<Variable(Inputs)> call;
  std::vector<std::vector<Shape>> shapes;  // each: one shape an input
  Range range = {};
  bool distinct = false;  // all values of an input well apart, for maxima
};

/// One input of rank 0 to 4, sizes 0 and 1 included; and two that broadcast both ways.
extern const std::vector<std::vector<Shape>> one_input, two_inputs;

// The rows, a function for each file of ops.
std::vector<GradientRow> arithmetic_rows();
std::vector<GradientRow> elementwise_rows();
std::vector<GradientRow> activation_rows();
std::vector<GradientRow> reduction_rows();
std::vector<GradientRow> softmax_rows();
std::vector<GradientRow> cumulative_rows();
std::vector<GradientRow> movement_rows();
std::vector<GradientRow> indexing_rows();
std::vector<GradientRow> sorting_rows();
std::vector<GradientRow> matmul_rows();
std::vector<GradientRow> linalg_rows();
std::vector<GradientRow> einsum_rows();
std::vector<GradientRow> conv_rows();
std::vector<GradientRow> layer_rows();
std::vector<GradientRow> loss_rows();
std::vector<GradientRow> transforms_rows();
std::vector<GradientRow> decomposition_rows();
std::vector<GradientRow> quantile_rows();
std::vector<GradientRow> searching_rows();
std::vector<GradientRow> vector_rows();
std::vector<GradientRow> norm_rows();
std::vector<GradientRow> pool_rows();
std::vector<GradientRow> recurrent_option_rows();
std::vector<GradientRow> large_loss_rows();
std::vector<GradientRow> attention_rows();
std::vector<GradientRow> scan_rows();
std::vector<GradientRow> transformer_rows();

/// All rows; an op in the sources without one fails a test.
std::vector<GradientRow> gradient_table();

/// Inputs of a row, f64, as its range says.
std::vector<Tensor> draw(Rng& rng, const std::vector<Shape>& shapes, const GradientRow& row);
/// A row with these shapes, for messages.
std::string text_of(const GradientRow& row, const std::vector<Shape>& shapes);
/// The largest |a - b|, relative to the largest |b|; infinite for different shapes or NaN.
double relative_difference(const Tensor& a, const Tensor& b);

}  // namespace gradus::test
