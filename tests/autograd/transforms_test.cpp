#include "autograd/transforms.hpp"

#include <array>
#include <cmath>
#include <optional>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/cross_entropy.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/matmul.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/ops/softmax.hpp"
#include "autograd/record.hpp"
#include "nn/linear.hpp"
#include "nn/lstm.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "tests/support/catch.hpp"

using namespace gradus;
using Catch::Contains;

namespace {

Variable number(double x) {
  return Variable(Tensor::scalar(x, Dtype::f64));
}
Variable vector(std::initializer_list<double> values) {
  return Variable(Tensor::of(values, Dtype::f64));
}
Variable normal(Rng& rng, const Shape& shape) {
  return Variable(rng.normal(shape, 0, 1, Dtype::f64));
}

/// The largest difference of two tensors of one shape, relative to the largest element.
double difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  double off = 0, largest = 1e-300;
  for (std::int64_t i = 0; i < a.size(); ++i) {
    off = std::max(off, std::abs(a.at(i) - b.at(i)));
    largest = std::max(largest, std::abs(b.at(i)));
  }
  return off / largest;
}
double difference(const Variable& a, const Variable& b) {
  return difference(a.value(), b.value());
}

/// A function of all kinds of ops from (3) to (4).
Variable mixed(const Variable& x) {
  const Variable a(
      Tensor::of({1, -2, 0.5, 0.3, 1, 2, -1, 0.7, 0.2, 1.5, -0.4, 0.9}, Dtype::f64).reshape({4, 3}));
  return log_softmax(tanh(matmul(a, x)) * (1 + sum(x * x))) +
         cross_entropy(x, Indices(std::vector<std::int32_t>{1}, {}));
}

/// The mean logistic loss of weights w (n), of fixed examples x (m, n) and labels y (m) of 1 or -1.
struct Logistic {
  Variable x, y;
  Logistic(std::int64_t m, std::int64_t n) {
    Rng rng(3);
    x = normal(rng, {m, n});
    y = Variable(sign(rng.normal({m}, 0, 1, Dtype::f64)));
  }
  Variable operator()(const Variable& w) const { return mean(log1p(exp(-(y * matmul(x, w))))); }
  /// X^T diag(s (1 - s)) X / m, in closed form.
  Tensor hessian(const Tensor& w) const {
    const Tensor s = sigmoid(matmul(x.value(), w));
    const Tensor weights = (s * (1 - s) / static_cast<double>(x.dim(0))).reshape({x.dim(0), 1});
    return matmul(x.value(), x.value() * weights, {.transpose_a = true});
  }
};

/// Central differences of fourth order of f along v.
Tensor along(const std::function<Variable(const Variable&)>& f, const Tensor& x, const Tensor& v) {
  const double h = 1e-3;
  const auto at = [&](double t) { return f(Variable(x + v * t)).value(); };
  return (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
}

}  // namespace

TEST_CASE("grad and value_and_grad of a function, with no tape and with one", "[transforms]") {
  const auto f = [](const Variable& x) { return sum(sin(x) * x); };
  const Variable x = vector({0.5, -1.2, 2});
  const Tensor expected = sin(x.value()) + x.value() * cos(x.value());
  const auto [y, g] = value_and_grad(f, x);
  CHECK(y.item() == Approx(f(x).item()));
  CHECK(difference(g.value(), expected) < 1e-14);
  CHECK(g.is_constant());
  CHECK(y.is_constant());
  CHECK(identical(grad(f, x).value(), g.value()));
  Tape tape;
  const Variable watched = tape.watch(x.value()), recorded = grad(f, watched);
  CHECK_FALSE(recorded.is_constant());
  const Tensor second = tape.backward(sum(recorded))[watched];
  CHECK(difference(second, 2 * cos(x.value()) - x.value() * sin(x.value())) < 1e-14);
}

TEST_CASE("a function of several arguments has a gradient for each", "[transforms]") {
  const Variable a = vector({1, 2, 3}), b = number(0.5), unused = vector({7});
  const auto f = [](std::span<const Variable> x) { return sum(x[0] * x[0] * x[1]); };
  const std::array arguments{a, b, unused};
  const Variables gs = grad(f, arguments);
  CHECK(gs[0].value().text() == "[1, 2, 3]");
  CHECK(gs[1].item() == 14);
  CHECK(gs[2].value().text() == "[0]");
  const auto [y, product] = vjp(f, arguments, number(2));
  CHECK(y.item() == 7);
  CHECK(product[1].item() == 28);
}

TEST_CASE("an argument is a fresh variable: no perturbation confusion", "[transforms]") {
  // d/dx (x * d/dy (x + y)) = 1, not 2
  const auto f = [](const Variable& x) { return x * grad([&](const Variable& y) { return x + y; }, x); };
  CHECK(grad(f, number(3)).item() == 1);
  // The same argument twice: partial derivatives of x y at x = y.
  const Variable x = number(3);
  const auto product = [](std::span<const Variable> in) { return in[0] * in[1]; };
  const std::array twice{x, x};
  const Variables gs = grad(product, twice);
  CHECK(gs[0].item() == 3);
  CHECK(gs[1].item() == 3);
  // One argument that depends on the other.
  Tape tape;
  const Variable watched = tape.watch(x.value());
  const std::array dependent{watched, watched * 2};
  CHECK(grad(product, dependent)[0].item() == 6);
}

TEST_CASE("grad of grad of grad, of tapes made for the call and of an active one", "[transforms]") {
  const auto third = [](const Variable& x) {
    return grad(
        [](const Variable& a) {
          return grad([](const Variable& b) { return grad([](const Variable& c) { return sin(c * c); }, b); },
                      a);
        },
        x);
  };
  // f = sin(x^2), f''' = -12 x sin(x^2) - 8 x^3 cos(x^2)
  const double x = 0.7, expected = -12 * x * std::sin(x * x) - 8 * x * x * x * std::cos(x * x);
  CHECK(third(number(x)).item() == Approx(expected).epsilon(1e-13));
  Tape tape;
  CHECK(third(number(x)).item() == Approx(expected).epsilon(1e-13));
}

TEST_CASE("what f captured gets its gradient from an outer tape", "[transforms]") {
  const Parameter p(Tensor::scalar(3, Dtype::f64));
  const auto f = [&](const Variable& x) { return p * x * x; };
  CHECK(grad(f, number(2)).item() == 12);  // no tape: p is a constant
  Tape tape;
  const Variable g = grad(f, number(2));
  CHECK(tape.backward(g)[p].item() == 4);
}

TEST_CASE("an f without arguments is differentiated with respect to what it captured", "[transforms]") {
  Rng rng(1);
  nn::Linear layer(rng, 3, 2);
  convert(layer, Dtype::f64);
  const Variable x = normal(rng, {5, 3});
  const auto loss = [&] { return mean(square(tanh(layer(x)))); };
  const Variables weights = parameters(layer);
  const Variables gs = grad(loss, weights);
  Tape tape;
  const Variable y = loss();
  const Variables on_tape = grad(loss, weights);
  const Gradients reference = tape.backward(y, {.keep = true});
  CHECK(difference(gs[0].value(), reference[layer.weight]) < 1e-14);
  CHECK(difference(gs[1].value(), reference[layer.bias]) < 1e-14);
  CHECK(identical(gs[0].value(), on_tape[0].value()));
  const Variables twice{layer.weight, layer.weight};
  const Variables both = grad(loss, twice);
  CHECK(identical(both[0].value(), gs[0].value()));
  CHECK(identical(both[1].value(), gs[0].value()));
  CHECK_THROWS_WITH(hvp(loss, weights, Variables(2)), Contains("undefined"));
  CHECK_THROWS_WITH(grad(loss, x), Contains("constant") && Contains("transforms_test.cpp"));
}

TEST_CASE("a captured parameter that is listed twice has its gradient twice", "[transforms]") {
  const Parameter p(Tensor::of({1, 2}, Dtype::f64)), q(Tensor::of({3, 4}, Dtype::f64));
  const std::array listed{Variable(p), Variable(q), Variable(p)};
  const Variables gs = grad([&] { return sum(p * p * q); }, listed);
  CHECK(gs[0].value().text() == "[6, 16]");  // 2 p q
  CHECK(gs[1].value().text() == "[1, 4]");
  CHECK(gs[2].value().text() == "[6, 16]");
}

TEST_CASE("vjp and jvp are products with one jacobian", "[transforms]") {
  Rng rng(2);
  const Variable x = normal(rng, {3}), seed = normal(rng, {4}), tangent = normal(rng, {3});
  const auto [y, left] = vjp(mixed, x, seed);
  const auto [z, right] = jvp(mixed, x, tangent);
  CHECK(identical(y.value(), mixed(x).value()));
  CHECK(identical(z.value(), y.value()));
  CHECK(sum(left * tangent).item() == Approx(sum(right * seed).item()).epsilon(1e-13));
  CHECK(difference(right.value(), along(mixed, x.value(), tangent.value())) < 1e-9);
  const Variable rows = jacobian(mixed, x, {.by = JacobianBy::rows});
  const Variable columns = jacobian(mixed, x, {.by = JacobianBy::columns});
  CHECK(rows.shape() == Shape{4, 3});
  CHECK(difference(rows, columns) < 1e-14);
  CHECK(difference(matmul(seed, rows), left) < 1e-14);
  CHECK(difference(matmul(rows, tangent), right) < 1e-14);
}

TEST_CASE("jvp passes through an op with a joint gradient, and several arguments", "[transforms]") {
  Rng rng(4);
  const nn::Lstm lstm = [&] {
    nn::Lstm made(rng, 2, 3);
    convert(made, Dtype::f64);
    return made;
  }();
  const auto f = [&](const Variable& x) { return lstm(x, lstm.start(2)).first; };
  const Variable x = normal(rng, {4, 2, 2}), tangent = normal(rng, {4, 2, 2});
  CHECK(difference(jvp(f, x, tangent).second.value(), along(f, x.value(), tangent.value())) < 1e-8);
  const auto g = [](std::span<const Variable> in) { return in[0] * exp(in[1]); };
  const std::array at{vector({1, 2}), number(0.3)}, along_both{vector({0.5, -1}), number(2)};
  const auto [y, product] = jvp(g, at, along_both);
  CHECK(product.value().at(0) == Approx(0.5 * std::exp(0.3) + 2 * std::exp(0.3)));
  CHECK(product.value().at(1) == Approx(-std::exp(0.3) + 2 * 2 * std::exp(0.3)));
}

TEST_CASE("transforms nest in each other", "[transforms]") {
  Rng rng(5);
  const Variable x = normal(rng, {3}), v = normal(rng, {3}), seed = normal(rng, {4});
  const auto f = [&](const Variable& in) { return sum(mixed(in) * seed); };
  const Variable expected = hvp(f, x, v);
  // forward over reverse, reverse over forward, and the row of a jacobian
  const auto slope = [&](const Variable& in) { return grad(f, in); };
  CHECK(difference(jvp(slope, x, v).second, expected) < 1e-13);
  CHECK(difference(grad([&](const Variable& in) { return jvp(f, in, v).second; }, x), expected) < 1e-13);
  CHECK(difference(matmul(jacobian(slope, x, {.by = JacobianBy::columns}), v), expected) < 1e-13);
  CHECK(difference(matmul(hessian(f, x), v), expected) < 1e-13);
  CHECK(difference(expected.value(), along(slope, x.value(), v.value())) < 1e-8);
  // and differentiate: the gradient of v^T H v by differences
  const auto curvature = [&](const Variable& in) { return sum(hvp(f, in, v) * v); };
  const Variable w = normal(rng, {3});
  CHECK(sum(grad(curvature, x) * w).item() ==
        Approx(along(curvature, x.value(), w.value()).item()).epsilon(1e-7));
  const auto trace = [&](const Variable& in) { return sum(jacobian(mixed, in)); };
  CHECK(sum(grad(trace, x) * w).item() == Approx(along(trace, x.value(), w.value()).item()).epsilon(1e-7));
  const auto of_hessian = [&](const Variable& in) { return sum(square(hessian(f, in))); };
  CHECK(sum(grad(of_hessian, x) * w).item() ==
        Approx(along(of_hessian, x.value(), w.value()).item()).epsilon(1e-7));
}

TEST_CASE("several seeds and tangents in one call", "[transforms]") {
  Rng rng(6);
  const Variable x = normal(rng, {3}), seeds = normal(rng, {5, 4}), tangents = normal(rng, {2, 3});
  const Variable matrix = jacobian(mixed, x);
  int calls = 0;
  const auto counted = [&](const Variable& in) {
    ++calls;
    return mixed(in);
  };
  CHECK(difference(vjps(counted, x, seeds), matmul(seeds, matrix)) < 1e-13);
  CHECK(calls == 1);
  CHECK(difference(jvps(counted, x, tangents), matmul(tangents, matrix, {.transpose_b = true})) < 1e-13);
  CHECK(vjps(mixed, x, Variable(zeros({0, 4}, Dtype::f64))).shape() == Shape{0, 3});
  CHECK_THROWS_WITH(vjps(mixed, x, normal(rng, {4})), Contains("(4,)") && Contains("one axis more"));
  Tape tape;
  const Variable on = tape.watch(x.value());
  CHECK(difference(vjps(mixed, on, seeds), matmul(seeds, matrix)) < 1e-13);
}

TEST_CASE("jacobians of every pair of ranks, and of empty tensors", "[transforms]") {
  Rng rng(7);
  const auto outer = [](const Variable& x) { return reshape(x, {x.size(), 1}) * reshape(x, {1, x.size()}); };
  for (const JacobianBy by : {JacobianBy::rows, JacobianBy::columns, JacobianBy::shape}) {
    const Variable j = jacobian(outer, vector({2, 3}), {.by = by});
    CHECK(j.shape() == Shape{2, 2, 2});
    CHECK(j.value().text() == "[[[4, 0], [3, 2]], [[3, 2], [0, 6]]]");
    CHECK(jacobian([](const Variable& x) { return sum(x); }, normal(rng, {2, 3}), {.by = by}).shape() ==
          Shape{2, 3});
    CHECK(jacobian(
              [](const Variable& x) {
                return x * vector({1, 2});
              },
              number(2), {.by = by})
              .value()
              .text() == "[1, 2]");
    CHECK(jacobian([](const Variable& x) { return x; }, vector({}), {.by = by}).shape() == Shape{0, 0});
    // f that does not depend on x
    CHECK(jacobian(
              [](const Variable&) {
                return vector({1, 2, 3});
              },
              vector({1, 2}), {.by = by})
              .value()
              .text() == "[[0, 0], [0, 0], [0, 0]]");
    // the identity
    CHECK(jacobian([](const Variable& x) { return x; }, vector({5, 6}), {.by = by}).value().text() ==
          "[[1, 0], [0, 1]]");
  }
}

TEST_CASE("the jacobian of a 3000 x 28 map equals its closed form", "[transforms]") {
  Rng rng(8);
  const Variable a = normal(rng, {3000, 28}), x = normal(rng, {28});
  const auto f = [&](const Variable& in) { return tanh(matmul(a, in)); };
  const Tensor y = f(x).value();
  const Tensor expected = a.value() * (1 - square(y)).reshape({3000, 1});
  CHECK(difference(jacobian(f, x).value(), expected) < 1e-14);
}

TEST_CASE("the hessian of a logistic loss of 100 weights equals its closed form", "[transforms]") {
  const Logistic loss(200, 100);
  Rng rng(9);
  const Variable w = normal(rng, {100}), v = normal(rng, {100});
  const Tensor expected = loss.hessian(w.value());
  CHECK(difference(hessian(loss, w).value(), expected) < 1e-12);
  CHECK(difference(hvp(loss, w, v).value(), matmul(expected, v.value())) < 1e-12);
}

TEST_CASE("the hessian of several arguments in blocks", "[transforms]") {
  const auto f = [](std::span<const Variable> in) { return sum(in[0] * in[0]) * in[1] * in[1]; };
  const std::array at{vector({1, 2}), number(3)};
  const auto blocks = hessian(f, at);
  CHECK(blocks[0][0].value().text() == "[[18, 0], [0, 18]]");
  CHECK(blocks[0][1].value().text() == "[12, 24]");
  CHECK(blocks[1][0].value().text() == "[12, 24]");
  CHECK(blocks[1][1].item() == 10);
}

TEST_CASE("1000 steps of gradient descent, differentiated", "[transforms]") {
  // The loss sum(a (w - c)^2) / 2: each step is w - rate a (w - c), so w_T = c + (1 - rate a)^T (w_0 - c).
  const Variable a = vector({0.5, 1, 2}), c = vector({1, -1, 3});
  const int steps = 1000;
  const auto trained = [&](std::span<const Variable> in) {  // w_0, rate
    Variable w = in[0];
    for (int i = 0; i < steps; ++i)
      w = w - in[1] * grad([&](const Variable& at) { return sum(a * square(at - c)) * 0.5; }, w);
    return sum(w);
  };
  const double rate = 1e-3;
  const std::array at{vector({4, 4, 4}), number(rate)};
  const Variables gs = grad(trained, at);
  double by_rate = 0;
  for (int i = 0; i < 3; ++i) {
    const double ai = a.value().at(i), shrink = std::pow(1 - rate * ai, steps);
    CHECK(gs[0].value().at(i) == Approx(shrink).epsilon(1e-10));
    by_rate -= steps * ai * shrink / (1 - rate * ai) * (4 - c.value().at(i));
  }
  CHECK(gs[1].item() == Approx(by_rate).epsilon(1e-10));
}

TEST_CASE("a nested minimisation: min over x of max over y, the inner loop differentiated", "[transforms]") {
  // f(x, y) = x^2 / 2 + x y b - y^2 / 2 has y*(x) = b x, so max_y f = (1 + b^2) x^2 / 2.
  const double b = 1.5;
  const auto inner = [&](const Variable& x) {
    const auto f = [&](const Variable& y) { return square(x) * 0.5 + x * y * b - square(y) * 0.5; };
    Variable y = number(0);
    for (int i = 0; i < 100; ++i) y = y + 0.5 * grad(f, y);
    return f(y);
  };
  CHECK(grad(inner, number(2)).item() == Approx((1 + b * b) * 2).epsilon(1e-12));
  CHECK(grad([&](const Variable& at) { return grad(inner, at); }, number(2)).item() ==
        Approx(1 + b * b).epsilon(1e-12));
  Variable x = number(2);
  for (int i = 0; i < 60; ++i) x = x - 0.2 * grad(inner, x);
  CHECK(std::abs(x.item()) < 1e-9);
}

TEST_CASE("a sweep costs what lies between, not the whole tape", "[transforms]") {
  // 3000 nested gradients on one growing tape: quadratic cost would be 3000 times 45,000 nodes a sweep.
  Tape tape;
  Variable w = tape.watch(Tensor::scalar(1, Dtype::f64));
  const std::int64_t before = tape.size();
  w = w - 0.01 * grad([](const Variable& x) { return x * x; }, w);
  const std::int64_t each = tape.size() - before;
  for (int i = 1; i < 3000; ++i) w = w - 0.01 * grad([](const Variable& x) { return x * x; }, w);
  CHECK(tape.size() == before + 3000 * each);
  CHECK(each <= 8);  // lean: an identity, the square, its two products and their sum, the step
  CHECK(w.item() == Approx(std::pow(0.98, 3000)));
}

TEST_CASE("stop_gradient ends every derivative", "[transforms]") {
  const auto f = [](const Variable& x) { return stop_gradient(x * x) * x; };
  CHECK(grad(f, number(3)).item() == 9);
  CHECK(jvp(f, number(3), number(1)).second.item() == 9);
  CHECK(hvp(f, number(3), number(1)).item() == 0);
}

TEST_CASE("custom_vjp gives a function another gradient, of every order", "[transforms]") {
  // x y with gradients that are told apart from the true ones by factors of 10 and 100
  int calls = 0;
  const auto f = [&](const Variable& x, const Variable& y) {
    const std::array in{x, y};
    return custom_vjp([](std::span<const Variable> v) { return v[0] * v[1]; },
                      [&](const Variable& g, const Variable& z, std::span<const Variable> v) {
                        ++calls;
                        return Variables{10 * g * v[1], 100 * g * z / v[1]};
                      },
                      in);
  };
  const Variable y = number(5);
  CHECK(grad([&](const Variable& x) { return f(x, y); }, number(2)).item() == 50);
  CHECK(calls == 1);
  CHECK(grad([&](const Variable& v) { return f(number(2), v); }, y).item() == 200);
  CHECK(jvp([&](const Variable& x) { return f(x, y); }, number(2), number(3)).second.item() == 150);
  // The second derivative is that of the rule: 100 z / y with z's own rule, d/dx = 10 y.
  const auto by_y = [&](const Variable& x) { return grad([&](const Variable& v) { return f(x, v); }, y); };
  CHECK(grad(by_y, number(2)).item() == Approx(1000));
  const auto wrong = [](const Variable& x) {
    return custom_vjp([](std::span<const Variable> v) { return v[0] * 2; },
                      [](const Variable&, const Variable&, std::span<const Variable>) { return Variables{}; },
                      {&x, 1});
  };
  CHECK_THROWS_WITH(grad(wrong, number(1)), Contains("custom_vjp") && Contains("0 Variables for 1"));
}

TEST_CASE("custom_vjp says which of what its function uses would get no gradient", "[transforms]") {
  const Parameter scale(Tensor::of({2, 3}));
  const auto identity = [](const Variable& g, const Variable&, std::span<const Variable>) {
    return Variables{g};
  };
  const auto scaled_by = [&](const Variable& s) {
    return [&](std::span<const Variable> v) { return v[0] * s; };
  };
  Tape tape;
  const Variable x = tape.watch(Tensor::of({5, 7})), other = x * 2;
  CHECK_THROWS_WITH(custom_vjp(scaled_by(scale), identity, std::array{x}),
                    Contains("custom_vjp") && Contains("shape (2,)") && Contains("make it an argument"));
  CHECK_THROWS_AS(custom_vjp(scaled_by(other), identity, std::array{x}), TapeError);
  CHECK_THROWS_AS(
      custom_vjp([&](std::span<const Variable>) -> Variable { return scale; }, identity, std::array{x}),
      TapeError);
  const Variable detached = detach(scale);
  CHECK(tape.backward(sum(custom_vjp(scaled_by(detached), identity, std::array{x})))[x].text() == "[1, 1]");
  const Tape fresh;
  const Variable both = custom_vjp([](std::span<const Variable> v) { return v[0] * v[1]; },
                                   [](const Variable& g, const Variable&, std::span<const Variable> v) {
                                     return Variables{g * v[1], g * v[0]};
                                   },
                                   std::array<Variable, 2>{Variable(Tensor::of({5, 7})), scale});
  CHECK(both.value().text() == "[10, 21]");
}

TEST_CASE("errors of transforms name the place, both shapes and the remedy", "[transforms]") {
  const Variable x = vector({1, 2, 3});
  const auto f = [](const Variable& in) { return in * in; };
  CHECK_THROWS_WITH(grad(f, x), Contains("at transforms_test.cpp:") && Contains(": grad: ") &&
                                    Contains("(3,)") && Contains("sum"));
  CHECK_THROWS_WITH(hvp(f, x, x),
                    Contains("at transforms_test.cpp:") && Contains(": hvp: ") && Contains("jacobian"));
  CHECK_THROWS_WITH(vjp(f, x, vector({1, 2})), Contains("at transforms_test.cpp:") && Contains(": vjp: ") &&
                                                   Contains("(2,)") && Contains("(3,)"));
  CHECK_THROWS_WITH(jvp(f, x, vector({1, 2})), Contains("at transforms_test.cpp:") && Contains(": jvp: ") &&
                                                   Contains("(2,)") && Contains("(3,)"));
  CHECK_THROWS_AS(jvp(f, x, Variable(ones({3}))), DtypeError);
  // So many tangents as arguments.
  const auto product = [](std::span<const Variable> in) { return sum(in[0] * in[1]); };
  const Variables two(2, x), three(3, x);
  CHECK_THROWS_WITH(jvp(product, two, three),
                    Contains("at transforms_test.cpp:") && Contains(": jvp: 3 tangents for 2 arguments"));
  CHECK_THROWS_WITH(hvp(product, two, std::array{x}), Contains(": hvp: 1 vectors for 2 arguments"));
  CHECK_THROWS_WITH(jvps(product, two, three), Contains(": jvps: 3 tangents for 2 arguments"));
  CHECK_THROWS_AS(grad([](const Variable&) { return Variable(); }, x), ArgumentError);
  const auto once = [](const Variable& in) {
    return record("only_once", in.value() * 2, wrt(in, [](const Tensor& g) { return g * 2; }));
  };
  CHECK(vjp(once, x, x).second.value().text() == "[2, 4, 6]");  // the first order needs no second
  CHECK_THROWS_WITH(jvp(once, x, x), Contains("only_once") && Contains("transforms_test.cpp"));
  // What f leaves active is not what it was recorded on.
  std::optional<Tape> left;
  std::optional<PauseRecording> paused;
  const auto leaves_tape = [&](const Variable& in) {
    const Variable y = sum(in * in);
    left.emplace();
    return y;
  };
  const auto leaves_pause = [&](const Variable& in) {
    const Variable y = sum(in * in);
    paused.emplace();
    return y;
  };
  CHECK_THROWS_WITH(grad(leaves_tape, x),
                    Contains("at transforms_test.cpp:") && Contains(": grad: ") && Contains("still lives"));
  left.reset();
  CHECK_THROWS_WITH(grad(leaves_pause, x), Contains("still lives"));
  paused.reset();
  {
    Tape tape;
    const Variable watched = tape.watch(Tensor::of({1, 2}));
    const auto consumes = [&](const Variable&) {
      tape.backward(sum(watched));
      return sum(tape.watch(Tensor::of({3})));
    };
    CHECK_THROWS_WITH(grad(consumes, watched), Contains("consumed the tape"));
  }
  // An error leaves everything usable, and no tape active.
  CHECK((x * x).is_constant());
  CHECK_THROWS_AS(grad([](const Variable&) -> Variable { throw NumericError("mine"); }, x), NumericError);
  CHECK(sum(grad([](const Variable& in) { return sum(in); }, x)).item() == 3);
}

TEST_CASE("f32 arguments have f32 derivatives", "[transforms]") {
  const Variable x(Tensor::of({0.5, 1.5}));
  CHECK(hessian([](const Variable& in) { return sum(exp(in)); }, x).dtype() == Dtype::f32);
  CHECK(jvp([](const Variable& in) { return exp(in); }, x, x).second.dtype() == Dtype::f32);
}
