#include "autograd/ops/decompositions.hpp"

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/matmul.hpp"
#include "autograd/ops/movement.hpp"
#include "tensor/ops/creation.hpp"
#include "tests/autograd/gradient_table/gradient_table.hpp"

namespace gradus::test {

namespace {

/// x with 1, 3, 5, ... added to its diagonal: the singular values, and eigenvalues, lie well apart.
Variable spread(const Variable& x) {
  Tensor diagonal = eye(x.dim(-2), x.dim(-1), x.dtype());
  visit_elements(
      [&](auto* to) {
        for (std::int64_t i = 0; i < std::min(x.dim(-2), x.dim(-1)); ++i)
          to[i * (x.dim(-1) + 1)] *= static_cast<std::remove_reference_t<decltype(*to)>>(1 + 2 * i);
      },
      diagonal);
  return x + diagonal;
}

/// The results in one vector. Squares have no sign.
Variable squares(const std::vector<Variable>& parts) {
  std::vector<Variable> flat;
  for (const Variable& part : parts) flat.push_back(flatten(square(part)));
  return concat(flat, 0);
}

Variable all_of_svd(const Variable& x) {
  const auto [u, s, vt] = svd(spread(x));
  return squares({u, s, vt});
}
Variable all_of_eigh(const Variable& x) {
  const auto [values, vectors] = eigh(spread(x + transpose(x)));
  return squares({values, vectors});
}
Variable all_of_qr(const Variable& x) {
  const auto [q, r] = qr(spread(x));
  return squares({q, r});
}

}  // namespace

std::vector<GradientRow> decomposition_rows() {
  const Range small{.low = -0.5, .high = 0.5};
  const std::vector<std::vector<Shape>> square_ones{{{3, 3}}, {{1, 1}}, {{2, 2, 2}}, {{0, 0}}, {{0, 2, 2}}};
  const std::vector<std::vector<Shape>> any{{{3, 3}}, {{1, 1}},    {{4, 2}}, {{2, 4}},      {{3, 1}},
                                            {{1, 3}}, {{2, 3, 2}}, {{0, 2}}, {{2, 1, 2, 3}}};
  const std::vector<std::vector<Shape>> systems{{{3, 3}, {3, 2}}, {{4, 2}, {4, 2}},    {{2, 4}, {2, 1}},
                                                {{4, 2}, {4}},    {{2, 3, 2}, {3, 1}}, {{3, 2}, {2, 3, 2}},
                                                {{2, 2}, {2, 0}}};
  return {
      {"svd", [](Inputs x) { return all_of_svd(x[0]); }, any, small},
      {"svd", [](Inputs x) { return svd(spread(x[0])).u * 2; }, {{{4, 2}}, {{2, 3}}}, small},
      {"svd", [](Inputs x) { return svd(spread(x[0])).s; }, {{{4, 2}}, {{2, 3}}}, small},
      {"svd", [](Inputs x) { return svd(spread(x[0])).vt * 2; }, {{{4, 2}}, {{2, 3}}}, small},
      {"eigh", [](Inputs x) { return all_of_eigh(x[0]); }, square_ones, small},
      {"eigh", [](Inputs x) { return eigh(spread(x[0] + transpose(x[0]))).values; }, {{{3, 3}}}, small},
      {"eigh", [](Inputs x) { return eigh(spread(x[0] + transpose(x[0]))).vectors; }, {{{3, 3}}}, small},
      {"qr", [](Inputs x) { return all_of_qr(x[0]); }, any, small},
      {"qr", [](Inputs x) { return qr(spread(x[0])).q; }, {{{4, 2}}, {{2, 3}}}, small},
      {"qr", [](Inputs x) { return qr(spread(x[0])).r; }, {{{4, 2}}, {{2, 3}}}, small},
      {"lstsq", [](Inputs x) { return lstsq(spread(x[0]), x[1]); }, systems, small},
      // Of rank 2, whatever the inputs.
      {"lstsq",
       [](Inputs x) { return lstsq(matmul(spread(x[0]), spread(x[1])), x[2], {.rcond = 1e-4}); },
       {{{4, 2}, {2, 3}, {4, 1}}, {{3, 2}, {2, 3}, {3}}},
       small},
  };
}

}  // namespace gradus::test
