#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"

using namespace gradus;

// Every op that takes an integer, with integers far outside of every shape: it gives a result or an error of
// the library's. The undefined-behaviour sanitizer sees whether a sum or a product wraps on the way.

namespace {

using Call = std::function<void(const Tensor&, std::int64_t)>;

int as_int(std::int64_t i) {
  return static_cast<int>(
      std::clamp<std::int64_t>(i, std::numeric_limits<int>::min(), std::numeric_limits<int>::max()));
}

std::vector<std::pair<std::string, Call>> calls() {
  std::vector<std::pair<std::string, Call>> out;
  const auto add = [&](const char* name, Call call) { out.emplace_back(name, std::move(call)); };
  add("slice begin", [](const Tensor& x, std::int64_t i) { slice(x, 1, i, 2); });
  add("slice end", [](const Tensor& x, std::int64_t i) { slice(x, 1, 0, i); });
  add("slice step", [](const Tensor& x, std::int64_t i) { slice(x, 1, Slice{.step = i}); });
  add("slice axis", [](const Tensor& x, std::int64_t i) { slice(x, as_int(i), 0, 1); });
  add("select", [](const Tensor& x, std::int64_t i) { select(x, 0, i); });
  add("rows", [](const Tensor& x, std::int64_t i) { x.rows(0, i); });
  add("rows from", [](const Tensor& x, std::int64_t i) { x.rows(i, i); });
  add("index", [](const Tensor& x, std::int64_t i) { x[i]; });
  add("at", [](const Tensor& x, std::int64_t i) { x.at(i); });
  add("roll", [](const Tensor& x, std::int64_t i) { roll(x, i, 1); });
  add("reshape", [](const Tensor& x, std::int64_t i) { x.reshape({i, 3}); });
  add("split", [](const Tensor& x, std::int64_t i) { split(x, i, 1); });
  add("split lengths", [](const Tensor& x, std::int64_t i) { split(x, {i, i, i}, 1); });
  add("chunk", [](const Tensor& x, std::int64_t i) { chunk(x, i, 1); });
  add("repeat", [](const Tensor& x, std::int64_t i) { repeat(x, {i, i}); });
  add("repeat_interleave", [](const Tensor& x, std::int64_t i) { repeat_interleave(x, i, 0); });
  for (const PadMode mode : {PadMode::constant, PadMode::reflect, PadMode::replicate}) {
    add("pad before", [mode](const Tensor& x, std::int64_t i) { pad(x, {{i, 0}, {0, 0}}, {.mode = mode}); });
    add("pad both", [mode](const Tensor& x, std::int64_t i) { pad(x, {{0, 0}, {i, i}}, {.mode = mode}); });
  }
  add("diagonal", [](const Tensor& x, std::int64_t i) { diagonal(x, {.offset = as_int(i)}); });
  add("diagonal axes", [](const Tensor& x, std::int64_t i) { diagonal(x, {.axis1 = as_int(i)}); });
  add("diag", [](const Tensor& x, std::int64_t i) { diag(x[0], as_int(i)); });
  add("tril", [](const Tensor& x, std::int64_t i) { tril(x, as_int(i)); });
  add("triu", [](const Tensor& x, std::int64_t i) { triu(x, as_int(i)); });
  add("eye", [](const Tensor&, std::int64_t i) { eye(i, 2, Dtype::f32); });
  add("linspace", [](const Tensor&, std::int64_t i) { linspace(0, 1, i); });
  add("one_hot", [](const Tensor&, std::int64_t i) { one_hot(Indices({1}), i); });
  add("zeros", [](const Tensor&, std::int64_t i) { zeros({i, 2}); });
  add("topk", [](const Tensor& x, std::int64_t i) { topk(x, i); });
  add("sum", [](const Tensor& x, std::int64_t i) { sum(x, as_int(i)); });
  add("transpose", [](const Tensor& x, std::int64_t i) { transpose(x, 0, as_int(i)); });
  add("permute", [](const Tensor& x, std::int64_t i) { permute(x, {0, as_int(i)}); });
  add("flip", [](const Tensor& x, std::int64_t i) { flip(x, {as_int(i)}); });
  add("stack", [](const Tensor& x, std::int64_t i) { stack({x, x}, as_int(i)); });
  add("concat", [](const Tensor& x, std::int64_t i) { concat({x, x}, as_int(i)); });
  add("squeeze", [](const Tensor& x, std::int64_t i) { squeeze(x, as_int(i)); });
  add("unsqueeze", [](const Tensor& x, std::int64_t i) { unsqueeze(x, as_int(i)); });
  add("cumsum", [](const Tensor& x, std::int64_t i) { cumsum(x, as_int(i)); });
  add("softmax", [](const Tensor& x, std::int64_t i) { softmax(x, as_int(i)); });
  add("gather_rows", [](const Tensor& x, std::int64_t i) { gather_rows(x, Indices({as_int(i)})); });
  add("index_select", [](const Tensor& x, std::int64_t i) { index_select(x, 1, Indices({as_int(i)})); });
  const auto conv = [](const Tensor& x, const Conv1dOptions& options) {
    conv1d(x.reshape({1, 2, 3}), ones({2, 2, 2}), Tensor(), options);
  };
  add("conv stride", [conv](const Tensor& x, std::int64_t i) { conv(x, {.stride = i}); });
  add("conv padding", [conv](const Tensor& x, std::int64_t i) { conv(x, {.padding = i}); });
  add("conv dilation", [conv](const Tensor& x, std::int64_t i) { conv(x, {.dilation = i}); });
  add("conv causal", [conv](const Tensor& x, std::int64_t i) { conv(x, {.dilation = i, .causal = true}); });
  add("conv groups", [conv](const Tensor& x, std::int64_t i) { conv(x, {.groups = i}); });
  const auto transposed = [](const Tensor& x, const ConvTranspose1dOptions& options) {
    conv_transpose1d(x.reshape({1, 2, 3}), ones({2, 2, 2}), Tensor(), options);
  };
  add("transposed stride", [transposed](const Tensor& x, std::int64_t i) { transposed(x, {.stride = i}); });
  add("transposed padding", [transposed](const Tensor& x, std::int64_t i) { transposed(x, {.padding = i}); });
  add("transposed output",
      [transposed](const Tensor& x, std::int64_t i) { transposed(x, {.output_padding = i}); });
  add("transposed dilation",
      [transposed](const Tensor& x, std::int64_t i) { transposed(x, {.dilation = i}); });
  add("transposed groups", [transposed](const Tensor& x, std::int64_t i) { transposed(x, {.groups = i}); });
  return out;
}

}  // namespace

TEST_CASE("ops take the most extreme integers, or refuse them", "[arguments]") {
  constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min(),
                         most = std::numeric_limits<std::int64_t>::max();
  const Tensor x = Tensor::of({1, 2, 3, 4, 5, 6}).reshape({2, 3});
  for (const auto& [name, call] : calls()) {
    for (const std::int64_t i :
         {least, least + 1, -(std::int64_t{1} << 32), std::int64_t{-7}, std::int64_t{7},
          std::int64_t{1} << 32, std::int64_t{1} << 62, most - 1, most}) {
      INFO(name << " " << i);
      try {
        call(x, i);
      } catch (const Error&) {
      }
      CHECK(x.text() == "[[1, 2, 3], [4, 5, 6]]");
    }
  }
}

TEST_CASE("steps, offsets and widths beyond a tensor mean what they say", "[arguments]") {
  constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min(),
                         most = std::numeric_limits<std::int64_t>::max();
  const Tensor x = Tensor::of({1, 2, 3, 4, 5, 6}).reshape({2, 3});
  CHECK(slice(x, 1, Slice{.step = most}).text() == "[[1], [4]]");
  CHECK(slice(x, 1, Slice{.step = least}).text() == "[[3], [6]]");
  CHECK(diagonal(x, {.offset = std::numeric_limits<int>::min()}).shape() == Shape{0});
  CHECK(roll(x, most, 1).text() == roll(x, most % 3, 1).text());
  CHECK(chunk(x, most, 1).size() == 3);
  CHECK_THROWS_WITH(pad(x, {{most, 0}, {0, 0}}),
                    Catch::Contains("pad") && Catch::Contains("9223372036854775807"));
  CHECK_THROWS_WITH(conv1d(x.reshape({1, 2, 3}), ones({2, 2, 2}), Tensor(), {.padding = most}),
                    Catch::Contains("conv1d: padding of 9223372036854775807"));
  CHECK_THROWS_AS(repeat(x, {most, most}), ShapeError);
  CHECK(linspace(-1e308, 1e308, 3, Dtype::f64).text() == "[-1e+308, 0, 1e+308]");
}
