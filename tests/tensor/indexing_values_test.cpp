#include "autograd/ops/indexing.hpp"

#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/positions.hpp"

using namespace gradus;
using namespace gradus::test;
using Catch::Contains;

TEST_CASE("gather, take_along, index_select and scatter_add equal loops along every axis", "[indexing]") {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    for (const Shape& shape : {Shape{5}, Shape{1}, Shape{3, 4}, Shape{2, 3, 4}, Shape{2, 1, 3, 4}}) {
      const Tensor x = counting(shape, dtype, 1);
      for (int axis = -shape.rank(); axis < shape.rank(); ++axis) {
        INFO(shape.text() << " axis " << axis);
        const int normal = shape.normalize_axis(axis);
        const auto a = static_cast<std::size_t>(normal);
        const Shape wide = shape.with(normal, 6);
        std::vector<std::int32_t> list;  // with repeats
        for (std::int64_t i = 0; i < wide.size(); ++i)
          list.push_back(static_cast<std::int32_t>(i * i % shape[axis]));
        const Indices ids(list, wide);
        const auto id = [&](const Position& i) {
          return std::int64_t{list[static_cast<std::size_t>(flat_of(i, wide))]};
        };
        const Tensor picked = tabulate(wide, dtype, [&](Position i) {
          i[a] = id(i);
          return at(x, i);
        });
        CHECK(identical(gather(x, axis, ids), picked));
        CHECK(identical(take_along(x, axis, ids), picked));
        Tensor sums = x;
        scatter_add(sums, axis, ids, picked);
        std::vector<double> wanted;
        for (std::int64_t i = 0; i < x.size(); ++i) wanted.push_back(x.at(i));
        tabulate(wide, dtype, [&](Position i) {
          const double value = at(picked, i);
          i[a] = id(i);
          wanted[static_cast<std::size_t>(flat_of(i, shape))] += value;
          return 0.0;
        });
        CHECK(identical(sums, Tensor::from(wanted, shape).to(dtype)));
        const auto last = static_cast<std::int32_t>(shape[axis] - 1);
        CHECK(identical(index_select(x, axis, Indices({last, 0, last})),
                        tabulate(shape.with(normal, 3), dtype, [&](Position i) {
                          i[a] = i[a] == 1 ? 0 : last;
                          return at(x, i);
                        })));
      }
    }
  }
}

TEST_CASE("masks, one-hot rows and counts", "[indexing]") {
  const Tensor x = counting({2, 3}, Dtype::f32, 1);
  CHECK(masked_fill(x, Tensor::of({1, 0, -2}), -9).text() == "[[-9, 2, -9], [-9, 5, -9]]");
  CHECK_THROWS_AS(masked_fill(x, zeros({2, 2, 3}), 0), ShapeError);
  CHECK(one_hot(Indices({2, 0}), 3, Dtype::f64).text() == "[[0, 0, 1], [1, 0, 0]]");
  CHECK(repeat_interleave(x, Indices({0, 2, 1}), 1).text() == "[[2, 2, 3], [5, 5, 6]]");
  CHECK_THROWS_WITH(repeat_interleave(x, Indices({0, -2, 1}), 1), Contains("-2 at position 1"));
}

TEST_CASE("an id out of range is named with op, position and range, at the user's line", "[indexing]") {
  const Tensor x = zeros({2, 3});
  const Variable v(x);
  for (const std::int32_t bad : {3, -1}) {
    const std::string said = "id " + std::to_string(bad) + " at position 1 is not in 0..2";
    const Indices ids({0, bad}), table = ids.reshape({2, 1});
    CHECK_THROWS_WITH(index_select(x, 1, ids), Contains("index_select: " + said));
    CHECK_THROWS_WITH(gather(x, 1, table), Contains("gather: " + said));
    CHECK_THROWS_WITH(take_along(x, 1, table), Contains("take_along: " + said));
    CHECK_THROWS_WITH(pick(x, 1, ids), Contains("pick: " + said));
    CHECK_THROWS_WITH(one_hot(ids, 3), Contains("one_hot: " + said));
    CHECK_THROWS_WITH(gather(v, 1, table), Contains(said) && Contains("indexing_values_test.cpp:"));
    CHECK_THROWS_WITH(take_along(v, 1, table), Contains(said) && Contains("indexing_values_test.cpp:"));
    CHECK_THROWS_WITH(index_select(v, 1, ids), Contains(said) && Contains("indexing_values_test.cpp:"));
  }
  CHECK_THROWS_AS(gather(x, 1, Indices({0})), ShapeError);
  CHECK_THROWS_AS(index_select(x, 2, Indices({0})), ShapeError);
}

TEST_CASE("what meets at one place is added in the order of the ids", "[indexing]") {
  // In f32, 1 is lost beside 1e8: another order gives another sum.
  const Tensor values = Tensor::of({1e8, 1, -1e8, 1});
  Tensor a = zeros({1}), b = zeros({1});
  scatter_add(a, 0, Indices({0, 0, 0, 0}), values);
  index_add(b, 0, Indices({0, 0, 0, 0}), values);
  CHECK(a.item() == 1);
  CHECK(b.item() == 1);
  CHECK(scatter_rows(Variable(values), Indices({0, 0, 0, 0}), 1).value().item() == 1);
  CHECK_THROWS_WITH(scatter_rows(Variable(values), Indices({0, 0, 0, 0}), -1),
                    Contains("indexing_values_test.cpp:"));
}
