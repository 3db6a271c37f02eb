#include "tests/autograd/gradient_table/gradient_table.hpp"

#include <array>
#include <limits>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/reduction.hpp"

namespace gradus::test {

namespace {

using Shapes = std::vector<std::vector<Shape>>;

const Shapes matrices{{{3, 4}}, {{1, 4}}, {{3, 1}}, {{2, 3, 4}}, {{2, 3, 1, 2}}};
/// Of rank 3 and 4, for several axes that are neighbours or not.
const Shapes deep{{{2, 3, 2}}, {{1, 3, 2}}, {{2, 1, 3}}, {{2, 3, 1, 2}}};

std::vector<GradientRow> sums() {
  return {
      {"sum", [](Inputs x) { return sum(x[0] * x[0]); }, one_input},
      {"sum", [](Inputs x) { return sum(x[0] * x[0], 0); }, {{{3}}, {{0}}, {{3, 4}}, {{2, 0}}, {{2, 3, 4}}}},
      {"sum", [](Inputs x) { return sum(x[0] * x[0], -1, true); }, matrices},
      {"sum",
       [](Inputs x) {
         return sum(x[0] * x[0], {0, -1});
       },
       matrices},
      {"sum", [](Inputs x) { return sum(x[0] * x[0], std::span<const int>()); }, matrices},
      {"mean", [](Inputs x) { return mean(x[0] * x[0]) + mean(x[0], -1); }, matrices},
      {"mean",
       [](Inputs x) {
         return mean(x[0] * x[0], {2, 0}, true);
       },
       deep},
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
  };
}

std::vector<GradientRow> extremes() {
  const auto cube = [](const Variable& x) { return x * x * x; };
  return {
      {"max", [cube](Inputs x) { return max(cube(x[0]), {0}); }, matrices, {}, true},
      {"max", [cube](Inputs x) { return max(cube(x[0]), {-1}, true); }, matrices, {}, true},
      {"max",
       [cube](Inputs x) {
         return max(cube(x[0]), {0, 2});
       },
       deep,
       {},
       true},
      {"max", [cube](Inputs x) { return max(cube(x[0])); }, {{{}}, {{5}}, {{2, 3}}}, {}, true},
      {"min", [cube](Inputs x) { return min(cube(x[0]), {0}); }, matrices, {}, true},
      {"min",
       [cube](Inputs x) {
         return min(cube(x[0]), {-3, -1}, true);
       },
       deep,
       {},
       true},
      {"min", [cube](Inputs x) { return min(cube(x[0])); }, {{{}}, {{5}}, {{2, 3}}}, {}, true},
  };
}

/// Distinct inputs with every period-th from the second moved to 0 (the test draws them as told here).
Variable with_zeros(const Variable& x, int period) {
  Tensor moved = zeros(x.shape(), Dtype::f64);
  for (std::int64_t i = 1; i < x.size(); i += period) {
    moved.mutable_data<double>()[i] = 0.5 + 0.1 * static_cast<double>((i * 7) % 29);
  }
  return x - Variable(moved.to(x.dtype()));
}

std::vector<GradientRow> products() {
  const Range zero{.low = 0, .high = 0};  // every element is 0
  return {
      {"prod", [](Inputs x) { return prod(x[0]); }, {{{}}, {{1}}, {{0}}, {{5}}, {{2, 3}}, {{2, 1, 3}}}},
      {"prod", [](Inputs x) { return prod(x[0], 0); }, matrices},
      {"prod", [](Inputs x) { return prod(x[0], -1, true); }, {{{3, 4}}, {{2, 0}}, {{2, 3, 4}}}},
      {"prod",
       [](Inputs x) {
         return prod(x[0], {0, 2});
       },
       deep},
      {"prod", [](Inputs x) { return prod(x[0] + x[0], -1); }, {{{2}}, {{3}}, {{2, 3}}}, zero},
      {"prod", [](Inputs x) { return prod(with_zeros(x[0], 4), -1); }, {{{4}}, {{2, 4}}}, {}, true},
      {"prod", [](Inputs x) { return prod(with_zeros(x[0], 2), 0); }, {{{5}}, {{5, 2}}}, {}, true},
  };
}

std::vector<GradientRow> norms() {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  std::vector<GradientRow> out{
      {"var", [](Inputs x) { return var(x[0]); }, {{{2}}, {{5}}, {{2, 3}}, {{2, 3, 1, 2}}}},
      {"var",
       [](Inputs x) { return var(x[0], 0, {.correction = 0}); },
       {{{3}}, {{1}}, {{3, 4}}, {{2, 3, 4}}}},
      {"var",
       [](Inputs x) {
         return var(x[0], {0, -1}, {.correction = 0.5, .keepdims = true});
       },
       deep},
      {"stddev", [](Inputs x) { return stddev(x[0]); }, {{{3}}, {{5}}, {{2, 3}}}},
      {"stddev",
       [](Inputs x) { return stddev(x[0], -1, {.keepdims = true}); },
       {{{3}}, {{2, 4}}, {{2, 3, 3}}}},
      {"stddev",
       [](Inputs x) {
         return stddev(x[0], {0, 2}, {.correction = 0});
       },
       {{{2, 3, 2}}}},
      {"logsumexp", [](Inputs x) { return logsumexp(x[0]); }, {{{}}, {{1}}, {{5}}, {{2, 3}}, {{2, 1, 3}}}},
      {"logsumexp", [](Inputs x) { return logsumexp(x[0], 0, true); }, matrices},
      {"logsumexp",
       [](Inputs x) {
         return logsumexp(x[0], {-1, 0});
       },
       deep},
      {"norm", [](Inputs x) { return norm(x[0] * x[0] * x[0], {-1}, {.p = infinity}); }, matrices, {}, true},
      {"norm", [](Inputs x) { return norm(x[0] * x[0] * x[0], {0}, {.p = -infinity}); }, matrices, {}, true},
  };
  for (const double p : {2.0, 1.0, 3.0, 2.5, 1.5, 0.5, -1.0, 0.0}) {
    out.push_back({"norm", [p](Inputs x) { return norm(x[0], {-1}, {.p = p}); }, matrices, {.gap = 0.3}});
    out.push_back(
        {"norm", [p](Inputs x) { return norm(x[0], {}, {.p = p}); }, {{{}}, {{3}}, {{2, 2}}}, {.gap = 0.3}});
    out.push_back({"norm",
                   [p](Inputs x) {
                     return norm(x[0], {0, 2}, {.p = p, .keepdims = true});
                   },
                   {{{2, 3, 2}}},
                   {.gap = 0.3}});
  }
  out.push_back({"power_of_abs", [](Inputs x) { return norm(x[0], {}, {.p = 3}); }, {{{4}}}, {.gap = 0.3}});
  return out;
}

}  // namespace

std::vector<GradientRow> reduction_rows() {
  std::vector<GradientRow> out;
  for (const auto& rows : {sums(), extremes(), products(), norms()}) {
    out.insert(out.end(), rows.begin(), rows.end());
  }
  return out;
}

}  // namespace gradus::test
