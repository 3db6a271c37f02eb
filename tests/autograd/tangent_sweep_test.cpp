#include <array>
#include <cmath>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/record.hpp"
#include "autograd/tape.hpp"
#include "autograd/transforms.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "tests/support/catch.hpp"

// Tangents of every op, forward and by two reverse sweeps, are compared in sweep_test.cpp.

using namespace gradus;

namespace {

Variable normal(Rng& rng, const Shape& shape) {
  return Variable(rng.normal(shape, 0, 1, Dtype::f64));
}

/// x, noting what its closure is called with: a tangent on the way forward, zeros on the way back.
struct Noted {
  int calls = 0;
  Tensor last = {};
  Variable operator()(const Variable& x) {
    return record("noted", x.value(), wrt(x, broadcasting([this](const Variable& g) {
                                            ++calls;
                                            last = g.value();
                                            return g;
                                          })));
  }
};

double largest(const Variable& x) {
  return max(abs(x.value())).item();
}

}  // namespace

TEST_CASE("through ops that work element by element a tangent goes forward, once", "[transforms][tangent]") {
  Rng rng(1);
  const Variable x = normal(rng, {3, 4}), tangent = normal(rng, {3, 4});
  Noted noted;
  const auto [y, product] = jvp([&](const Variable& at) { return exp(noted(at)) * at; }, x, tangent);
  CHECK(noted.calls == 1);
  CHECK(identical(noted.last, tangent.value()));
  CHECK(largest(product - exp(x) * (x + 1) * tangent) < 1e-12);
  // By two reverse sweeps where another op is on the way, with the same result.
  const Variable total = jvp([&](const Variable& at) { return sum(exp(noted(at)) * at); }, x, tangent).second;
  CHECK(max(abs(noted.last)).item() == 0);
  CHECK(std::abs(total.item() - sum(product).item()) < 1e-12);
}

TEST_CASE("tangents of inputs that broadcast have the shape of the result", "[transforms][tangent]") {
  Rng rng(2);
  for (const auto& [a, b] : {std::pair(Shape{3, 1}, Shape{4}), std::pair(Shape{}, Shape{2, 3}),
                             std::pair(Shape{1}, Shape{1, 1, 2}), std::pair(Shape{0, 2}, Shape{2})}) {
    INFO(a << " and " << b);
    const std::array xs{normal(rng, a), normal(rng, b)}, tangents{normal(rng, a), normal(rng, b)};
    const auto f = [](std::span<const Variable> in) { return in[0] * sin(in[1]) - in[0]; };
    const auto [y, product] = jvp(f, xs, tangents);
    CHECK(product.shape() == y.shape());
    const Variable expected = tangents[0] * (sin(xs[1]) - 1) + xs[0] * cos(xs[1]) * tangents[1];
    if (y.size() > 0) CHECK(largest(product - expected) < 1e-12);
    // An input whose tangent alone reaches an operand that broadcasts.
    const auto g = [&](const Variable& in) { return in + xs[1]; };
    CHECK(jvp(g, xs[0], tangents[0]).second.shape() == y.shape());
  }
}

TEST_CASE("what the result does not depend on does not count", "[transforms][tangent]") {
  Rng rng(3);
  const Variable x = normal(rng, {3}), tangent = normal(rng, {3});
  Noted noted;
  CHECK(largest(jvp([&](const Variable&) { return x * 2; }, x, tangent).second) == 0);
  CHECK(largest(jvp([&](const Variable& at) { return stop_gradient(at) * 2; }, x, tangent).second) == 0);
  // A constant made by another op, and an argument that is not used.
  const std::array xs{x, normal(rng, {2})}, tangents{tangent, normal(rng, {2})};
  const auto f = [&](std::span<const Variable> in) { return noted(in[0]) * sum(x); };
  CHECK(largest(jvp(f, xs, tangents).second - tangent * sum(x)) < 1e-12);
  CHECK(noted.calls == 1);
  // The result is an argument, or was on the tape before.
  CHECK(identical(jvp([](const Variable& at) { return at; }, x, tangent).second.value(), tangent.value()));
  const Parameter p(x.value());
  Tape tape;
  const Variable captured = p * 2, other = p * 3;
  CHECK(identical(jvp([&] { return captured; }, captured, tangent).second.value(), tangent.value()));
  CHECK(largest(jvp([&] { return other; }, captured, tangent).second) == 0);
}

TEST_CASE("a tangent that nothing needs any more is freed on the way", "[transforms][tangent]") {
  Tensor kept;
  bool freed = false;
  const auto keep = [&](const Variable& x) {
    return record("keep", x.value(), wrt(x, broadcasting([&](const Variable& g) {
                                           kept = g.value();
                                           return g;
                                         })));
  };
  const auto look = [&](const Variable& x) {
    return record("look", x.value(), wrt(x, broadcasting([&](const Variable& g) {
                                           const double* const before = kept.data<double>();
                                           freed =
                                               kept.mutable_data<double>() == before;  // else it is shared
                                           return g;
                                         })));
  };
  const Variable x(ones({1000}, Dtype::f64));
  const Variable product = jvp([&](const Variable& at) { return look(keep(at * 2) * 3); }, x, x).second;
  CHECK(freed);
  CHECK(identical(product.value(), 6 * ones({1000}, Dtype::f64)));
}

TEST_CASE("tangents that go forward are differentiated, forward and in reverse", "[transforms][tangent]") {
  const auto f = [](const Variable& x) { return sin(x) * x * x; };
  const Variable x(Tensor::scalar(0.7, Dtype::f64)), one(Tensor::scalar(1, Dtype::f64));
  const auto first = [&](const Variable& at) { return jvp(f, at, one).second; };
  const auto second = [&](const Variable& at) { return jvp(first, at, one).second; };
  const double s = std::sin(0.7), c = std::cos(0.7), at = 0.7;
  CHECK(first(x).item() == Approx(c * at * at + 2 * s * at).epsilon(1e-14));
  const double expected = -s * at * at + 4 * c * at + 2 * s;
  CHECK(second(x).item() == Approx(expected).epsilon(1e-14));
  CHECK(grad(first, x).item() == Approx(expected).epsilon(1e-14));
  const double third = -c * at * at - 6 * s * at + 6 * c;
  CHECK(jvp(second, x, one).second.item() == Approx(third).epsilon(1e-14));
  CHECK(grad(second, x).item() == Approx(third).epsilon(1e-14));
  // Of a parameter, on a tape.
  Parameter p(Tensor::scalar(0.7, Dtype::f64));
  Tape tape;
  const Variable loss = jvp(f, p, one).second;
  CHECK(tape.backward(loss)[p].item() == Approx(expected).epsilon(1e-14));
}

TEST_CASE("a captured parameter's tangent goes forward, of one listed twice both", "[transforms][tangent]") {
  const Parameter p(Tensor::scalar(2, Dtype::f64));
  const std::array<Variable, 2> both{p, p};
  const std::array tangents{Variable(Tensor::scalar(1, Dtype::f64)),
                            Variable(Tensor::scalar(0.5, Dtype::f64))};
  CHECK(jvp([&] { return p * p; }, std::array<Variable, 1>{p}, std::array{tangents[0]}).second.item() == 4);
  CHECK(jvp([&] { return p * p; }, both, tangents).second.item() == 6);
}
