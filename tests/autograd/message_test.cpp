#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/cumulative.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/indexing.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/ops/softmax.hpp"
#include "autograd/ops/sorting.hpp"
#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"

using namespace gradus;
using Catch::Contains;

namespace {
using Calls = std::vector<std::pair<std::string, std::function<void()>>>;
}

TEST_CASE("an op of several operands tells its place, its name and both shapes", "[messages]") {
  const Variable a(ones({2, 3})), b(ones({4, 5}));
  const Calls calls = {{"add", [&] { a + b; }},
                       {"sub", [&] { a - b; }},
                       {"mul", [&] { a* b; }},
                       {"div", [&] { a / b; }},
                       {"maximum", [&] { maximum(a, b); }},
                       {"minimum", [&] { minimum(a, b); }},
                       {"pow", [&] { pow(a, b); }},
                       {"atan2", [&] { atan2(a, b); }},
                       {"fmod", [&] { fmod(a, b); }},
                       {"where", [&] { where(a, b, 0); }},
                       {"less", [&] { less(a, b); }},
                       {"less_equal", [&] { less_equal(a, b); }},
                       {"equal", [&] { equal(a, b); }},
                       {"not_equal", [&] { not_equal(a, b); }}};
  for (const auto& [name, call] : calls) {
    CHECK_THROWS_WITH(call(), Contains("at message_test.cpp:") && Contains(": " + name + ": ") &&
                                  Contains("(2, 3)") && Contains("(4, 5)"));
  }
  CHECK_THROWS_WITH(a * Variable(ones({2, 3}, Dtype::f64)),
                    Contains("at message_test.cpp:") && Contains("to()"));
}

TEST_CASE("an axis out of range is told with the op, its place and the shape", "[messages]") {
  const Variable x(ones({2, 3}));
  const Indices ids(std::vector<std::int32_t>{0, 1, 0, 1, 0, 1}, {2, 3});
  const Calls calls = {{"sum", [&] { sum(x, 4); }},
                       {"softmax", [&] { softmax(x, 4); }},
                       {"cumsum", [&] { cumsum(x, 4); }},
                       {"sort", [&] { sort(x, {.axis = 4}); }},
                       {"topk", [&] { topk(x, 1, {.axis = 4}); }},
                       {"transpose", [&] { transpose(x, 0, 4); }},
                       {"permute",
                        [&] {
                          permute(x, {0, 4});
                        }},
                       {"flip", [&] { flip(x, {4}); }},
                       {"roll", [&] { roll(x, 1, 4); }},
                       {"squeeze", [&] { squeeze(x, 4); }},
                       {"unsqueeze", [&] { unsqueeze(x, 4); }},
                       {"flatten", [&] { flatten(x, 0, 4); }},
                       {"concat",
                        [&] {
                          concat({x, x}, 4);
                        }},
                       {"split",
                        [&] {
                          split(x, {1, 1}, 4);
                        }},
                       {"split", [&] { split(x, 2, 4); }},
                       {"chunk", [&] { chunk(x, 2, 4); }},
                       {"slice", [&] { slice(x, 4, 0, 1); }},
                       {"slice", [&] { slice(x, 4, Slice{.step = 2}); }},
                       {"select", [&] { select(x, 4, 0); }},
                       {"diagonal", [&] { diagonal(x, {.axis2 = 4}); }},
                       {"repeat_interleave", [&] { repeat_interleave(x, 2, 4); }},
                       {"index_select", [&] { index_select(x, 4, ids); }},
                       {"index_add", [&] { index_add(x, 4, ids, x); }},
                       {"gather", [&] { gather(x, 4, ids); }},
                       {"scatter_add", [&] { scatter_add(x, 4, ids, x); }},
                       {"take_along", [&] { take_along(x, 4, ids); }}};
  for (const auto& [name, call] : calls) {
    CHECK_THROWS_WITH(call(), Contains("at message_test.cpp:") && Contains(": " + name + ": ") &&
                                  Contains(" 4 ") && Contains("(2, 3)"));
  }
  CHECK_THROWS_WITH(sum(Variable(ones({})), 0), Contains("sum: axis 0 of a scalar"));
  CHECK_THROWS_WITH(reshape(x, {-1, -1}), Contains("reshape: more than one length of -1"));
}

TEST_CASE("an undefined operand is told with the place of the call", "[messages]") {
  const Variable none, x(ones({2}));
  const Calls calls = {{"exp", [&] { exp(none); }}, {"sign", [&] { sign(none); }},
                       {"neg", [&] { -none; }},     {"add", [&] { none + x; }},
                       {"sum", [&] { sum(none); }}, {"reshape", [&] { reshape(none, {2}); }}};
  for (const auto& [name, call] : calls) {
    INFO(name);
    CHECK_THROWS_WITH(call(), Contains("at message_test.cpp:") && Contains("undefined"));
  }
}
