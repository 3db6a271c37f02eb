#include "autograd/transforms.hpp"

#include <array>

#include "autograd/checkpoint.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/reduction.hpp"
#include "tests/autograd/gradient_table/gradient_table.hpp"

namespace gradus::test {

std::vector<GradientRow> transforms_rows() {
  const auto cubes = [](const Variable& v) { return sum(v * v * v); };
  return {
      {"checkpoint", [](Inputs x) { return checkpoint([](const Variable& v) { return sin(v * v); }, x[0]); },
       one_input},
      {"checkpoint",
       [](Inputs x) {
         // an input, and a captured Variable
         return checkpoint([y = x[1]](const Variable& v) { return sin(v * y); }, x[0]);
       },
       two_inputs},
      {"custom_vjp",
       [](Inputs x) {
         return custom_vjp([](Inputs in) { return sin(in[0]) * in[1]; },
                           [](const Variable& g, const Variable&, Inputs in) {
                             return Variables{g * in[1] * cos(in[0]), g * sin(in[0])};
                           },
                           x);
       },
       two_inputs},
      // Transforms as functions of their arguments; the op is the node that an argument enters by.
      {"grad", [cubes](Inputs x) { return grad(cubes, x[0]); }, one_input},
      {"jvp",
       [](Inputs x) { return jvp([](const Variable& v) { return sin(v); }, x[0], x[1]).second; },
       {{{}, {}}, {{3}, {3}}, {{2, 1, 3}, {2, 1, 3}}, {{0}, {0}}}},
      {"vjp",
       [](Inputs x) { return vjp([](const Variable& v) { return sin(v); }, x[0], x[1]).second; },
       {{{}, {}}, {{3}, {3}}, {{2, 1, 3}, {2, 1, 3}}, {{0}, {0}}}},
      {"hvp",
       [cubes](Inputs x) { return hvp(cubes, x[0], x[1]); },
       {{{}, {}}, {{3}, {3}}, {{2, 3}, {2, 3}}, {{0}, {0}}}},
      {"jacobian",
       [](Inputs x) { return jacobian([](const Variable& v) { return sin(v); }, x[0]); },
       {{{}}, {{3}}, {{2, 2}}, {{0}}}},
      {"hessian", [cubes](Inputs x) { return hessian(cubes, x[0]); }, {{{}}, {{3}}, {{2, 2}}, {{0}}}},
  };
}

}  // namespace gradus::test
