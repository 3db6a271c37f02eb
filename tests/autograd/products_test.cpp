#include <cmath>
#include <functional>
#include <vector>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/cumulative.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/linalg.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "autograd/transforms.hpp"
#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"

using namespace gradus;

namespace {

using Function = std::function<Variable(const Variable&)>;

Tensor slope(const Function& f, const Tensor& x) {
  Tape tape;
  const Variable v = tape.watch(x);
  return tape.backward(sum(f(v)))[v];
}
/// The derivative of sum(f) by x[i] and x[j].
double second(const Function& f, const Tensor& x, std::int64_t i, std::int64_t j) {
  return hessian([&](const Variable& v) { return sum(f(v)); }, Variable(x))
      .value()
      .reshape({x.size(), x.size()})
      .at(i * x.size() + j);
}

void check_relative(const Tensor& ours, const std::vector<double>& exact, double tolerance) {
  REQUIRE(ours.size() == static_cast<std::int64_t>(exact.size()));
  for (std::size_t i = 0; i < exact.size(); ++i) {
    INFO("element " << i << ": " << ours.at(static_cast<std::int64_t>(i)) << ", exactly " << exact[i]);
    CHECK(std::abs(ours.at(static_cast<std::int64_t>(i)) - exact[i]) <= tolerance * std::abs(exact[i]));
  }
}

Variable product(const Variable& x) {
  return prod(x);
}
Variable last_of_running(const Variable& x) {
  return slice(cumprod(x, 0), 0, x.size() - 1, x.size());
}

}  // namespace

TEST_CASE("products and their derivatives are right where parts of them overflow or vanish", "[reduction]") {
  for (const Function& f : {Function(product), Function(last_of_running)}) {
    for (const auto& [dtype, big] : {std::pair{Dtype::f32, 1e30}, {Dtype::f64, 1e300}}) {
      const double tolerance = dtype == Dtype::f32 ? 4e-7 : 1e-15, small = 1 / big;
      for (const std::vector<double>& order :
           {std::vector{big, big, small, small}, {small, small, big, big}, {big, small, big, small}}) {
        const Tensor x = Tensor::from(order, {4}).to(dtype);
        CHECK(f(Variable(x)).value().at(0) == Approx(1).epsilon(tolerance));
        std::vector<double> slopes;
        for (const double v : order) slopes.push_back(1 / v);
        check_relative(slope(f, x), slopes, tolerance);
        // By a large and a small factor: the product of the two others. By two small ones it overflows.
        for (std::int64_t i = 0; i < 4; ++i) {
          for (std::int64_t j = 0; j < 4; ++j) {
            const double expected = i == j ? 0 : 1 / x.at(i) / x.at(j);
            INFO(i << " and " << j << " of " << x.text());
            if (std::isinf(static_cast<float>(expected)) || std::isinf(expected)) {
              CHECK(std::isinf(second(f, x, i, j)));
            } else {
              CHECK(second(f, x, i, j) == Approx(expected).epsilon(2 * tolerance).margin(1e-40));
            }
          }
        }
      }
      // The product itself overflows, its slopes do not.
      check_relative(slope(f, Tensor::of({big, 2 * big}, dtype)), {2 * big, big}, tolerance);
    }
  }
}

TEST_CASE("long products whose parts are out of range have exact slopes", "[reduction]") {
  // In f32 the first half vanishes or overflows at 200 factors, in double at 1100.
  for (const auto& [dtype, half] : {std::pair{Dtype::f32, 200}, {Dtype::f32, 1100}, {Dtype::f64, 1100}}) {
    for (const double first : {0.5, 2.0}) {
      Tensor x = full({2 * half}, 1 / first, dtype);
      visit_elements([&, count = half](
                         auto* v) { std::fill_n(v, count, static_cast<std::decay_t<decltype(*v)>>(first)); },
                     x);
      CHECK(prod(x).item() == 1);
      CHECK(cumprod(x, 0).at(2 * half - 1) == 1);
      for (const Function& f : {Function(product), Function(last_of_running)}) {
        const Tensor slopes = slope(f, x);
        CHECK(slopes.at(0) == 1 / first);
        CHECK(slopes.at(half - 1) == 1 / first);
        CHECK(slopes.at(half) == first);
        CHECK(slopes.at(2 * half - 1) == first);
        // The slope of the slope's first element: the products of all others but it.
        const Function slope_of_first = [&](const Variable& v) {
          const Variable by_each = grad([&](const Variable& u) { return sum(f(u)); }, v);
          return slice(by_each, 0, 0, 1);
        };
        const Tensor seconds = slope(slope_of_first, x);
        CHECK(seconds.at(0) == 0);
        CHECK(seconds.at(1) == 1 / first / first);
        CHECK(seconds.at(2 * half - 1) == 1);
      }
    }
  }
}

TEST_CASE("products with zeros among factors out of range keep their slopes", "[reduction]") {
  for (const Function& f : {Function(product), Function(last_of_running)}) {
    const Tensor one = Tensor::of({1e30, 1e30, 0, 1e-30, 1e-30});
    check_relative(slope(f, one), {0, 0, 1, 0, 0}, 4e-7);
    CHECK(second(f, one, 0, 2) == Approx(1e-30).epsilon(4e-7).margin(0));
    const Tensor two = Tensor::of({0, 1e30, 1e30, 1e-30, 1e-30, 0});
    check_relative(slope(f, two), {0, 0, 0, 0, 0, 0}, 0);
    CHECK(second(f, two, 0, 5) == Approx(1).epsilon(4e-7));
    CHECK(second(f, two, 0, 1) == 0);
  }
  // 1e-30 times x1 (1 + x2 + x2 x3 + x2 x3 x4) by x1, and so on: the second running product overflows f32.
  const Function all = [](const Variable& v) { return cumprod(v, 0) * 1e-30; };
  check_relative(slope(all, Tensor::of({1e30, 1e30, 1e-30, 1e-30})), {1, 1, 1e30, 1}, 4e-7);
}

TEST_CASE("products over axes that are apart, and over columns, are right beyond the dtype", "[reduction]") {
  // (2, 3, 2): the product over the last axis overflows f32, that over the first brings it back.
  Tensor x = full({2, 3, 2}, 1e30);
  std::fill_n(x.mutable_data<float>() + 6, 6, 1e-30F);
  for (const Tensor& y : {prod(x, {0, 2}), prod(permute(x, {1, 0, 2}), {1, 2})}) {
    for (std::int64_t i = 0; i < 3; ++i) CHECK(y.at(i) == Approx(1).epsilon(4e-7));
  }
  const Tensor columns = concat({full({40, 70}, 1e30), full({40, 70}, 1e-30)}, 0);
  for (const Tensor& y : {prod(columns, 0), cumprod(columns, 0).rows(79, 80).reshape({70})}) {
    for (const std::int64_t i : {0, 63, 64, 69}) CHECK(y.at(i) == Approx(1).epsilon(1e-5));
  }
}

TEST_CASE("determinants and their slopes are right where products of pivots are out of range", "[linalg]") {
  for (const auto& [dtype, big] : {std::pair{Dtype::f32, 1e30}, {Dtype::f64, 1e300}}) {
    const Tensor x = diag(Tensor::of({big, big, 1 / big, 1 / big}, dtype));
    CHECK(det(x).item() == Approx(1).epsilon(4e-7));
    const Tensor slopes = slope([](const Variable& v) { return det(v); }, x);
    for (std::int64_t i = 0; i < 4; ++i)
      CHECK(slopes.at(5 * i) == Approx(i < 2 ? 1 / big : big).epsilon(4e-7).margin(0));
  }
  const Tensor singular = diag(Tensor::of({1e15, 1e15, 1e15, 0, 1e-15, 1e-15, 1e-15}));
  CHECK(slope([](const Variable& v) { return det(v); }, singular).at(8 * 3) == Approx(1).epsilon(1e-6));
}
