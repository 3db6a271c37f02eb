#include "autograd/ops/linalg.hpp"

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/matmul.hpp"
#include "tests/autograd/gradient_table/gradient_table.hpp"

namespace gradus::test {

namespace {

/// x + 3 times the identity: with elements of x within 1 far enough from singular.
Variable shifted(const Variable& x) {
  const std::int64_t n = x.dim(-1);
  Tensor eye = zeros({n, n}, Dtype::f64);
  for (std::int64_t i = 0; i < n; ++i) eye.mutable_data<double>()[i * (n + 1)] = 3;
  return x + Variable(eye.to(x.dtype()));
}
/// Symmetric and positive definite.
Variable positive(const Variable& x) {
  return shifted(matmul(x, x, {.transpose_b = true}));
}

GradientRow triangular_row(TriangularOptions options) {
  return {"triangular_solve",
          [options](Inputs x) { return triangular_solve(shifted(x[0]), x[1], options); },
          {{{3, 3}, {3, 2}}, {{2, 3, 3}, {3, 2}}, {{3, 3}, {2, 3, 1}}, {{2, 2}, {2}}},
          {.low = -1, .high = 1}};
}

}  // namespace

std::vector<GradientRow> linalg_rows() {
  const Range small{.low = -1, .high = 1};
  const std::vector<std::vector<Shape>> square{{{3, 3}},       {{1, 1}}, {{2, 2, 2}},
                                               {{2, 1, 3, 3}}, {{0, 0}}, {{0, 2, 2}}};
  const std::vector<std::vector<Shape>> systems{
      {{3, 3}, {3, 2}},    {{3, 3}, {3}},       {{1, 1}, {1, 1}}, {{2, 3, 3}, {2, 3, 1}},
      {{2, 2, 2}, {2, 3}}, {{2, 2}, {3, 2, 2}}, {{2, 3, 3}, {3}}, {{2, 1, 2, 2}, {3, 2, 1}},
      {{0, 0}, {0, 2}},    {{2, 2}, {2, 0}}};
  return {
      {"dot",
       [](Inputs x) { return dot(x[0] * x[0], x[1]); },
       {{{3}, {3}}, {{1}, {1}}, {{0}, {0}}, {{2, 3}, {3}}, {{3}, {2, 3}}, {{2, 1, 3}, {4, 3}}}},
      {"outer",
       [](Inputs x) { return outer(x[0] * x[0], x[1]); },
       {{{3}, {2}}, {{1}, {1}}, {{0}, {2}}, {{2, 3}, {2}}, {{3}, {2, 2}}, {{2, 1, 3}, {2, 2}}}},
      {"cholesky", [](Inputs x) { return cholesky(positive(x[0])); }, square, small},
      {"cholesky", [](Inputs x) { return cholesky(positive(x[0]), {.upper = true}); }, {{{3, 3}}}, small},
      triangular_row({}),
      triangular_row({.upper = true}),
      triangular_row({.transpose = true}),
      triangular_row({.unit_diagonal = true}),
      triangular_row({.upper = true, .transpose = true, .unit_diagonal = true}),
      {"solve", [](Inputs x) { return solve(shifted(x[0]), x[1]); }, systems, small},
      {"inverse", [](Inputs x) { return inverse(shifted(x[0])); }, square, small},
      {"det", [](Inputs x) { return det(x[0]); }, square},
      {"slogdet", [](Inputs x) { return slogdet(shifted(x[0])).log_abs; }, square, small},
      {"slogdet", [](Inputs x) { return slogdet(-shifted(x[0])).log_abs; }, {{{3, 3}}}, small},
      {"logdet", [](Inputs x) { return logdet(shifted(x[0])); }, square, small},
  };
}

}  // namespace gradus::test
