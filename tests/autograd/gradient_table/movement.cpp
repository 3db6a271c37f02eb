#include "autograd/ops/movement.hpp"

#include <array>

#include "autograd/ops/arithmetic.hpp"
#include "tests/autograd/gradient_table/gradient_table.hpp"

namespace gradus::test {

namespace {

std::vector<Variable> squares(Inputs x) {
  std::vector<Variable> out;
  for (const Variable& v : x) out.push_back(v * v);
  return out;
}

std::vector<GradientRow> shape_rows() {
  return {
      {"identity", [](Inputs x) { return identity(x[0] * x[0]); }, one_input},
      {"reshape",
       [](Inputs x) {
         return reshape(x[0] * x[0], {3, -1});
       },
       {{{12}}, {{2, 6}}, {{2, 3, 2}}, {{0}}, {{3}}}},
      {"reshape", [](Inputs x) { return flatten(x[0] * x[0]); }, one_input},
      {"reshape", [](Inputs x) { return flatten(x[0] * x[0], 1, -2); }, {{{2, 3, 2}}, {{2, 1, 3, 2}}}},
      {"reshape", [](Inputs x) { return squeeze(x[0] * x[0]); }, one_input},
      {"reshape", [](Inputs x) { return squeeze(x[0] * x[0], -2); }, {{{1, 3}}, {{2, 1, 0}}, {{2, 2, 1, 2}}}},
      {"reshape", [](Inputs x) { return unsqueeze(x[0] * x[0], -1); }, one_input},
      {"permute",
       [](Inputs x) {
         return permute(x[0] * x[0], {2, 0, -2});
       },
       {{{2, 3, 4}}, {{1, 3, 2}}, {{2, 0, 3}}}},
      {"permute",
       [](Inputs x) {
         return permute(x[0] * x[0], {3, 1, 0, 2});
       },
       {{{2, 3, 1, 2}}}},
      {"permute", [](Inputs x) { return permute(x[0] * x[0], std::span<const int>()); }, {{{}}}},
      {"transpose", [](Inputs x) { return transpose(x[0] * x[0]); }, {{{2, 3}}, {{4, 2, 3}}, {{1, 0}}}},
      {"transpose", [](Inputs x) { return transpose(x[0] * x[0], 0, 2); }, {{{2, 3, 4}}, {{2, 3, 4, 2}}}},
      {"flip",
       [](Inputs x) {
         return flip(x[0] * x[0], {0, -1});
       },
       {{{2, 3}}, {{2, 1, 3}}, {{0, 2}}, {{2, 1, 2, 2}}}},
      {"flip", [](Inputs x) { return flip(x[0] * x[0], {0}); }, {{{1}}, {{4}}, {{3, 2}}}},
      {"roll",
       [](Inputs x) { return roll(x[0] * x[0], 4, -1); },
       {{{1}}, {{3}}, {{0}}, {{2, 3}}, {{2, 1, 2, 3}}}},
      {"roll", [](Inputs x) { return roll(x[0] * x[0], -1, 0); }, {{{3}}, {{3, 2}}, {{2, 0}}}},
  };
}

std::vector<GradientRow> joining_rows() {
  return {
      {"concat",
       [](Inputs x) { return concat(squares(x), 0); },
       {{{2, 3}, {1, 3}}, {{2}, {0}, {3}}, {{1, 2, 1, 2}, {2, 2, 1, 2}}}},
      {"concat", [](Inputs x) { return concat(squares(x), -1); }, {{{2, 3}, {2, 1}}, {{2, 1, 3}, {2, 1, 2}}}},
      {"concat",
       [](Inputs x) {
         return concat({x[0] * x[0], x[0]}, 0);
       },
       {{{3}}, {{2, 2}}}},
      {"stack",
       [](Inputs x) { return stack(squares(x), -1); },
       {{{2, 3}, {2, 3}}, {{2}, {2}}, {{}, {}}, {{0}, {0}}, {{2, 1, 2}, {2, 1, 2}}}},
      {"stack", [](Inputs x) { return stack(squares(x), 0); }, {{{}, {}}, {{2, 3}, {2, 3}}}},
      {"split",
       [](Inputs x) {
         const auto parts = split(x[0] * x[0], {1, 0, 2}, -1);
         return parts[0] * parts[2];
       },
       {{{3}}, {{2, 3}}, {{2, 1, 2, 3}}, {{0, 3}}}},
      {"split",
       [](Inputs x) {
         const auto parts = split(x[0], 2);
         return parts[0] * parts[1];
       },
       {{{4}}, {{2, 3}}}},
      {"split", [](Inputs x) { return concat(chunk(x[0] * x[0], 2, 0), 0); }, {{{5}}, {{1, 3}}, {{0, 2}}}},
      {"unstack",
       [](Inputs x) {
         const auto entries = unstack(x[0] * x[0], -1);
         return entries[2] * entries[0];  // nothing depends on the second
       },
       {{{3}}, {{2, 3}}, {{2, 1, 2, 3}}, {{0, 3}}}},
      {"unstack", [](Inputs x) { return stack(unstack(x[0] * x[0]), -1); }, {{{2}}, {{3, 2}}}},
  };
}

std::vector<GradientRow> slice_rows() {
  const std::vector<std::vector<Shape>> two_axes{{{2, 4}}, {{3, 3, 2}}, {{2, 4, 1, 2}}, {{0, 3}}};
  return {
      {"slice", [](Inputs x) { return slice(x[0] * x[0], 1, 1, 3); }, {{{2, 4}}, {{2, 3, 2}}, {{0, 3}}}},
      {"slice", [](Inputs x) { return slice(x[0] * x[0], -1, -3, -1); }, {{{4}}, {{2, 3}}, {{2, 1, 2, 3}}}},
      {"slice", [](Inputs x) { return slice(x[0], 0, 0, 2) * slice(x[0], 0, 1, 3); }, {{{3}}, {{3, 2}}}},
      {"slice",
       [](Inputs x) { return slice(x[0] * x[0], -1, {.step = -2}); },
       {{{5}}, {{2, 4}}, {{2, 1}}, {{2, 0}}}},
      {"slice",
       [](Inputs x) {
         return slice(x[0] * x[0], {{.step = -1}, {.begin = -1, .end = 0, .step = -1}});
       },
       two_axes},
      {"slice",
       [](Inputs x) {
         return slice(x[0] * x[0], {{}, {.begin = 1, .step = 2}});
       },
       two_axes},
      {"select", [](Inputs x) { return select(x[0], 1) * select(x[0], 0); }, {{{2}}, {{3, 2}}, {{2, 3, 2}}}},
      {"select", [](Inputs x) { return select(x[0] * x[0], -1, -2); }, {{{2}}, {{0, 2}}, {{2, 1, 2, 3}}}},
      {"add_slice",
       [](Inputs x) { return add_slice(x[0] * x[0], x[1] * x[1], 1, -2); },
       {{{2, 2}, {2, 2}}, {{3, 4}, {3, 2}}}},
      {"place_slice",
       [](Inputs x) {
         return place_slice(x[0] * x[0], {2, 5}, 1, 1);
       },
       {{{2, 3}}, {{2, 0}}, {{2, 4}}}},
      {"place_slice",
       [](Inputs x) {
         return place_slice(x[0] * x[0], {5, 2}, std::array<Slice, 1>{Slice{.step = -2}});
       },
       {{{3, 2}}}},
      {"diagonal",
       [](Inputs x) { return diagonal(x[0] * x[0]); },
       {{{3, 3}}, {{2, 4}}, {{2, 3, 2}}, {{0, 2}}, {{2, 1, 2, 3}}}},
      {"diagonal",
       [](Inputs x) { return diagonal(x[0] * x[0], {.offset = -1, .axis1 = 0, .axis2 = 2}); },
       {{{3, 2, 2}}, {{2, 1, 3, 2}}, {{1, 2, 3}}}},
      {"place_diagonal",
       [](Inputs x) {
         return place_diagonal(x[0] * x[0], {2, 3, 4}, {.offset = 1});
       },
       {{{2, 3}}}},
      {"place_diagonal", [](Inputs x) { return diag(x[0] * x[0], -1); }, {{{3}}, {{0}}, {{3, 2}}}},
      {"tril",
       [](Inputs x) { return tril(x[0] * x[0], -1); },
       {{{3, 3}}, {{2, 3, 2}}, {{0, 2}}, {{2, 1, 2, 3}}}},
      {"triu",
       [](Inputs x) { return triu(x[0] * x[0], 1); },
       {{{3, 3}}, {{2, 3, 2}}, {{2, 0}}, {{2, 1, 2, 3}}}},
  };
}

std::vector<GradientRow> growing_rows() {
  return {
      {"pad", [](Inputs x) { return pad(x[0] * x[0], {}, {.value = 3}); }, {{{}}}},
      {"pad",
       [](Inputs x) {
         return pad(x[0] * x[0], {{1, 2}}, {.value = 3});
       },
       {{{0}}, {{1}}, {{3}}}},
      {"pad",
       [](Inputs x) {
         return pad(x[0] * x[0], {{0, 1}, {2, 0}});
       },
       {{{2, 3}}, {{1, 1}}, {{2, 0}}}},
      {"pad",
       [](Inputs x) {
         return pad(x[0] * x[0], {{0, 1}, {0, 0}, {1, 1}, {2, 0}});
       },
       {{{2, 1, 2, 3}}}},
      {"pad",
       [](Inputs x) {
         return pad(x[0] * x[0], {{1, 0}, {2, 1}}, {.mode = PadMode::reflect});
       },
       {{{2, 3}}, {{3, 4}}}},
      {"pad",
       [](Inputs x) {
         return pad(x[0] * x[0], {{1, 0}, {2, 3}}, {.mode = PadMode::replicate});
       },
       {{{2, 3}}, {{1, 1}}}},
      {"repeat",
       [](Inputs x) {
         return repeat(x[0] * x[0], {2, 3, 1, 1, 2});
       },
       one_input},
      {"repeat",
       [](Inputs x) {
         return repeat(x[0] * x[0], {0, 2});
       },
       {{{3}}, {{2, 2}}}},
      {"repeat_interleave",
       [](Inputs x) { return repeat_interleave(x[0] * x[0], 3, -1); },
       {{{1}}, {{0}}, {{3}}, {{2, 3}}, {{2, 1, 2, 2}}}},
      {"repeat_interleave", [](Inputs x) { return repeat_interleave(x[0] * x[0], 2, 0); }, {{{3}}, {{2, 3}}}},
  };
}

}  // namespace

std::vector<GradientRow> movement_rows() {
  std::vector<GradientRow> out;
  for (const auto& rows : {shape_rows(), joining_rows(), slice_rows(), growing_rows()}) {
    out.insert(out.end(), rows.begin(), rows.end());
  }
  return out;
}

}  // namespace gradus::test
