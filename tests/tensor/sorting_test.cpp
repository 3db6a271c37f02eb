#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "autograd/ops/sorting.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "tensor/support/parallel.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/positions.hpp"

using namespace gradus;
using namespace gradus::test;
using Catch::Contains;

TEST_CASE("sort and topk are stable along every axis, NaN above infinity", "[sorting]") {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::nan("");
  const std::vector<double> pool{1, nan, -inf, 0, -0.0, 1, inf, nan, -2, 1, inf};
  const auto below = [](double a, double b) { return std::isnan(b) ? !std::isnan(a) : a < b; };
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    for (const Shape& shape :
         {Shape{11}, Shape{0}, Shape{1}, Shape{3, 7}, Shape{4, 5, 3}, Shape{2, 3, 2, 5}}) {
      std::size_t next = 0;
      const Tensor x = tabulate(shape, dtype, [&](const Position&) { return pool[next++ % pool.size()]; });
      for (int axis = -shape.rank(); axis < shape.rank(); ++axis) {
        const auto a = static_cast<std::size_t>(shape.normalize_axis(axis));
        for (const bool descending : {false, true}) {
          for (const std::int64_t k : {std::int64_t{0}, shape[axis] / 2, shape[axis]}) {
            INFO(shape.text() << " axis " << axis << " k " << k << " descending " << descending);
            const auto top = topk(x, k, {.axis = axis, .largest = descending});
            const Tensor wanted = tabulate(shape.with(static_cast<int>(a), k), Dtype::f64, [&](Position i) {
              const std::int64_t rank = i[a];
              std::vector<std::int64_t> order(static_cast<std::size_t>(shape[axis]));
              std::iota(order.begin(), order.end(), 0);
              const auto value = [&](std::int64_t j) { return i[a] = j, at(x, i); };
              std::stable_sort(order.begin(), order.end(), [&](std::int64_t p, std::int64_t q) {
                return descending ? below(value(q), value(p)) : below(value(p), value(q));
              });
              return static_cast<double>(order[static_cast<std::size_t>(rank)]);
            });
            CHECK(top.ids.shape() == wanted.shape());
            for (std::int64_t i = 0; i < wanted.size(); ++i) CHECK(top.ids.data()[i] == wanted.at(i));
            if (k != shape[axis]) continue;
            const auto all = sort(x, {.axis = axis, .descending = descending});
            CHECK(std::ranges::equal(all.ids.values(), top.ids.values()));
            CHECK(all.values.text() == take_along(x, axis, all.ids).text());
          }
        }
      }
    }
  }
  CHECK(sort(Tensor::scalar(3)).values.item() == 3);
  CHECK_THROWS_WITH(topk(zeros({2, 3}), 4), Contains("topk: 4") && Contains("3 entries"));
  CHECK_THROWS_AS(topk(zeros({3}), -1), ShapeError);
  CHECK_THROWS_AS(sort(zeros({3}), {.axis = 1}), ShapeError);
  CHECK_THROWS_WITH(topk(Variable(zeros({3})), 4), Contains("sorting_test.cpp:"));
}

TEST_CASE("eye, arange, linspace and their ends", "[creation]") {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    CHECK(
        identical(eye(2, 3, dtype), tabulate({2, 3}, dtype, [](const Position& i) { return i[0] == i[1]; })));
    CHECK(eye(0, dtype).shape() == Shape{0, 0});
    CHECK(arange(0, 3, 1, dtype).text() == "[0, 1, 2]");
    CHECK(arange(3, 0, -2, dtype).text() == "[3, 1]");
    CHECK(arange(3, 0, 1, dtype).size() == 0);
    CHECK(linspace(0, 1, 5, dtype).text() == "[0, 0.25, 0.5, 0.75, 1]");
    CHECK(linspace(2, 5, 1, dtype).text() == "[2]");
    CHECK(linspace(2, 5, 0, dtype).size() == 0);
    CHECK(linspace(0.1, 0.7, 11, Dtype::f64).at(10) == 0.7);
  }
  CHECK_THROWS_AS(arange(0, 1, 0), ArgumentError);
  CHECK_THROWS_AS(linspace(0, 1, -1), ArgumentError);
  CHECK_THROWS_AS(eye(-1), ShapeError);
}

TEST_CASE("one and two threads move, gather and sort alike", "[sorting][threads]") {
  const int before = gradus::threads();
  Rng rng(3);
  const Tensor x = rng.uniform({300, 40, 50}, -1, 1);
  std::vector<std::int32_t> list;
  for (std::int32_t i = 0; i < 5000; ++i) list.push_back(i * 37 % 300);
  const auto results = [&](int threads) {
    set_threads(threads);
    Tensor sums = zeros(x.shape());
    const Indices ids(list);
    const Tensor rows = index_select(x, 0, ids);
    index_add(sums, 0, ids, rows);
    auto [values, order] = sort(x, {.axis = 0});
    return std::vector{permute(x, {2, 0, 1}), transpose(x), rows, sums, values, gather(x, 0, order)};
  };
  const auto one = results(1), two = results(2);
  set_threads(before);
  for (std::size_t i = 0; i < one.size(); ++i) CHECK(identical(one[i], two[i]));
  CHECK(std::ranges::is_sorted(sort(x.reshape({x.size()})).values.values<float>()));
}
