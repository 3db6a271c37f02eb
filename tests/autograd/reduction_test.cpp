#include "autograd/ops/reduction.hpp"

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/tape.hpp"
#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"

using namespace gradus;
using Catch::Contains;

TEST_CASE("any, all and the places of extremes of a Variable are those of its value, without a gradient",
          "[reduction]") {
  Tape tape;
  const Variable x = tape.watch(Tensor::of({0, 4, 2, 5, 1, 3}).reshape({2, 3}));
  const auto holds = [](const Variable& y, const Shape& shape, const char* text) {
    CHECK(y.is_constant());
    CHECK(y.shape() == shape);
    CHECK(y.value().text() == text);
  };
  holds(any(x * 0), {}, "0");
  holds(any(x > 4, 0), {3}, "[1, 0, 0]");
  holds(any(x > 4, 1, true), {2, 1}, "[[0], [1]]");
  holds(all(x), {}, "0");
  holds(all(x, 0), {3}, "[0, 1, 1]");
  holds(all(x, 1, true), {2, 1}, "[[0], [1]]");
  using Ids = std::vector<std::int32_t>;
  const auto ids = [](const Indices& places, const Shape& shape) {
    CHECK(places.shape() == shape);
    return Ids(places.values().begin(), places.values().end());
  };
  CHECK(ids(argmax(x), {}) == Ids{3});
  CHECK(ids(argmin(x), {}) == Ids{0});
  CHECK(ids(argmax(x, 0), {3}) == Ids{1, 0, 1});
  CHECK(ids(argmin(x, 0), {3}) == Ids{0, 1, 0});
  CHECK(ids(argmax(x, 1, true), {2, 1}) == Ids{1, 0});
  CHECK(ids(argmin(x, 1, true), {2, 1}) == Ids{0, 1});
  const std::pair<std::string, std::function<void()>> calls[] = {{"any", [&] { any(x, 2); }},
                                                                 {"all", [&] { all(x, 2); }},
                                                                 {"argmax", [&] { argmax(x, 2); }},
                                                                 {"argmin", [&] { argmin(x, 2); }}};
  for (const auto& [name, call] : calls) {
    CHECK_THROWS_WITH(call(), Contains("at reduction_test.cpp:") && Contains(": " + name + ": axis 2 ") &&
                                  Contains("(2, 3)"));
  }
  const Variable none = tape.watch(zeros({0}));
  CHECK_THROWS_WITH(argmax(none), Contains("at reduction_test.cpp:") && Contains(": argmax: "));
  CHECK_THROWS_WITH(argmin(none), Contains("at reduction_test.cpp:") && Contains(": argmin: "));
}
