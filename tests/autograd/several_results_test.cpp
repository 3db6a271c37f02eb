#include <array>
#include <cmath>
#include <limits>

#include "autograd/checkpoint.hpp"
#include "autograd/gradcheck.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/record.hpp"
#include "autograd/transforms.hpp"
#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"

using namespace gradus;
using Catch::Contains;

namespace {

Tensor vector(std::initializer_list<double> values) {
  return Tensor::of(values, Dtype::f64);
}

/// sin(x) and cos(x) as one node, whose gradient is times `factor`.
std::array<Variable, 2> sin_cos(const Variable& x, double factor = 1, Where where = Where::here()) {
  const auto sum_of = [factor](auto gs, const auto& sine, const auto& cosine, auto defined) {
    auto sum = sine * 0;
    if (defined(gs[0])) sum = sum + gs[0] * cosine * factor;
    if (defined(gs[1])) sum = sum - gs[1] * sine * factor;
    return sum;
  };
  const auto fused = [sum_of, v = x.value()](std::span<const Tensor> gs, std::span<const bool>,
                                             std::span<Tensor> out) {
    out[0] = sum_of(gs, sin(v), cos(v), [](const Tensor& g) { return g.defined(); });
  };
  const auto by_ops = [sum_of, x](std::span<const Variable> gs) {
    return Variables{sum_of(gs, sin(x), cos(x), [](const Variable& g) { return g.value().defined(); })};
  };
  return record({"sin_cos", where}, std::array{sin(x.value()), cos(x.value())}, jointly({x}, fused, by_ops));
}

std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

}  // namespace

TEST_CASE("a joint gradient in differentiable ops alone serves every order", "[tape][several]") {
  const auto polar = [](std::span<const Variable> in) {
    const auto gradients = [x = in[0], y = in[1]](std::span<const Variable> gs) {
      const Variable r = sqrt(x * x + y * y), zero = x * 0;
      const Variable along = gs[0].value().defined() ? gs[0] / r : zero;
      const Variable across = gs[1].value().defined() ? gs[1] / (r * r) : zero;
      return Variables{along * x - across * y, along * y + across * x};
    };
    return record("polar",
                  std::array{hypot(in[0].value(), in[1].value()), atan2(in[1].value(), in[0].value())},
                  jointly({in[0], in[1]}, gradients));
  };
  const Tensor x = vector({0.5, -1.2, 2}), y = vector({0.3, 0.8, -1});
  for (const auto& result : {gradcheck([&](auto in) { return polar(in)[0]; }, {x, y}),
                             gradcheck([&](auto in) { return polar(in)[1]; }, {x, y}),
                             gradcheck([&](auto in) { return polar(in)[0] * sin(polar(in)[1]); }, {x, y})}) {
    INFO(result.message);
    CHECK(result.passed);
  }
  const auto product = [](const Variable& a, const Variable& b) {
    return record("product", a.value() * b.value(), jointly({a, b}, [a, b](const Variable& g) {
                    return Variables{g * b, g * a};
                  }));
  };
  const GradcheckResult of_one = gradcheck([&](auto in) { return product(in[0], in[1]); }, {x, y});
  CHECK(of_one.passed);
  const auto forgetful = [](const Variable& a, const Variable& b) {
    return record("forgetful", a.value(), jointly({a, b}, [](const Variable& g) { return Variables{g}; }));
  };
  Tape tape;
  const Variable a = tape.watch(x), b = tape.watch(y);
  CHECK_THROWS_WITH(tape.backward(sum(forgetful(a, b))), Contains("1 gradients for 2 inputs"));
}

TEST_CASE("an op of several results has derivatives of every order, whichever of them are used",
          "[tape][several]") {
  const Tensor x = vector({0.5, -1.2, 2});
  const auto both = [](std::span<const Variable> in) {
    const auto [s, c] = sin_cos(in[0] * in[0]);
    return s * s * s + c * in[0];
  };
  const auto first = [](std::span<const Variable> in) { return square(sin_cos(in[0])[0]); };
  const auto second = [](std::span<const Variable> in) { return square(sin_cos(in[0])[1]); };
  const std::vector<GradcheckPart> parts{GradcheckPart::backward, GradcheckPart::grad, GradcheckPart::second,
                                         GradcheckPart::second_by_grad, GradcheckPart::jvp};
  for (const auto& f : {GradcheckFunction(both), GradcheckFunction(first), GradcheckFunction(second)}) {
    const GradcheckResult result = gradcheck(f, {x}, {.parts = parts});
    INFO(result.message);
    CHECK(result.passed);
    const GradcheckResult planted =
        gradcheck(f, {x}, {.parts = parts, .plant = PlantedError{.op = "sin_cos"}});
    for (std::size_t part = 0; part < gradcheck_parts; ++part) CHECK(planted.mismatches_in[part] > 0);
  }
}

TEST_CASE("a derivative with respect to one of several results is a partial one", "[tape][several]") {
  Tape tape;
  const Variable x = tape.watch(vector({0.5}));
  const auto [s, c] = sin_cos(x);
  const Variable y = sum(s * s * c);
  CHECK(grad(y, s).item() == Approx(2 * std::sin(0.5) * std::cos(0.5)));
  CHECK(grad(y, c).item() == Approx(std::sin(0.5) * std::sin(0.5)));
  const Variable slope = sum(grad(y, x));
  const double expected = 2 * std::sin(0.5) * std::pow(std::cos(0.5), 2) - std::pow(std::sin(0.5), 3);
  CHECK(slope.item() == Approx(expected));
  // A result wanted beside what it is made of: total derivatives.
  const std::vector<Variable> wanted{c, x};
  CHECK(grad(y, wanted)[1].item() == Approx(expected));
  // The loss may be any of the results, and the tape may be kept.
  const auto [a, b] = sin_cos(sum(x));
  CHECK(tape.backward(a, {.keep = true})[x].item() == Approx(std::cos(0.5)));
  CHECK(tape.backward(b, {.keep = true})[x].item() == Approx(-std::sin(0.5)));
  CHECK(tape.backward(y)[x].item() == Approx(expected));
}

TEST_CASE("several results of constants are constants, and an undefined one is refused", "[tape][several]") {
  const auto [before, without_tape] = sin_cos(Variable(vector({1})));
  CHECK(before.is_constant());
  Tape tape;
  const auto [s, c] = sin_cos(Variable(vector({1})));
  CHECK(s.is_constant());
  CHECK(c.is_constant());
  CHECK(tape.size() == 0);
  const Variable x = tape.watch(vector({1}));
  const auto nothing = [](std::span<const Tensor>, std::span<const bool>, std::span<Tensor>) {};
  CHECK_THROWS_WITH(record("half", std::array{x.value(), Tensor()}, jointly({x}, nothing)),
                    Contains("half") && Contains("undefined"));
  CHECK(tape.size() == 1);
  const auto too_many = [](std::span<const Variable>) { return Variables(2); };
  const auto once = record("twice", std::array{x.value(), x.value()}, jointly({x}, nothing, too_many));
  CHECK_THROWS_WITH(grad(sum(once[0]), x), Contains("twice") && Contains("2 gradients for 1 input"));
}

TEST_CASE("a printed tape names each of several results", "[diagnostics][several]") {
  Tape tape;
  const Variable x = tape.watch(vector({1, 2}));
  const auto [s, c] = sin_cos(x);
  const Variable y = s * c;
  const std::string text = tape.print();
  INFO(text);
  CHECK_THAT(text, Contains("#1      sin_cos[0](#0)") && Contains("#2      sin_cos[1](#0)") &&
                       Contains("mul(#1, #2)") && Contains("2 ops and 1 leaves"));
  CHECK(tape.size() == 4);
  CHECK_THAT(tape.dot(), Contains("sin_cos[1]"));
}

TEST_CASE("anomalies of an op of several results say which", "[diagnostics][anomaly][several]") {
  Tape tape({.check_finite = true});
  const Variable x = tape.watch(vector({1, 2}));
  const double infinity = std::numeric_limits<double>::infinity();
  const auto nothing = [](std::span<const Tensor>, std::span<const bool>, std::span<Tensor>) {};
  CHECK_THAT(error_of([&] {
               record("bad", std::array{x.value(), vector({infinity})}, jointly({x}, nothing));
             }),
             Contains("at several_results_test.cpp:") &&
                 Contains(": bad: the result (number 2 of 2) is not finite"));
  const auto [s, c] = sin_cos(x, infinity);
  const std::string text = error_of([&, &c = c] { tape.backward(sum(c)); });
  CHECK_THAT(text, Contains("the gradient of sin_cos") &&
                       Contains("the gradient of its result (number 1 of 2): undefined") &&
                       Contains("the gradient of its result (number 2 of 2): (2,) f64, values from 1 to 1") &&
                       Contains("its result (number 1 of 2): (2,) f64"));
}

TEST_CASE("transforms pass through an op of several results", "[transforms][several]") {
  const Variable x(vector({0.3, -0.7})), v(vector({1, 2}));
  const auto fused = [](const Variable& in) {
    const auto [s, c] = sin_cos(in);
    return sum(s * c * c);
  };
  const auto plain = [](const Variable& in) { return sum(sin(in) * cos(in) * cos(in)); };
  const auto close = [](const Variable& a, const Variable& b) {
    for (std::int64_t i = 0; i < b.size(); ++i) CHECK(a.value().at(i) == Approx(b.value().at(i)));
  };
  close(grad(fused, x), grad(plain, x));
  close(jvp(fused, x, v).second, jvp(plain, x, v).second);
  close(hvp(fused, x, v), hvp(plain, x, v));
  close(hessian(fused, x), hessian(plain, x));
  close(jacobian(fused, x, {.by = JacobianBy::columns}), jacobian(plain, x));
}

TEST_CASE("custom_vjp of several results", "[transforms][several]") {
  const auto f = [](std::span<const Variable> in) { return Variables{square(in[0]), in[0] * 3}; };
  // Ten times the true gradient.
  const auto gradient = [](std::span<const Variable> gs, std::span<const Variable> ys,
                           std::span<const Variable> in) {
    CHECK(ys.size() == 2);
    Variable sum = in[0] * 0;
    if (gs[0].value().defined()) sum = sum + gs[0] * in[0] * 20;
    if (gs[1].value().defined()) sum = sum + gs[1] * 30;
    return Variables{sum};
  };
  Tape tape;
  const Variable x = tape.watch(vector({2}));
  const Variables ys = custom_vjp(f, gradient, std::array{x});
  CHECK(ys[0].item() == 4);
  CHECK(ys[1].item() == 6);
  CHECK(grad(ys[0], x).item() == 40);
  CHECK(grad(ys[1], x).item() == 30);
  const Variable slope = grad(ys[0] * ys[1], x);
  CHECK(slope.item() == 6 * 40 + 4 * 30);
  CHECK(tape.backward(ys[0] + ys[1])[x].item() == 70);
}

TEST_CASE("the results of a checkpoint may be of several dtypes, and unused", "[checkpoint][several]") {
  int calls = 0;
  const auto f = [&](std::span<const Variable> in) {
    ++calls;
    return Variables{exp(in[0]), in[1] * in[1], Variable(ones({3}))};
  };
  Tape tape;
  const Variable x = tape.watch(vector({1, 2})), z = tape.watch(Tensor::of({3}));
  const Variables ys = checkpoint(f, std::array{x, z});
  CHECK(tape.size() == 5);
  CHECK(ys[1].dtype() == Dtype::f32);
  const Gradients gradients = tape.backward(sum(ys[1]));
  CHECK(gradients[z].item() == 6);
  CHECK_FALSE(gradients.contains(x));
  CHECK(calls == 2);
}

TEST_CASE("a sequence taken apart has gradients at a cost linear in its length", "[tape][several]") {
  const std::int64_t steps = 1000;
  Tape tape;
  const Variable x = tape.watch(full({steps, 2}, 0.5, Dtype::f64));
  Variable h(zeros({2}, Dtype::f64));
  for (const Variable& step : unstack(x)) h = h * 0.5 + square(step);
  const std::int64_t forward = tape.size();
  const Variable slope = grad(sum(h), x);
  // A node for each step's ops in the sweep, and one stack; no sum over the length in each step.
  CHECK(tape.size() - forward < 6 * steps);
  CHECK(slope.value().at(2 * steps - 1) == 1);
  const Tensor second = tape.backward(sum(square(slope)))[x];
  CHECK(second.at(2 * steps - 1) == Approx(4));
  CHECK(second.at(0) == Approx(0).margin(1e-12));
}
