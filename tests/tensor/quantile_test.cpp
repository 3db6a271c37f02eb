#include "autograd/ops/quantile.hpp"

#include <cmath>
#include <limits>

#include "autograd/ops/movement.hpp"
#include "tensor/random.hpp"
#include "tests/support/positions.hpp"
#include "tests/support/threads.hpp"
#include "tests/support/torch_case.hpp"

using namespace gradus;
using namespace gradus::test;
using Catch::Contains;

namespace {

const double infinity = std::numeric_limits<double>::infinity(), not_a_number = std::nan("");

/// By the definition: of the sorted numbers, on the line between the two around rank q (n - 1).
double by_sorting(std::vector<double> x, double q) {
  std::sort(x.begin(), x.end());
  const double rank = q * static_cast<double>(x.size() - 1);
  const auto low = static_cast<std::size_t>(rank), high = std::min(low + 1, x.size() - 1);
  return x[low] + (x[high] - x[low]) * (rank - std::floor(rank));
}

}  // namespace

TEST_CASE("quantiles' values and gradients are PyTorch's", "[quantile]") {
  using Xs = std::span<const Variable>;
  check_torch_case("quantile_all", {"x"}, [](Xs x) { return flatten(quantile(x[0], 0.3)); });
  check_torch_case("quantile_axis", {"x"}, [](Xs x) { return quantile(x[0], {0, 0.25, 0.9, 1}, 1); });
  const auto by = [](Interpolation how, int axis, bool keepdims) {
    return [=](Xs x) { return quantile(x[0], 0.4, axis, {.interpolation = how, .keepdims = keepdims}); };
  };
  check_torch_case("quantile_higher", {"x"}, by(Interpolation::higher, 2, true));
  check_torch_case("quantile_nearest", {"x"}, by(Interpolation::nearest, 0, false));
  check_torch_case("quantile_midpoint", {"x"}, by(Interpolation::midpoint, 1, false));
  check_torch_case("median_axis", {"x"}, [](Xs x) { return median(x[0], 1); });
  check_torch_case("median_all", {"x"}, [](Xs x) { return flatten(median(x[0])); });
}

TEST_CASE("quantiles equal the definition over every axis, and medians the lower middle", "[quantile]") {
  Rng rng(5);
  for (const Shape& shape : {Shape{7}, Shape{1}, Shape{4, 6}, Shape{3, 2, 5}}) {
    const Tensor x = rng.uniform(shape, -1, 1, Dtype::f64);
    for (int axis = -shape.rank(); axis < shape.rank(); ++axis) {
      const int a = shape.normalize_axis(axis);
      const std::vector<double> qs{0.5, 0, 0.1, 1, 0.77};
      const Tensor all = quantile(x, qs, axis);
      CHECK(all.shape() == shape.erased(a).inserted(0, 5));
      for (std::int64_t i = 0; i < all.size(); ++i) {
        Position at = position_of(i, all.shape());
        const double q = qs[u(at[0])];
        at.erase(at.begin());
        at.insert(at.begin() + a, 0);
        std::vector<double> lane;
        for (at[u(a)] = 0; at[u(a)] < shape[a]; ++at[u(a)]) lane.push_back(test::at(x, at));
        CHECK(all.at(i) == Approx(by_sorting(lane, q)).margin(1e-15));
      }
    }
  }
  CHECK(median(Tensor::of({4, 1, 3, 2})).item() == 2);
  CHECK(median(Tensor::of({5, 1, 3})).item() == 3);
  CHECK(quantile(Tensor::of({4, 1, 3, 2}), 0.5).item() == 2.5);
  CHECK(quantile(Tensor::scalar(7), {0.25}).shape() == Shape{1});
  CHECK(median(zeros({0, 3}), 1).shape() == Shape{0});
  const Tensor matrix = Tensor::of({1, 5, 2, 6}).reshape({2, 2});
  CHECK(identical(median(matrix, {0, 1}), Tensor::scalar(2)));
  CHECK(quantile(matrix, 0.5, 0, {.keepdims = true}).text() == "[[1.5, 5.5]]");
}

TEST_CASE("NaN makes a quantile NaN or is left out, and infinities are met", "[quantile]") {
  const Tensor x =
      Tensor::of({3, not_a_number, 1, 2, not_a_number, not_a_number, not_a_number, not_a_number}, Dtype::f64)
          .reshape({2, 4});
  CHECK(median(x, 1).text() == "[nan, nan]");
  CHECK(median(x, 1, {.ignore_nan = true}).text() == "[2, nan]");
  CHECK(quantile(x, {0, 0.25, 1}, 1, {.ignore_nan = true}).text() == "[[1, nan], [1.5, nan], [3, nan]]");
  const Tensor wide = Tensor::of({infinity, -infinity, 0, infinity}, Dtype::f64);
  CHECK(quantile(wide, {0, 1, 0.9}).text() == "[-inf, inf, inf]");
  // The gradient goes to the first NaN, and of equal elements to the one of that rank.
  const auto gradient = [](const Tensor& at, double q, QuantileOptions options = {}) {
    Tape tape;
    const Variable v = tape.watch(at);
    return tape.backward(quantile(v, q, {}, options))[v].text();
  };
  CHECK(gradient(x[0], 0.5) == "[0, 1, 0, 0]");
  CHECK(gradient(x[0], 0.25, {.ignore_nan = true}) == "[0, 0, 0.5, 0.5]");
  CHECK(gradient(Tensor::of({2, 1, 2, 2}), 0.5) == "[0.5, 0, 0.5, 0]");
}

TEST_CASE("errors of quantiles say what is wrong", "[quantile]") {
  CHECK_THROWS_WITH(quantile(ones({3}), 1.5), Contains("quantile: q = 1.5; it must be 0 to 1"));
  CHECK_THROWS_AS(quantile(ones({3}), not_a_number), ArgumentError);
  CHECK_THROWS_WITH(median(zeros({2, 0}), 1), Contains("median: of no elements, in a shape of (2, 0)"));
  CHECK_THROWS_AS(quantile(ones({3}), 0.5, 1), ShapeError);
  CHECK_THROWS_WITH(quantile(Variable(ones({3})), -1), Contains("quantile_test.cpp:"));
}

TEST_CASE("quantiles have the same bits for any number of threads", "[quantile][threads]") {
  const Tensor x = Rng(3).uniform({700, 200}, -1, 1);
  test::check_same_bits([&] { return quantile(x, {0.1, 0.5}, 1); });
}

TEST_CASE("quantiles beside an infinity are it, and a wide range does not overflow", "[quantile]") {
  const double inf = std::numeric_limits<double>::infinity();
  for (const double q : {0.25, 0.5, 0.75}) {
    CHECK(quantile(Tensor::of({1, inf}, Dtype::f64), q).item() == inf);
    CHECK(quantile(Tensor::of({-inf, 1}, Dtype::f64), q).item() == -inf);
  }
  CHECK(quantile(Tensor::of({-1e308, 1e308}, Dtype::f64), 0.25).item() == Approx(-5e307));
}
