#include "autograd/ops/indexing.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/ops/sorting.hpp"
#include "autograd/tape.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/positions.hpp"
#include "tests/support/threads.hpp"

using namespace gradus;
using namespace gradus::test;
using Catch::Contains;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
const double nan_value = std::nan("");

/// Ids that repeat, below `length`.
Indices some_ids(const Shape& shape, std::int64_t length) {
  std::vector<std::int32_t> out;
  for (std::int64_t i = 0; i < shape.size(); ++i)
    out.push_back(static_cast<std::int32_t>((i * 5 + i / 3) % length));
  return Indices(std::move(out), shape);
}

std::int32_t at(const Indices& ids, const Position& p) {
  return ids.data()[flat_of(p, ids.shape())];
}
using gradus::test::at;

/// p with the index of one axis replaced.
Position with(Position p, int axis, std::int64_t i) {
  p[u(axis)] = i;
  return p;
}

/// sum[to(p)] += x[p] for every p, in order.
Tensor added(Tensor sum, const Tensor& x, const std::function<Position(const Position&)>& to) {
  visit_dtype(sum.dtype(), [&](auto tag) {
    using T = decltype(tag);
    for (std::int64_t k = 0; k < x.size(); ++k) {
      const std::int64_t place = flat_of(to(position_of(k, x.shape())), sum.shape());
      sum.mutable_data<T>()[place] += x.data<T>()[k];
    }
  });
  return sum;
}

}  // namespace

TEST_CASE("index_select and index_add along every axis, with ids of any rank", "[indexing]") {
  Rng rng(1);
  for (const Dtype dtype : both) {
    const Tensor x = rng.uniform({3, 4, 5}, -1, 1, dtype);
    for (const int axis : {0, 1, 2, -1}) {
      for (const Shape& ids_shape : {Shape{}, Shape{6}, Shape{2, 3}, Shape{0}}) {
        const int a = x.shape().normalize_axis(axis);
        const Indices ids = some_ids(ids_shape, x.dim(a));
        Shape wanted = x.shape().erased(a);
        for (int i = ids.rank(); i-- > 0;) wanted = wanted.inserted(a, ids.dim(i));
        // Where the element at p of the result stands in x.
        const auto place = [&](const Position& p) {
          const auto begin = p.begin() + a, end = begin + ids.rank();
          Position out(p.begin(), begin);
          out.push_back(at(ids, Position(begin, end)));
          out.insert(out.end(), end, p.end());
          return out;
        };
        const Tensor picked = index_select(x, axis, ids);
        CHECK(identical(picked, tabulate(wanted, dtype, [&](const Position& p) { return at(x, place(p)); })));
        Tensor sum = x;
        index_add(sum, axis, ids, picked);
        CHECK(identical(sum, added(x, picked, place)));
      }
    }
  }
  const Tensor x = rng.uniform({700, 130}, -1, 1), rows = rng.uniform({9000, 130}, -1, 1);
  test::check_same_bits([&] {
    Tensor sum = x;
    index_add(sum, 0, some_ids({9000}, 700), rows);
    return sum;
  });
  test::check_same_bits([&] {
    Tensor sum = x;
    index_add(sum, 1, some_ids({900}, 130), rng.uniform({700, 900}, 0, 0.5) * 0 + 0.1);
    return sum;
  });
  Tensor sum = zeros({2, 3});
  CHECK_THROWS_WITH(index_select(sum, 1, Indices({0, 1, 3})), Contains("index_select") && Contains("id 3") &&
                                                                  Contains("position 2") && Contains("0..2"));
  CHECK_THROWS_WITH(index_select(sum, 1, Indices({0, -1})), Contains("id -1") && Contains("position 1"));
  CHECK_THROWS_WITH(index_add(sum, 1, Indices({0, 1}), zeros({2, 3})),
                    Contains("index_add") && Contains("(2, 2)"));
  CHECK_THROWS_AS(index_add(sum, 1, Indices({0, 1}), zeros({2, 2}, Dtype::f64)), DtypeError);
  CHECK_THROWS_AS(index_select(Tensor::scalar(1), 0, Indices({0})), ShapeError);
}

TEST_CASE("gather and scatter_add along every axis, with ids as large as the tensor or smaller",
          "[indexing]") {
  Rng rng(2);
  for (const Dtype dtype : both) {
    const Tensor x = rng.uniform({3, 4, 5}, -1, 1, dtype);
    for (const int axis : {0, 1, -1}) {
      for (const Shape& shape : {Shape{3, 4, 5}, Shape{2, 3, 4}, Shape{1, 1, 1}, Shape{3, 0, 5}}) {
        const int a = x.shape().normalize_axis(axis);
        for (const std::int64_t length : {shape[a], std::int64_t{7}}) {  // the axis itself may be longer
          const Indices ids = some_ids(shape.with(a, length), x.dim(a));
          const auto place = [&](const Position& p) { return with(p, a, at(ids, p)); };
          const Tensor picked = gather(x, axis, ids);
          CHECK(identical(picked,
                          tabulate(ids.shape(), dtype, [&](const Position& p) { return at(x, place(p)); })));
          Tensor sum = x;
          scatter_add(sum, axis, ids, picked);
          CHECK(identical(sum, added(x, picked, place)));
        }
      }
    }
  }
  const Tensor x = rng.uniform({300, 200}, -1, 1), values = rng.uniform({300, 900}, -1, 1);
  const Indices ids = some_ids({300, 900}, 200);
  test::check_same_bits([&] { return gather(x, 1, ids); });
  test::check_same_bits([&] {
    Tensor sum = x;
    scatter_add(sum, 1, ids, values);
    return sum;
  });
  CHECK_THROWS_WITH(gather(zeros({2, 3}), 1, Indices({0, 1})), Contains("gather") && Contains("(2,)"));
  CHECK_THROWS_AS(gather(zeros({2, 3}), 1, some_ids({3, 3}, 2)), ShapeError);
  CHECK_THROWS_WITH(gather(zeros({1, 3}), 1, Indices({0, 3}, {1, 2})), Contains("id 3 at position 1"));
  Tensor sum = zeros({2, 3});
  CHECK_THROWS_WITH(scatter_add(sum, 1, some_ids({2, 2}, 3), zeros({2, 3})), Contains("scatter_add"));
  CHECK_THROWS_AS(scatter_add(sum, 1, some_ids({2, 3}, 3), zeros({2, 3}, Dtype::f64)), DtypeError);
}

TEST_CASE("take_along broadcasts the other axes, pick takes one entry for each position", "[indexing]") {
  Rng rng(3);
  for (const Dtype dtype : both) {
    for (const auto& shapes : {std::pair{Shape{3, 4, 5}, Shape{3, 2, 5}},
                               {Shape{1, 4, 5}, Shape{3, 2, 1}},
                               {Shape{3, 4, 1}, Shape{1, 6, 1}},
                               {Shape{1, 4, 1}, Shape{0, 1, 2}}}) {
      const Shape &from = shapes.first, &ids_shape = shapes.second;
      const Tensor x = rng.uniform(from, -1, 1, dtype);
      const Indices ids = some_ids(ids_shape, 4);
      const Shape wanted =
          broadcast_shapes("test", from.with(1, 1), ids_shape.with(1, 1)).with(1, ids_shape[1]);
      const Tensor naive = tabulate(wanted, dtype, [&](const Position& p) {
        const auto shrunk = [&](const Shape& shape, int axis) { return shape[axis] == 1 ? 0 : p[u(axis)]; };
        const std::int32_t id = at(ids, {shrunk(ids_shape, 0), shrunk(ids_shape, 1), shrunk(ids_shape, 2)});
        return at(x, {shrunk(from, 0), id, shrunk(from, 2)});
      });
      CHECK(identical(take_along(x, 1, ids), naive));
      CHECK(identical(take_along(Variable(x), -2, ids).value(), naive));
    }
    const Tensor x = rng.uniform({3, 4, 5}, -1, 1, dtype);
    for (const int axis : {0, 1, -1}) {
      const int a = x.shape().normalize_axis(axis);
      const Indices ids = some_ids(x.shape().erased(a), x.dim(a));
      CHECK(identical(pick(x, axis, ids), tabulate(ids.shape(), dtype, [&](Position p) {
                        const std::int32_t id = at(ids, p);
                        p.insert(p.begin() + a, id);
                        return at(x, p);
                      })));
    }
  }
  CHECK(pick(Tensor::of({4, 5, 6}), 0, Indices(std::vector<std::int32_t>{2}, {})).item() == 6);
  CHECK_THROWS_WITH(pick(zeros({2, 3}), 1, Indices({0, 1, 2})), Contains("pick") && Contains("(3,)"));
  CHECK_THROWS_WITH(pick(zeros({2, 3}), 1, Indices({0, 3})), Contains("id 3"));
  CHECK_THROWS_WITH(take_along(zeros({2, 3}), 1, Indices({0, 1})), Contains("take_along"));
  CHECK_THROWS_AS(take_along(zeros({2, 3}), 1, some_ids({3, 1}, 2)), ShapeError);
}

TEST_CASE("masked_fill, one_hot and interleaving by counts", "[indexing]") {
  for (const Dtype dtype : both) {
    for (const Dtype mask_dtype : both) {
      const Tensor x = Tensor::of({nan_value, 1, infinity, -0.0, 2, 3}, dtype).reshape({2, 3});
      const Tensor y = masked_fill(x, Tensor::of({1, 0, nan_value}, mask_dtype), -infinity);
      CHECK(y.at(0) == -infinity);
      CHECK(y.at(1) == 1);
      CHECK(y.at(2) == -infinity);
      CHECK(y.at(3) == -infinity);
      CHECK(y.at(4) == 2);
      CHECK(identical(masked_fill(x, zeros({}, mask_dtype), 5), x));
    }
    const Tensor hot = one_hot(Indices({2, 0}, {2, 1}), 3, dtype);
    CHECK(hot.dtype() == dtype);
    CHECK(hot.text() == "[[[0, 0, 1]], [[1, 0, 0]]]");
  }
  CHECK(masked_fill(zeros({0, 2}), ones({2}), 1).size() == 0);
  CHECK_THROWS_WITH(masked_fill(zeros({3}), zeros({2, 3}), 1), Contains("masked_fill") && Contains("(2, 3)"));
  CHECK(one_hot(Indices(std::vector<std::int32_t>{}), 3).shape() == Shape{0, 3});
  CHECK_THROWS_WITH(one_hot(Indices({0, 3}), 3), Contains("one_hot") && Contains("id 3 at position 1"));
  CHECK_THROWS_AS(one_hot(Indices({-1}), 3), ShapeError);
  CHECK(repeat_interleave(counting({2, 3}), Indices({2, 0, 1}), 1).text() == "[[0, 0, 2], [3, 3, 5]]");
  CHECK_THROWS_WITH(repeat_interleave(counting({3}), Indices({2, 0}), 0), Contains("repeat_interleave"));
  CHECK_THROWS_WITH(repeat_interleave(counting({2}), Indices({2, -1}), 0), Contains("position 1"));
}

TEST_CASE(
    "errors of indexing on Variables name the op and the user's line; masked infinities pass no gradient",
    "[indexing]") {
  const Variable x(zeros({2, 3}));
  const auto here = [](int line) { return "indexing_test.cpp:" + std::to_string(line); };
  CHECK_THROWS_WITH(gather_rows(x, Indices({2})), Contains(here(__LINE__)) && Contains("gather_rows"));
  CHECK_THROWS_WITH(scatter_rows(x, Indices({0}), 4), Contains(here(__LINE__)) && Contains("scatter_rows"));
  CHECK_THROWS_WITH(scatter_rows(x, Indices({0, 4}), 4), Contains(here(__LINE__)) && Contains("id 4"));
  CHECK_THROWS_WITH(index_select(x, 1, Indices({3})), Contains(here(__LINE__)) && Contains("index_select"));
  CHECK_THROWS_WITH(index_add(x, 1, Indices({0}), x), Contains(here(__LINE__)) && Contains("index_add"));
  CHECK_THROWS_WITH(gather(x, 1, Indices({3}, {1, 1})), Contains(here(__LINE__)) && Contains("gather"));
  CHECK_THROWS_WITH(scatter_add(x, 1, Indices({0}, {1, 1}), x), Contains(here(__LINE__)));
  CHECK_THROWS_WITH(take_along(x, 1, Indices({0})), Contains(here(__LINE__)) && Contains("take_along"));
  CHECK_THROWS_WITH(pick(x, 1, Indices({0})), Contains(here(__LINE__)) && Contains("pick"));
  CHECK_THROWS_WITH(masked_fill(x, zeros({4}), 0), Contains(here(__LINE__)) && Contains("masked_fill"));
  CHECK_THROWS_WITH(topk(x, 4), Contains(here(__LINE__)) && Contains("topk"));
  CHECK_THROWS_WITH(sort(x, {.axis = 2}), Contains(here(__LINE__)));

  Tape tape;
  const Variable y = tape.watch(Tensor::of({1, 2}));
  const Gradients grads =
      tape.backward(sum(masked_fill(y * Variable(Tensor::of({infinity, 3})), Tensor::of({1, 0}), 0)));
  CHECK(grads[y].at(1) == 3);
}

TEST_CASE("sort is stable, along any axis, with NaN above everything", "[sorting]") {
  Rng rng(4);
  for (const Dtype dtype : both) {
    // What torch.sort(stable=True) gives.
    const Tensor odd = Tensor::of({nan_value, 1, infinity, -0.0, -infinity, 0.0, -nan_value, 1, -1}, dtype);
    CHECK(argsort(odd).values().front() == 4);
    const auto ids = [](const Indices& i) {
      return std::vector<std::int32_t>(i.values().begin(), i.values().end());
    };
    CHECK(ids(argsort(odd)) == std::vector<std::int32_t>{4, 8, 3, 5, 1, 7, 2, 0, 6});
    CHECK(ids(argsort(odd, {.descending = true})) == std::vector<std::int32_t>{0, 6, 2, 1, 7, 3, 5, 8, 4});
    CHECK(ids(topk(odd, 3).ids) == std::vector<std::int32_t>{0, 6, 2});
    CHECK(ids(topk(odd, 4, {.largest = false}).ids) == std::vector<std::int32_t>{4, 8, 3, 5});
    CHECK(std::signbit(sort(odd).values.at(2)));
    CHECK_FALSE(std::signbit(sort(odd).values.at(3)));

    // Many ties, against the standard library's stable sort.
    const Tensor drawn = rng.uniform({4, 33, 6}, -9, 9, dtype);
    Tensor x = tabulate(drawn.shape(), dtype, [&](const Position& p) { return std::round(at(drawn, p)); });
    for (const int axis : {0, 1, -1}) {
      for (const bool descending : {false, true}) {
        const int a = x.shape().normalize_axis(axis);
        const Sorted<Tensor> sorted = sort(x, {.axis = axis, .descending = descending});
        const Tensor lanes = tabulate(x.shape(), Dtype::f64, [&](const Position& p) {
          std::vector<std::int64_t> order(u(x.dim(a)));
          std::iota(order.begin(), order.end(), 0);
          std::stable_sort(order.begin(), order.end(), [&](std::int64_t i, std::int64_t j) {
            const double l = at(x, with(p, a, i)), r = at(x, with(p, a, j));
            return descending ? l > r : l < r;
          });
          return static_cast<double>(order[u(p[u(a)])]);
        });
        for (std::int64_t i = 0; i < x.size(); ++i) REQUIRE(sorted.ids.data()[i] == lanes.at(i));
        CHECK(identical(sorted.values, take_along(x, axis, sorted.ids)));
        for (const std::int64_t k : {std::int64_t{0}, std::int64_t{1}, x.dim(a) / 2, x.dim(a)}) {
          const Sorted<Tensor> best = topk(x, k, {.axis = axis, .largest = descending});
          CHECK(identical(best.values, slice(sorted.values, axis, 0, k)));
          CHECK(identical(best.values, take_along(x, axis, best.ids)));
          const Indices& all = sorted.ids;
          for (std::int64_t i = 0; i < best.ids.size(); ++i) {
            REQUIRE(best.ids.data()[i] == at(all, position_of(i, best.ids.shape())));
          }
        }
      }
    }
  }
  CHECK(sort(Tensor::scalar(3)).values.item() == 3);
  CHECK(sort(zeros({0})).values.size() == 0);
  CHECK(sort(zeros({2, 0})).ids.shape() == Shape{2, 0});
  CHECK(sort(zeros({0, 3})).values.shape() == Shape{0, 3});
  CHECK_THROWS_WITH(topk(zeros({2, 3}), 4), Contains("topk") && Contains("(2, 3)"));
  CHECK_THROWS_AS(topk(zeros({2, 3}), -1), ShapeError);
  CHECK_THROWS_AS(topk(Tensor::scalar(1), 1), ShapeError);
  CHECK_THROWS_AS(sort(zeros({2}), {.axis = 1}), ShapeError);
  const Tensor large = rng.uniform({200, 3000}, -1, 1);
  test::check_same_bits([&] { return sort(large, {.axis = 0}).values; });
  const Tensor sorted = sort(large).values;
  for (std::int64_t i = 1; i < 3000; ++i) REQUIRE(sorted.at(i - 1) <= sorted.at(i));
}
