#include "autograd/ops/reduction.hpp"

#include <cmath>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "autograd/gradients.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/cumulative.hpp"
#include "autograd/tape.hpp"
#include "autograd/transforms.hpp"
#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"

using namespace gradus;
using Catch::Contains;

TEST_CASE("any, all and the places of extremes of a Variable are those of its value, without a gradient",
          "[reduction]") {
  Tape tape;
  const Variable x = tape.watch(Tensor::of({0, 4, 2, 5, 1, 3}).reshape({2, 3}));
  const auto holds = [](const Variable& y, const Shape& shape, const char* text) {
    CHECK(y.is_constant());
    CHECK(y.shape() == shape);
    CHECK(y.value().text() == text);
  };
  holds(any(x * 0), {}, "0");
  holds(any(x > 4, 0), {3}, "[1, 0, 0]");
  holds(any(x > 4, 1, true), {2, 1}, "[[0], [1]]");
  holds(all(x), {}, "0");
  holds(all(x, 0), {3}, "[0, 1, 1]");
  holds(all(x, 1, true), {2, 1}, "[[0], [1]]");
  using Ids = std::vector<std::int32_t>;
  const auto ids = [](const Indices& places, const Shape& shape) {
    CHECK(places.shape() == shape);
    return Ids(places.values().begin(), places.values().end());
  };
  CHECK(ids(argmax(x), {}) == Ids{3});
  CHECK(ids(argmin(x), {}) == Ids{0});
  CHECK(ids(argmax(x, 0), {3}) == Ids{1, 0, 1});
  CHECK(ids(argmin(x, 0), {3}) == Ids{0, 1, 0});
  CHECK(ids(argmax(x, 1, true), {2, 1}) == Ids{1, 0});
  CHECK(ids(argmin(x, 1, true), {2, 1}) == Ids{0, 1});
  const std::pair<std::string, std::function<void()>> calls[] = {{"any", [&] { any(x, 2); }},
                                                                 {"all", [&] { all(x, 2); }},
                                                                 {"argmax", [&] { argmax(x, 2); }},
                                                                 {"argmin", [&] { argmin(x, 2); }}};
  for (const auto& [name, call] : calls) {
    CHECK_THROWS_WITH(call(), Contains("at reduction_test.cpp:") && Contains(": " + name + ": axis 2 ") &&
                                  Contains("(2, 3)"));
  }
  const Variable none = tape.watch(zeros({0}));
  CHECK_THROWS_WITH(argmax(none), Contains("at reduction_test.cpp:") && Contains(": argmax: "));
  CHECK_THROWS_WITH(argmin(none), Contains("at reduction_test.cpp:") && Contains(": argmin: "));
}

TEST_CASE("gradients of norms, deviations and logsumexp are right where powers are out of range",
          "[reduction]") {
  const auto slope = [](const Tensor& x, const auto& f) {
    Tape tape;
    const Variable v = tape.watch(x);
    return tape.backward(f(v))[v];
  };
  for (const double size : {1e20, 1e-24, 1e-38}) {
    INFO(size);
    const Tensor x = Tensor::of({3 * size, 4 * size});
    const Tensor by_two = slope(x, [](const Variable& v) { return norm(v, {0}); });
    CHECK(by_two.at(0) == Approx(0.6).epsilon(1e-6));
    CHECK(by_two.at(1) == Approx(0.8).epsilon(1e-6));
    const Tensor by_three = slope(x, [](const Variable& v) { return norm(v, {0}, {.p = 3}); });
    CHECK(by_three.at(1) == Approx(16 / std::pow(91, 2.0 / 3)).epsilon(1e-5));
    const Tensor of_deviation = slope(x, [](const Variable& v) { return stddev(v); });
    CHECK(of_deviation.at(0) == Approx(-std::sqrt(0.5)).epsilon(1e-6));
    CHECK(of_deviation.at(1) == Approx(std::sqrt(0.5)).epsilon(1e-6));
  }
  const Tensor of_var = slope(Tensor::of({1e7, 1e7 + 1}), [](const Variable& v) { return var(v); });
  CHECK(of_var.text() == "[-1, 1]");
  const Tensor apart =
      Tensor::of({3e38, 3e38, -3e38, 3e38});  // the third is further from the mean than f32 reaches
  const Tensor of_extremes = slope(apart, [](const Variable& v) { return var(v); });
  CHECK(of_extremes.at(0) == Approx(1e38).epsilon(1e-6));
  CHECK(of_extremes.at(2) == Approx(-3e38).epsilon(1e-6));
  // Deviations of 1.5e38 three times and of -4.5e38, and a deviation of 3e38 in all.
  const auto deviation = [](const Variable& v) { return stddev(v); };
  const Tensor of_far = slope(apart, deviation);
  CHECK(of_far.at(0) == Approx(1.0 / 6).epsilon(1e-6));
  CHECK(of_far.at(2) == Approx(-0.5).epsilon(1e-6));
  CHECK(slope(apart.to(Dtype::f64) * 1e269, deviation).at(2) == Approx(-0.5).epsilon(1e-12));
  for (const Tensor& ends : {Tensor::of({3e38, -3e38}), Tensor::of({1.7e308, -1.7e308}, Dtype::f64)}) {
    // The deviation itself is beyond the dtype.
    CHECK(slope(ends, deviation).at(0) == Approx(std::sqrt(0.5)).epsilon(1e-6));
    CHECK(grad(deviation, Variable(ends)).value().at(1) == Approx(-std::sqrt(0.5)).epsilon(1e-6));
    const Tensor most = abs(ends);
    CHECK(slope(most, [](const Variable& v) { return norm(v); }).at(0) ==
          Approx(std::sqrt(0.5)).epsilon(1e-6));
    CHECK(slope(most, [](const Variable& v) { return norm(v, {}, {.p = 3}); }).at(1) ==
          Approx(std::pow(0.5, 2.0 / 3)).epsilon(1e-6));
    CHECK(slope(most, [](const Variable& v) { return norm(v, {}, {.p = 1}); }).text() == "[1, 1]");
    // Of a negative order the norm is 0 where one element is, whatever the others are.
    for (const double p : {-0.5, -1.0, -3.0}) {
      const auto norm_of = [p](const Variable& v) { return norm(v, {}, {.p = p}); };
      CHECK(slope(Tensor::of({3, -4, 0}, most.dtype()), norm_of).text() == "[0, 0, 0]");
    }
  }
  CHECK(std::isnan(slope(Tensor::of({1, NAN}), deviation).at(0)));

  const auto total = [](const Variable& v) { return logsumexp(v); };
  CHECK(slope(Tensor::of({1, INFINITY}), total).text() == "[0, 1]");
  CHECK(slope(Tensor::of({INFINITY, 0, INFINITY}), total).text() == "[0.5, 0, 0.5]");
  CHECK(slope(Tensor::of({-INFINITY, -INFINITY}), total).text() == "[0, 0]");
  const Tensor columns = Tensor::of({INFINITY, 1, 0, 1}).reshape({2, 2});
  const Tensor by_column = slope(columns, [](const Variable& v) { return sum(logsumexp(v, 0)); });
  CHECK(by_column.text() == "[[1, 0.5], [0, 0.5]]");
  const Parameter p(Tensor::of({1, INFINITY}));
  Tape tape;
  CHECK(grad(logsumexp(p), p).value().text() == "[0, 1]");  // recorded
}

TEST_CASE("an axis of a scalar is an error of every reduction, which says so", "[reduction]") {
  const Variable x(Tensor::scalar(3));
  const Tensor& t = x.value();
  const std::pair<std::string, std::function<void(int)>> calls[] = {
      {"sum", [&](int axis) { sum(x, axis); }},
      {"mean", [&](int axis) { mean(x, axis); }},
      {"prod", [&](int axis) { prod(x, axis); }},
      {"max", [&](int axis) { max(x, {axis}); }},
      {"min", [&](int axis) { min(x, {axis}); }},
      {"var", [&](int axis) { var(x, axis); }},
      {"stddev", [&](int axis) { stddev(x, axis); }},
      {"norm", [&](int axis) { norm(x, {axis}); }},
      {"norm", [&](int axis) { norm(x, {axis}, {.p = 3}); }},
      {"norm", [&](int axis) { norm(t, {axis}, {.p = 0}); }},
      {"logsumexp", [&](int axis) { logsumexp(x, axis); }},
      {"any", [&](int axis) { any(x, axis); }},
      {"all", [&](int axis) { all(x, axis); }},
      {"argmax", [&](int axis) { argmax(x, axis); }},
      {"argmin", [&](int axis) { argmin(x, axis); }},
      {"diff", [&](int axis) { diff(x, axis); }},
      {"sum", [&](int axis) { sum(t, axis); }},
      {"prod", [&](int axis) { prod(t, axis); }},
      {"argmax", [&](int axis) { argmax(t, axis); }},
  };
  for (const auto& [name, call] : calls) {
    for (const int axis : {0, -1}) {
      CHECK_THROWS_AS(call(axis), ShapeError);
      CHECK_THROWS_WITH(call(axis),
                        Contains(name + ": axis " + std::to_string(axis) + " of a scalar, which has none"));
    }
  }
  CHECK(sum(t).item() == 3);
  CHECK(sum(t, Axes(std::vector<int>{})).item() == 3);
}

TEST_CASE("the norm of gradients of f64 is right where their squares are not", "[reduction]") {
  const Parameter p(zeros({2}, Dtype::f64)), q(zeros({2}));
  for (const double size : {1e200, 1e-200}) {
    const Gradients gradients({{p.place(), Tensor::of({3 * size, 4 * size}, Dtype::f64), {}}});
    CHECK(norm(gradients) == Approx(5 * size).epsilon(1e-14).margin(0));
  }
  CHECK(norm(Gradients({{p.place(), full({2}, 1e200, Dtype::f64), {}}, {q.place(), ones({2}), {}}})) ==
        Approx(std::sqrt(2) * 1e200).epsilon(1e-14));
  CHECK(norm(Gradients({{p.place(), zeros({2}, Dtype::f64), {}}})) == 0);
  CHECK(std::isnan(norm(Gradients({{p.place(), Tensor::of({NAN, 1e200}, Dtype::f64), {}}}))));
}
