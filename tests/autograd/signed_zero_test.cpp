#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/indexing.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "autograd/transforms.hpp"
#include "tests/support/catch.hpp"

using namespace gradus;

namespace {

struct Moved {
  const char* name;
  std::function<Variable(const Variable&)> f;  // of a vector of 3, whose first element it reads
  bool keeps_sign;
};

}  // namespace

TEST_CASE("a gradient of -0 is added to zeros where a part was read, and keeps its sign where all were moved",
          "[tape]") {
  using Slices = std::array<Slice, 1>;
  const std::vector<Moved> rows{
      {"slice", [](const Variable& v) { return slice(v, 0, 0, 2); }, false},
      {"slice with a step", [](const Variable& v) { return slice(v, Slices{Slice{.step = 2}}); }, false},
      {"select", [](const Variable& v) { return select(v, 0, 0); }, false},
      {"index_select",
       [](const Variable& v) {
         return index_select(v, 0, Indices({0, 1}, {2}));
       },
       false},
      {"gather_rows",
       [](const Variable& v) {
         return gather_rows(reshape(v, {3, 1}), Indices({0}, {1}));
       },
       false},
      {"pick",
       [](const Variable& v) {
         return pick(reshape(v, {1, 3}), 1, Indices({0}, {1}));
       },
       false},
      {"diagonal",
       [](const Variable& v) {
         return diagonal(reshape(v, {1, 3}));
       },
       false},
      {"split",
       [](const Variable& v) {
         return split(v, {2, 1}, 0)[0];
       },
       true},
      {"unstack", [](const Variable& v) { return unstack(v)[0]; }, true},
      {"permute",
       [](const Variable& v) {
         return permute(reshape(v, {1, 3}), {1, 0});
       },
       true},
      {"pad",
       [](const Variable& v) {
         return pad(v, {{1, 1}});
       },
       true},
  };
  for (const Moved& row : rows) {
    INFO(row.name);
    const Tensor x = Tensor::of({1, 2, 3});
    const auto signs = [&](const Tensor& slope) {
      CHECK(slope.at(0) == 0);
      CHECK(std::signbit(slope.at(0)) == row.keeps_sign);
    };
    const auto weighted = [&](const Variable& v) { return sum(row.f(v) * -0.0); };
    const auto twice = [&](const Variable& v) { return weighted(v) + weighted(v); };
    for (const auto& f : {std::function<Variable(const Variable&)>(weighted), {twice}}) {
      {
        Tape tape;
        const Variable v = tape.watch(x);
        signs(tape.backward(f(v))[v]);
      }
      signs(grad(f, Variable(x)).value());
      Tape tape;
      signs(grad(f, tape.watch(x)).value());  // recorded, in differentiable ops
    }
  }
  CHECK_FALSE(std::signbit(place_slice(Variable(Tensor::of({-0.0})), {2}, 0, 0).value().at(0)));
}
