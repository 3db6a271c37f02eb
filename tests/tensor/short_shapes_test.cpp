// Ops on short axes and few columns, which have ways of their own, against what they are by definition.

#include <cmath>
#include <limits>
#include <numeric>

#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "tests/support/catch.hpp"

using namespace gradus;

namespace {

Tensor drawn(const Shape& shape, Dtype dtype = Dtype::f64) {
  return Rng(static_cast<std::uint64_t>(shape.size() + 1)).normal(shape, 0, 1, dtype);
}

}  // namespace

TEST_CASE("roll is a slice behind another, for runs of every length and every shift", "[tensor]") {
  for (const std::int64_t outer : {1, 3, 300}) {
    for (const std::int64_t length : {1, 2, 5, 10, 37, 150}) {
      for (const std::int64_t inner : {1, 3}) {
        const Tensor x = drawn({outer, length, inner});
        for (std::int64_t shift = -2; shift <= length + 1; shift += length > 40 ? 7 : 1) {
          const std::int64_t first = ((shift % length) + length) % length;
          const Tensor expected =
              concat({slice(x, 1, length - first, length), slice(x, 1, 0, length - first)}, 1);
          INFO(outer << ", " << length << ", " << inner << " by " << shift);
          CHECK(identical(roll(x, shift, 1), expected));
        }
      }
    }
  }
}

TEST_CASE("rows of every width are gathered, and an id out of range is found wherever it stands",
          "[tensor]") {
  for (std::int64_t width = 1; width <= 6; ++width) {
    const Tensor table = drawn({5, width}, width % 2 == 0 ? Dtype::f32 : Dtype::f64);
    const Indices ids({4, 0, 3, 3, 1, 2, 0});
    const Tensor rows = gather_rows(table, ids);
    for (std::int64_t i = 0; i < ids.size(); ++i) {
      for (std::int64_t c = 0; c < width; ++c)
        CHECK(rows.at(i * width + c) == table.at(ids.data()[i] * width + c));
    }
  }
  const Tensor x = drawn({7});
  for (const std::int64_t count : {1, 15, 16, 17, 40}) {
    for (const std::int64_t at : {std::int64_t{0}, count / 2, count - 1}) {
      for (const std::int32_t wrong :
           {-1, 7, std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()}) {
        std::vector<std::int32_t> ids(static_cast<std::size_t>(count), 6);
        ids[static_cast<std::size_t>(at)] = wrong;
        CHECK_THROWS_WITH(index_select(x, 0, Indices(ids)),
                          Catch::Contains(fmt::format("id {} at position {} is not in 0..6", wrong, at)));
      }
    }
  }
  CHECK_THROWS_AS(index_select(zeros({0}), 0, Indices({0})), ShapeError);
  CHECK(index_select(zeros({0}), 0, Indices(std::vector<std::int32_t>{})).size() == 0);
}

TEST_CASE("runs and columns of every length are reduced, and NaN wins", "[tensor]") {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    for (std::int64_t length = 1; length <= 40; ++length) {
      for (const std::int64_t others : {1, 13, 700}) {
        Tensor x = drawn({others, length}, dtype);
        for (const bool with_nan : {false, true}) {
          if (with_nan) {
            visit_dtype(dtype, [&](auto tag) {
              x.mutable_data<decltype(tag)>()[x.size() / 2] = std::numeric_limits<decltype(tag)>::quiet_NaN();
            });
          }
          const Tensor turned = transpose(x);
          const Tensor sums = sum(x, 1), most = max(x, {1}), least = min(x, {1});
          const Tensor of_columns = sum(turned, 0), most_of_columns = max(turned, {0});
          int wrong = 0;
          for (std::int64_t r = 0; r < others; ++r) {
            double total = 0, high = x.at(r * length), low = high, size = 0;
            for (std::int64_t c = 0; c < length; ++c) {
              const double v = x.at(r * length + c);
              total += v;
              size += std::abs(v);
              if (std::isnan(v) || v > high) high = std::isnan(high) ? high : v;
              if (std::isnan(v) || v < low) low = std::isnan(low) ? low : v;
            }
            const double off = (dtype == Dtype::f32 ? 1e-6 : 1e-14) * (size + 1);
            const auto same = [](double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); };
            const auto near = [&](double a) {
              return std::isnan(total) ? std::isnan(a) : std::abs(a - total) <= off;
            };
            wrong += !near(sums.at(r)) + !near(of_columns.at(r)) + !same(most.at(r), high) +
                     !same(most_of_columns.at(r), high) + !same(least.at(r), low);
          }
          INFO(others << " runs of " << length << ", NaN " << with_nan);
          CHECK(wrong == 0);
        }
      }
    }
  }
}

TEST_CASE("operands that are stretched along short rows are as if they had been written out", "[tensor]") {
  std::vector<std::pair<Shape, Shape>> pairs{
      {{300, 10}, {300, 1}},     {{300, 10}, {10}},          {{7, 1, 5}, {1, 9, 1}}, {{1100, 3}, {1100, 1}},
      {{3, 1100, 2}, {3, 1, 2}}, {{40, 1, 1, 7}, {6, 5, 1}}, {{2000, 1}, {1, 3}},    {{64}, {50, 1}}};
  for (std::int64_t width = 1; width < 18; ++width) pairs.push_back({{300, width}, {300, 1}});
  for (const auto& [left, right] : pairs) {
    const Tensor a = drawn(left), b = drawn(right);
    const Shape shape = broadcast_shapes("test", left, right);
    const Tensor wide_a = broadcast_to(a, shape), wide_b = broadcast_to(b, shape);
    INFO(left.text() << " and " << right.text());
    CHECK(identical(a * b, wide_a * wide_b));
    CHECK(identical(b - a, wide_b - wide_a));
    CHECK(identical(where(a < b, a, b), where(wide_a < wide_b, wide_a, wide_b)));
    if (left == shape) {
      Tensor own = drawn(left);  // in its own memory
      own *= b;
      CHECK(identical(own, a * b));
    }
  }
}

TEST_CASE("what is placed in a slice stands among zeros", "[tensor]") {
  const auto check = [](const Shape& shape, const std::vector<Slice>& which) {
    const Tensor x = drawn(slice(zeros(shape, Dtype::f64), which).shape());
    Tensor expected = zeros(shape, Dtype::f64);
    add_to_slice(expected, x, which);
    INFO(shape.text());
    CHECK(identical(detail::placed(x, shape, which), expected));
  };
  check({5, 7}, {{1, 4}, {2, 6}});
  check({5, 70}, {{0, 5}, {30, 69}});
  check({4, 5, 6}, {{}, {1, 2}});
  check({4, 5, 6}, {{1, 3}, {}, {0, 6}});
  check({4, 5, 6}, {{1, 1}});
  check({4, 5}, {{}, {}});
  check({9}, {{std::nullopt, std::nullopt, 2}});
  check({9}, {{std::nullopt, std::nullopt, -1}});
  check({0, 3}, {{}, {1, 2}});
  const Tensor row = drawn({4, 1, 6});
  Tensor expected = zeros({4, 5, 6}, Dtype::f64);
  add_to_slice(expected, row, 1, -2);
  CHECK(identical(detail::placed(row, {4, 5, 6}, 1, -2), expected));
  CHECK_THROWS_AS(detail::placed(row, {4, 5, 6}, 1, 5), ShapeError);
}

TEST_CASE("the gradient of an extreme falls evenly on what equals it", "[tensor]") {
  for (const Shape& shape : {Shape{6}, Shape{5, 7}, Shape{3, 300, 2}, Shape{2, 3, 400}, Shape{1, 1}}) {
    Tensor x = drawn(shape);
    x = round(x * 2);  // many are equal
    for (int bits = 1; bits < 1 << shape.rank(); ++bits) {
      std::vector<int> axes;
      for (int i = 0; i < shape.rank(); ++i)
        if ((bits >> i & 1) != 0) axes.push_back(i);
      const Axes reduced{std::span<const int>(axes)};
      const Tensor y = max(x, reduced, true), g = drawn(y.shape()), here = equal(x, y);
      const Tensor expected = here / sum(here, reduced, true) * g;
      INFO(shape.text() << " " << bits);
      CHECK(max(abs(detail::shared_out(g, x, y, reduced) - expected)).item() < 1e-15);
    }
  }
}
