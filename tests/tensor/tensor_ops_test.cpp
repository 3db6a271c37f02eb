#include "tensor/ops.hpp"

#include <array>
#include <cmath>
#include <limits>

#include "tensor/random.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/instruction_sets.hpp"

using namespace gradus;
using Catch::Contains;
using gradus::test::difference;
using gradus::test::for_every_instruction_set;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

/// The element of x that broadcasting puts at a flat position of a larger shape.
double broadcast_at(const Tensor& x, const Shape& shape, std::int64_t position) {
  std::int64_t at = 0, stride = 1;
  for (int i = 1; i <= shape.rank(); ++i) {
    const std::int64_t index = position % shape[-i];
    position /= shape[-i];
    if (i <= x.rank()) {
      at += (x.dim(-i) == 1 ? 0 : index) * stride;
      stride *= x.dim(-i);
    }
  }
  return x.at(at);
}

Tensor naive_binary(const Tensor& a, const Tensor& b, double (*f)(double, double)) {
  const Shape shape = broadcast_shapes("naive", a.shape(), b.shape());
  std::vector<double> out;
  for (std::int64_t i = 0; i < shape.size(); ++i)
    out.push_back(f(broadcast_at(a, shape, i), broadcast_at(b, shape, i)));
  return Tensor::from(out, shape);
}

}  // namespace

TEST_CASE("binary ops broadcast as NumPy's, and numbers mix in", "[ops]") {
  Rng rng(4);
  const std::vector<std::array<Shape, 2>> shapes{
      {{{}, {}}},         {{{3}, {}}},        {{{}, {3}}},           {{{2, 3}, {3}}},
      {{{3}, {2, 3}}},    {{{2, 1}, {1, 3}}}, {{{2, 1, 3}, {4, 1}}}, {{{0}, {1}}},
      {{{2, 0}, {1, 1}}}, {{{40, 50}, {50}}}, {{{40, 1}, {50}}},     {{{2, 3, 4, 5}, {3, 1, 5}}},
      {{{70}, {3, 1}}}};
  for_every_instruction_set([&] {
    for (const auto& [p, q] : shapes) {
      INFO(p.text() << " and " << q.text());
      const Tensor a = rng.uniform(p, 0.5, 2, Dtype::f64), b = rng.uniform(q, 0.5, 2, Dtype::f64);
      const auto check = [&](const Tensor& ours, double (*f)(double, double)) {
        CHECK(difference(ours, naive_binary(a, b, f)) < 1e-14);
      };
      check(a + b, [](double x, double y) { return x + y; });
      check(a - b, [](double x, double y) { return x - y; });
      check(a * b, [](double x, double y) { return x * y; });
      check(a / b, [](double x, double y) { return x / y; });
      check(maximum(a, b), [](double x, double y) { return x > y ? x : y; });
      check(minimum(a, b), [](double x, double y) { return x < y ? x : y; });
      check(pow(a, b), [](double x, double y) { return std::pow(x, y); });
      check(less(a, b), [](double x, double y) { return double(x < y); });
      check(less_equal(a, b), [](double x, double y) { return double(x <= y); });
      check(equal(a, b), [](double x, double y) { return double(x == y); });
    }
  });
  const Tensor x = Tensor::of({1, 2, 4});
  CHECK((2 / x).text() == "[2, 1, 0.5]");
  CHECK((x - 1).text() == "[0, 1, 3]");
  CHECK((1 - x).text() == "[0, -1, -3]");
  CHECK(x.text() == "[1, 2, 4]");
  CHECK_THROWS_AS(x + zeros({3}, Dtype::f64), DtypeError);
  CHECK_THROWS_WITH(x + zeros({2}), Contains("(3,)") && Contains("(2,)"));
  for_every_instruction_set([] {
    const Tensor number = full({20}, 1), no_number = full({20}, not_a_number);
    for (const Tensor& y :
         {maximum(number, no_number), maximum(no_number, number), minimum(number, no_number),
          minimum(no_number, number), maximum(no_number, 1), minimum(1, no_number)}) {
      for (const float v : y.values<float>()) CHECK(std::isnan(v));
    }
  });
}

TEST_CASE("sums, means and maxima equal plain loops", "[ops]") {
  Rng rng(5);
  for_every_instruction_set([&] {
    const Tensor x = rng.uniform({5, 7, 33}, -1, 1, Dtype::f64);
    const auto at = [&](std::int64_t i, std::int64_t j, std::int64_t k) {
      return x.at((i * 7 + j) * 33 + k);
    };
    std::vector<double> all(1), over_0(7 * 33), over_1(5 * 33), over_2(5 * 7), over_02(7), most(5 * 7, -9);
    for (std::int64_t i = 0; i < 5; ++i) {
      for (std::int64_t j = 0; j < 7; ++j) {
        for (std::int64_t k = 0; k < 33; ++k) {
          const auto u = [](std::int64_t n) { return static_cast<std::size_t>(n); };
          all[0] += at(i, j, k);
          over_0[u(j * 33 + k)] += at(i, j, k);
          over_1[u(i * 33 + k)] += at(i, j, k);
          over_2[u(i * 7 + j)] += at(i, j, k);
          over_02[u(j)] += at(i, j, k);
          most[u(i * 7 + j)] = std::max(most[u(i * 7 + j)], at(i, j, k));
        }
      }
    }
    CHECK(difference(sum(x), Tensor::from(all, {})) < 1e-13);
    CHECK(difference(mean(x) * 1155.0, Tensor::from(all, {})) < 1e-13);
    CHECK(difference(sum(x, 0), Tensor::from(over_0, {7, 33})) < 1e-13);
    CHECK(difference(sum(x, 1), Tensor::from(over_1, {5, 33})) < 1e-13);
    CHECK(difference(sum(x, -1, true), Tensor::from(over_2, {5, 7, 1})) < 1e-13);
    CHECK(difference(sum(x, std::array{0, 2}), Tensor::from(over_02, {7})) < 1e-13);
    CHECK(difference(max(x, {2}), Tensor::from(most, {5, 7})) == 0);
    CHECK(difference(sum_to(x, {7, 1}), Tensor::from(over_02, {7, 1})) < 1e-13);
  });
  CHECK(sum(zeros({0, 3})).item() == 0);
  CHECK(sum(zeros({0, 3}), 0).text() == "[0, 0, 0]");
  CHECK(std::isnan(mean(zeros({0})).item()));
  for_every_instruction_set([] {
    for (const std::int64_t n : {1, 3, 16, 40, 100}) {
      for (std::int64_t at = 0; at < n; at += 7) {
        Tensor x = ones({n});
        x.mutable_data<float>()[at] = 5;
        CHECK(max(x, {0}).item() == 5);
        x.mutable_data<float>()[at] = std::numeric_limits<float>::quiet_NaN();
        CHECK(std::isnan(max(x, {0}).item()));
      }
    }
  });
  CHECK_THROWS_AS(max(zeros({2, 0}), {1}), ShapeError);
  CHECK_THROWS_AS(sum(zeros({2, 3}), std::array{0, 0}), ShapeError);
  CHECK_THROWS_AS(sum(zeros({2, 3}), 2), ShapeError);
  // Ten million of 0.1 in f32: a plain running sum is off by 9%.
  CHECK(sum(full({10'000'000}, 0.1)).item() == Approx(1e6).epsilon(1e-6));
}

TEST_CASE("movement puts every element where it belongs", "[ops]") {
  std::vector<double> numbers(24);
  for (std::size_t i = 0; i < 24; ++i) numbers[i] = static_cast<double>(i);
  const Tensor x = Tensor::from(numbers, {2, 3, 4});
  const Tensor turned = permute(x, std::array{2, 0, 1});
  CHECK(turned.shape() == Shape{4, 2, 3});
  for (std::int64_t i = 0; i < 4; ++i) {
    for (std::int64_t j = 0; j < 2; ++j) {
      for (std::int64_t k = 0; k < 3; ++k) CHECK(turned.at((i * 2 + j) * 3 + k) == x.at((j * 3 + k) * 4 + i));
    }
  }
  CHECK(transpose(x).shape() == Shape{2, 4, 3});
  CHECK(identical(transpose(transpose(x, 0, 2), 2, 0), x));
  CHECK_THROWS_AS(permute(x, std::array{0, 0, 1}), ShapeError);
  CHECK_THROWS_AS(permute(x, std::array{0, 1}), ShapeError);

  const Tensor middle = slice(x, 1, 1, 3);
  CHECK(middle.shape() == Shape{2, 2, 4});
  CHECK(middle.at(8) == 16);
  CHECK(slice(x, 1, 2, 2).size() == 0);
  CHECK_THROWS_AS(slice(x, 1, 2, 4), ShapeError);
  CHECK_THROWS_AS(slice(x, 1, 2, 1), ShapeError);
  Tensor sums = ones({2, 3, 4}, Dtype::f64);
  add_to_slice(sums, middle, 1, 1);
  CHECK(sums.at(0) == 1);
  CHECK(sums.at(4) == 5);

  const std::vector<Tensor> parts{slice(x, 2, 0, 1), slice(x, 2, 1, 4)};
  CHECK(identical(concat(parts, 2), x));
  CHECK(identical(stack(std::vector<Tensor>{x[0], x[1]}), x));
  CHECK_THROWS_AS(concat(std::vector<Tensor>{}, 0), ShapeError);
  CHECK_THROWS_AS(concat(std::vector<Tensor>{x, x[0]}, 0), ShapeError);
  CHECK(broadcast_to(x[0][0], {2, 4}).text() == "[[0, 1, 2, 3], [0, 1, 2, 3]]");
  CHECK_THROWS_AS(broadcast_to(x, {3, 4}), ShapeError);
}

TEST_CASE("rows are gathered and scattered by ids", "[ops]") {
  const Tensor table = Tensor::from(std::vector<float>{0, 1, 10, 11, 20, 21}, {3, 2});
  CHECK(gather_rows(table, Indices({2, 0, 2, 1}, {2, 2})).text() ==
        "[[[20, 21], [0, 1]], [[20, 21], [10, 11]]]");
  CHECK_THROWS_WITH(gather_rows(table, Indices({0, 3})), Contains("id 3"));
  CHECK_THROWS_WITH(gather_rows(table, Indices({-1})), Contains("id -1"));
  Tensor sums = zeros({3, 2});
  scatter_add_rows(sums, Indices({1, 1}), ones({2, 2}));
  CHECK(sums.text() == "[[0, 0], [2, 2], [0, 0]]");
  CHECK(pick(table, -1, Indices({1, 0, 1})).text() == "[1, 10, 21]");
}

TEST_CASE("what adds in place takes broadcasting values, and says what does not fit", "[ops]") {
  Tensor sum;
  add_to(sum, ones({2, 3}));
  add_to(sum, Tensor::of({1, 2, 3}));
  add_to(sum, Tensor::scalar(10));
  CHECK(sum.text() == "[[12, 13, 14], [12, 13, 14]]");
  const Tensor kept = sum;
  CHECK_THROWS_WITH(add_to(sum, ones({4, 2, 3})),
                    Contains("add_to: a sum of shape (2, 3) cannot take (4, 2, 3)"));
  CHECK_THROWS_WITH(add_to(sum, ones({2})), Contains("add_to") && Contains("(2, 3)") && Contains("(2,)"));
  CHECK_THROWS_AS(add_to(sum, ones({2, 3}, Dtype::f64)), DtypeError);
  CHECK_THROWS_WITH(
      scatter_add_rows(sum, Indices({1, 0}), ones({3, 3})),
      Contains("scatter_add_rows: values of shape (3, 3) for 2 rows of a table of shape (2, 3)"));
  CHECK_THROWS_WITH(scatter_add_rows(sum, Indices({1, 2}), ones({2, 3})),
                    Contains("scatter_add_rows: id 2 at position 1 is not in 0..1"));
  CHECK_THROWS_AS(scatter_add_rows(sum, Indices({1}), ones({1, 3}, Dtype::f64)), DtypeError);
  Tensor scalar = Tensor::scalar(1);
  CHECK_THROWS_WITH(scatter_add_rows(scalar, Indices({0}), scalar), Contains("scatter_add_rows: a scalar"));
  CHECK_THROWS_WITH(add_to_slice(sum, ones({1, 2}), 0, 1),
                    Contains("add_to_slice: (1, 2) does not fit into the part (1, 3) of (2, 3)"));
  CHECK_THROWS_WITH(add_to_slice(sum, ones({2, 3}), 0, 1), Contains("add_to_slice: (2, 3) from 1 of axis 0"));
  CHECK_THROWS_WITH(add_to_slice(sum, ones({3}), 0, 1), Contains("add_to_slice: (3,)"));
  CHECK_THROWS_WITH(add_to_slice(sum, ones({1, 3}, Dtype::f64), 0, 1),
                    Contains("add_to_slice: f64 into f32") && Contains("to()"));
  CHECK_THROWS_WITH(add_to_diagonal(sum, ones({3})),
                    Contains("add_to_diagonal: (3,) does not fit into the part (2,) of (2, 3)"));
  CHECK_THROWS_WITH(sum_to(sum, Shape{4, 2, 3}), Contains("sum_to: (4, 2, 3)") && Contains("(2, 3)"));
  CHECK_THROWS_WITH(sum_to(sum, Shape{2}), Contains("sum_to") && Contains("(2, 3)") && Contains("(2,)"));
  const Indices ids({0, 1, 1, 0}, {2, 2});
  CHECK_THROWS_WITH(broadcast_to(ids, Shape{2}),
                    Contains("broadcast_to: ids of shape (2, 2)") && Contains("(2,)"));
  CHECK(identical(sum, kept));
}

TEST_CASE("sums over more axes than a tensor can have are refused", "[ops]") {
  CHECK_THROWS_WITH(sum(ones({2, 3}), std::vector<int>(9, 0)),
                    Contains("9 axes are named; a tensor has at most 8"));
  CHECK_THROWS_WITH(sum(ones({2, 3}), std::vector<int>(8, 1)),
                    Contains("axis 1 of shape (2, 3)") && Contains("twice"));
}

TEST_CASE("a tensor is reshaped by a member or by a function", "[ops]") {
  const Tensor x = Tensor::of({0, 1, 2, 3, 4, 5});
  const Shape shape{2, 3};
  CHECK(reshape(x, shape).text() == "[[0, 1, 2], [3, 4, 5]]");
  CHECK(reshape(x, {3, -1}).text() == "[[0, 1], [2, 3], [4, 5]]");
  CHECK_THROWS_WITH(reshape(x, Shape{4}), Contains("(6,)") && Contains("(4,)"));
}

TEST_CASE("log_softmax is shifted, so that huge and tiny values neither overflow nor vanish", "[ops]") {
  for_every_instruction_set([] {
    const Tensor y = log_softmax(Tensor::from(std::vector<float>{1000, 1000, -1000, 0, 0, 0}, {2, 3}));
    CHECK(y.at(0) == Approx(-std::log(2.0)));
    CHECK(y.at(2) == Approx(-2000.693).epsilon(1e-6));
    CHECK(y.at(3) == Approx(-std::log(3.0)));
    CHECK(std::isnan(log_softmax(Tensor::of({0, not_a_number, 1})).at(0)));
    Rng rng(6);
    const Tensor x = rng.uniform({3, 100}, -5, 5, Dtype::f64);
    CHECK(difference(sum(exp(log_softmax(x)), 1), ones({3}, Dtype::f64)) < 1e-13);
  });
}

TEST_CASE("all_finite and sum_squares see every element", "[ops]") {
  for_every_instruction_set([] {
    for (const std::int64_t n : {1, 7, 16, 33, 1000}) {
      for (const double bad : {not_a_number, infinity, -infinity}) {
        Tensor x = ones({n});
        CHECK(all_finite(x));
        CHECK(sum_squares(x) == static_cast<double>(n));
        x.mutable_data<float>()[n - 1] = static_cast<float>(bad);
        CHECK_FALSE(all_finite(x));
        CHECK_FALSE(std::isfinite(sum_squares(x)));
      }
    }
  });
  // Squares that f32 would not hold.
  CHECK(sum_squares(full({2}, 1e30)) == Approx(2e60).epsilon(1e-6));
}

TEST_CASE("a dying temporary hands on its buffer, a kept tensor does not", "[ops]") {
  const Tensor x = full({1000}, 2);
  Tensor y = x + 1;
  const float* buffer = y.data<float>();
  const Tensor z = std::move(y) * 2;
  CHECK(z.data<float>() == buffer);
  const Tensor w = exp(x);
  CHECK(x.at(999) == 2);
  CHECK(w.data<float>() != x.data<float>());
  Tensor a = x;  // shares storage: must not be reused
  const Tensor b = std::move(a) + 1;
  CHECK(x.at(0) == 2);
  CHECK(b.at(0) == 3);
}
