#include "tests/gradient_table/gradient_table.hpp"

#include <array>
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/movement.hpp"

namespace gradus::test {

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
  };
}

}  // namespace gradus::test
