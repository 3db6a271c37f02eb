#include "autograd/ops/searching.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tensor/random.hpp"
#include "tests/support/torch_case.hpp"

using namespace gradus;
using namespace gradus::test;
using Catch::Contains;

namespace {

const double infinity = std::numeric_limits<double>::infinity(), not_a_number = std::nan("");

std::vector<std::int32_t> list(const Indices& ids) {
  return {ids.values().begin(), ids.values().end()};
}
using Ids = std::vector<std::int32_t>;

}  // namespace

TEST_CASE("searchsorted counts what is less, or not greater", "[searching]") {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    const Tensor sorted = Tensor::of({-1, 0, 0, 2, infinity}, dtype);
    const Tensor values = Tensor::of({-2, -1, -0.0, 0, 1, 2, infinity, not_a_number, -infinity}, dtype);
    CHECK(list(searchsorted(sorted, values)) == Ids{0, 0, 1, 1, 3, 3, 4, 5, 0});
    CHECK(list(searchsorted(sorted, values, {.right = true})) == Ids{0, 1, 3, 3, 3, 4, 5, 5, 0});
    CHECK(searchsorted(sorted, values.reshape({3, 3})).shape() == Shape{3, 3});
    CHECK(list(searchsorted(sorted, Tensor::scalar(1, dtype))) == Ids{3});
    CHECK(list(searchsorted(zeros({0}, dtype), values.rows(0, 2))) == Ids{0, 0});
    // With NaN in the list, which stands last.
    CHECK(list(searchsorted(Tensor::of({1, not_a_number}, dtype),
                            Tensor::of({infinity, not_a_number}, dtype))) == Ids{1, 1});
    const Tensor rows = Tensor::of({0, 1, 2, 10, 11, 12}, dtype).reshape({2, 3});
    CHECK(list(searchsorted(rows, Tensor::of({1, 5, 1, 11}, dtype).reshape({2, 2}))) == Ids{1, 3, 0, 1});
  }
  CHECK(list(searchsorted(Tensor::of({1, 2}), Variable(Tensor::of({3})))) == Ids{2});
  CHECK_THROWS_WITH(
      searchsorted(Tensor::of({1, 3, 2}), Tensor::of({1})),
      Contains("searchsorted: the numbers must be ascending; 3 is followed by 2 at position 2"));
  CHECK_THROWS_WITH(searchsorted(zeros({2, 3}), zeros({3, 3})), Contains("(3, 3)") && Contains("(2, 3)"));
  CHECK_THROWS_AS(searchsorted(Tensor::scalar(1), zeros({3})), ShapeError);
  CHECK_THROWS_AS(searchsorted(zeros({2}), zeros({3}, Dtype::f64)), DtypeError);
}

TEST_CASE("unique gives the values in order, where each element went, and how many there are",
          "[searching]") {
  const Tensor x = Tensor::of({2, -1, 2, 0, -0.0, not_a_number, 2, not_a_number}, Dtype::f64).reshape({2, 4});
  const auto [values, inverse, counts] = unique(x);
  CHECK(values.text() == "[-1, 0, 2, nan, nan]");
  CHECK_FALSE(std::signbit(values.at(1)));
  CHECK(inverse.shape() == Shape{2, 4});
  CHECK(list(inverse) == Ids{2, 0, 2, 1, 1, 3, 2, 4});
  CHECK(list(counts) == Ids{1, 2, 3, 1, 1});
  const auto words = unique(Indices({7, 3, 7, -2}));
  CHECK(list(words.values) == Ids{-2, 3, 7});
  CHECK(list(words.inverse) == Ids{2, 1, 2, 0});
  CHECK(list(words.counts) == Ids{1, 1, 2});
  CHECK(unique(zeros({0, 2})).values.size() == 0);
  CHECK(list(unique(Variable(Tensor::scalar(4))).counts) == Ids{1});
}

TEST_CASE("unique along an axis gives slices in order, as numpy and PyTorch do", "[searching]") {
  // numpy.unique(x, axis=..., return_inverse=True, return_counts=True).
  const Tensor x = Tensor::of({1, 0, 0, 1, 0, 0, 2, 3, 4, -1, 9, 9}).reshape({4, 3});
  const auto rows = unique(x, 0);
  CHECK(rows.values.text() == "[[-1, 9, 9], [1, 0, 0], [2, 3, 4]]");
  CHECK(list(rows.inverse) == Ids{1, 1, 2, 0});
  CHECK(list(rows.counts) == Ids{1, 2, 1});
  const auto columns = unique(Tensor::of({1, 0, 1, 2, 2, 2}, Dtype::f64).reshape({2, 3}), -1);
  CHECK(columns.values.text() == "[[0, 1], [2, 2]]");
  CHECK(columns.values.dtype() == Dtype::f64);
  CHECK(list(columns.inverse) == Ids{1, 0, 1});
  CHECK(list(columns.counts) == Ids{1, 2});
  const auto ids = unique(Indices({5, 1, 5, 3, 2, 3, 5, 0, 5, 3, 9, 3}, {2, 2, 3}), 2);
  CHECK(ids.values.shape() == Shape{2, 2, 2});
  CHECK(list(ids.values) == Ids{1, 5, 2, 3, 0, 5, 9, 3});
  CHECK(list(ids.inverse) == Ids{1, 0, 1});
  CHECK(list(ids.counts) == Ids{1, 2});
}

TEST_CASE("unique along an axis is what comparing every pair of slices gives", "[searching]") {
  Rng rng(3);
  for (const Shape& shape : {Shape{7}, Shape{9, 2}, Shape{2, 8}, Shape{3, 6, 2}, Shape{2, 2, 7}}) {
    for (int axis = 0; axis < shape.rank(); ++axis) {
      INFO(shape << " along " << axis);
      const Tensor x = floor(rng.uniform(shape, 0, 3));
      const auto [values, inverse, counts] = unique(x, axis);
      CHECK(identical(index_select(values, axis, inverse), x));
      // The elements of slice i, a row.
      std::vector<int> axes{axis};
      for (int other = 0; other < shape.rank(); ++other)
        if (other != axis) axes.push_back(other);
      const auto slices = [&](const Tensor& of) { return permute(of, axes).reshape({of.dim(axis), -1}); };
      const Tensor of_x = slices(x), of_values = slices(values);
      Ids found(static_cast<std::size_t>(values.dim(axis)), 0);
      for (std::int64_t i = 0; i < of_x.dim(0); ++i) ++found[static_cast<std::size_t>(inverse.data()[i])];
      CHECK(list(counts) == found);
      for (std::int64_t i = 0; i + 1 < of_values.dim(0); ++i) {
        const std::span<const float> one = of_values[i].values<float>(),
                                     next = of_values[i + 1].values<float>();
        CHECK(std::lexicographical_compare(one.begin(), one.end(), next.begin(), next.end()));
      }
      std::vector<std::int32_t> numbers;
      for (const float value : x.values<float>()) numbers.push_back(static_cast<std::int32_t>(value));
      const auto of_ids = unique(Indices(numbers, shape), axis);
      CHECK(list(of_ids.inverse) == list(inverse));
      CHECK(of_ids.values.shape() == values.shape());
      for (std::int64_t i = 0; i < values.size(); ++i)
        CHECK(of_ids.values.data()[i] == static_cast<std::int32_t>(values.at(i)));
    }
  }
}

TEST_CASE("unique along an axis takes zeros of both signs as one, each NaN for itself, and nothing at all",
          "[searching]") {
  const Tensor x = Tensor::of({0, 1, -0.0, 1, not_a_number, 1, not_a_number, 1, 0, 0}).reshape({5, 2});
  const auto [values, inverse, counts] = unique(x, 0);
  CHECK(values.text() == "[[0, 0], [0, 1], [nan, 1], [nan, 1]]");
  CHECK_FALSE(std::signbit(values.at(2)));  // the one that came first
  CHECK(list(inverse) == Ids{1, 1, 2, 3, 0});
  CHECK(list(counts) == Ids{1, 2, 1, 1});
  CHECK(unique(zeros({0, 2}), 0).values.shape() == Shape{0, 2});
  CHECK(unique(zeros({0, 2}), 1).values.shape() == Shape{0, 1});  // two slices without elements are equal
  CHECK(list(unique(Variable(zeros({3, 0})), 0).counts) == Ids{3});
  CHECK(unique(Indices(std::vector<std::int32_t>{}, {0, 2}), 0).values.shape() == Shape{0, 2});
  CHECK_THROWS_WITH(unique(x, 2), Contains("unique"));
  CHECK_THROWS_AS(unique(Indices({1}), 1), ShapeError);
  CHECK_THROWS_AS(unique(Tensor::scalar(1), 0), ShapeError);
}

TEST_CASE("nonzero lists positions, an index an axis", "[searching]") {
  const Tensor x = Tensor::of({0, 2, not_a_number, -0.0, 0, -1}).reshape({2, 3});
  CHECK(nonzero(x).shape() == Shape{3, 2});
  CHECK(list(nonzero(x)) == Ids{0, 1, 0, 2, 1, 2});
  CHECK(nonzero(zeros({4})).shape() == Shape{0, 1});
  CHECK(nonzero(Tensor::scalar(3)).shape() == Shape{1, 0});
  CHECK(list(nonzero(Variable(Tensor::of({0, 1})))) == Ids{1});
}

TEST_CASE("bincount counts ids or sums their weights, as PyTorch", "[searching]") {
  CHECK(list(bincount(Indices({3, 0, 3, 1}))) == Ids{1, 1, 0, 2});
  CHECK(list(bincount(Indices({1}), {.minlength = 3})) == Ids{0, 1, 0});
  CHECK(list(bincount(Indices())).empty());
  CHECK(bincount(Indices({3, 0, 3, 1}), Tensor::of({1, 2, 0.5, 4})).text() == "[2, 4, 0, 1.5]");
  CHECK(bincount(Indices({1, 0, 1, 1}, {2, 2}), ones({2, 2})).text() == "[1, 3]");
  check_torch_case("bincount", {"w_in"}, [](std::span<const Variable> w) {
    return bincount(Indices({3, 0, 3, 1, 0, 3}), w[0], {.minlength = 6});
  });
  CHECK_THROWS_WITH(bincount(Indices({0, -1})), Contains("bincount: id -1 at position 1"));
  CHECK_THROWS_AS(bincount(Indices({0}), {.minlength = -1}), ArgumentError);
  CHECK_THROWS_WITH(bincount(Indices({0, 1}), ones({3})),
                    Contains("weights of shape (3,) for ids of shape (2,)"));
}

TEST_CASE("interp follows the line through its points, as NumPy's", "[searching]") {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    const Tensor xp = Tensor::of({1, 2, 4}, dtype), fp = Tensor::of({3, 2, 0}, dtype);
    const Tensor x = Tensor::of({0, 1, 1.5, 2, 3, 4, 5, not_a_number, -infinity, infinity}, dtype);
    CHECK(interp(x, xp, fp).text() == "[3, 3, 2.5, 2, 1, 0, 0, nan, ...]");
    CHECK(interp(x, xp, fp, {.left = -7, .right = 9}).text() == "[-7, 3, 2.5, 2, 1, 0, 9, nan, ...]");
    CHECK(interp(x.rows(8, 10), xp, fp).text() == "[3, 0]");
    CHECK(interp(Tensor::scalar(7, dtype), xp.rows(0, 1), fp.rows(0, 1)).item() == 3);
  }
  // Each point is met exactly.
  Rng rng(4);
  const Tensor fp = rng.normal({50}, 0, 1e3, Dtype::f64), xp = arange(0, 50, 1, Dtype::f64) / 7;
  CHECK(identical(interp(xp, xp, fp), fp));
  // At a point the slope is that of the segment behind it, at the last one that before; beyond 0.
  Tape tape;
  const Variable x = tape.watch(Tensor::of({0, 1, 2, 4, 5}));
  const Gradients g = tape.backward(sum(interp(x, Tensor::of({1, 2, 4}), Tensor::of({3, 2, 0.5}))));
  CHECK(difference(g[x], Tensor::of({0, -1, -0.75, -0.75, 0})) == 0);

  const Tensor three = ones({3});
  CHECK_THROWS_WITH(interp(three, Tensor::of({1, 1}), ones({2})),
                    Contains("interp: xp must be ascending; 1 is followed by 1 at position 1"));
  CHECK_THROWS_WITH(interp(three, Tensor::of({1, not_a_number}), ones({2})),
                    Contains("xp holds nan at position 1"));
  CHECK_THROWS_WITH(interp(three, ones({2}), three), Contains("xp of shape (2,) and fp of shape (3,)"));
  CHECK_THROWS_AS(interp(three, zeros({0}), zeros({0})), ShapeError);
  CHECK_THROWS_WITH(interp(Variable(three), Tensor::of({1, 2}, Dtype::f64), Variable(ones({2}))),
                    Contains("searching_test.cpp:") && Contains("x of f32 and xp of f64"));
}
