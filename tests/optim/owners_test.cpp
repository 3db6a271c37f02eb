#include "optim/owners.hpp"

#include "autograd/variable.hpp"
#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"

using namespace gradus;

namespace {

struct Parts {
  Parameter a{zeros({10})}, b{zeros({70})}, c{zeros({30})}, d{zeros({40})}, e{zeros({0})};
  static void members(auto& self, auto&& visit) {
    visit("a", self.a);
    visit("b", self.b);
    visit("c", self.c);
    visit("d", self.d);
    visit("e", self.e);
  }
};

}  // namespace

TEST_CASE("parameters are shared out to owners, the largest first, to whom has the least", "[owners]") {
  Parts parts;
  const ParameterView view(parts);
  CHECK(optim::owners_of(view, 1) == std::vector{0, 0, 0, 0, 0});
  // b to 0, d and c to 1, a to whom has 70 as well and comes first, and the empty one to the other.
  CHECK(optim::owners_of(view, 2) == std::vector{0, 0, 1, 1, 1});
  CHECK(optim::owners_of(view, 8) == std::vector{3, 0, 2, 1, 4});
  CHECK(optim::owners_of(ParameterView(), 3).empty());
  CHECK_THROWS_AS(optim::owners_of(view, 0), ArgumentError);
}

TEST_CASE("frozen parameters count for nobody", "[owners]") {
  Parts parts;
  parts.b.freeze();
  CHECK(optim::owners_of(ParameterView(parts), 2) == std::vector{1, 0, 1, 0, 0});
}
