#include <array>

#include "autograd/elementwise.hpp"
#include "autograd/gradcheck.hpp"
#include "autograd/ops/activations.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "autograd/transforms.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "tests/support/catch.hpp"

using namespace gradus;

namespace {

constexpr auto polar = [](auto x, auto y) { return std::array{sqrt(x * x + y * y), atan2(y, x)}; };

/// A cell's new output and state, of its four gates' parts by input and state, which are added up, and the
/// state.
constexpr auto lstm = [](auto i, auto f, auto g, auto o, auto c, auto hi, auto hf, auto hg, auto ho,
                         auto bias) {
  const auto next = sigmoid(f + hf + bias) * c + sigmoid(i + hi) * tanh(g + hg);
  return std::array{sigmoid(o + ho) * tanh(next), next};
};

Variable joined(const std::array<Variable, 2>& results) {
  return concat({flatten(results[0]), flatten(results[1])}, 0);
}
double difference(const Variable& a, const Variable& b) {
  return max(abs(a.value() - b.value())).item();
}

/// gradcheck of the sum of any of the three results, (3, 2), of a function of two operands.
void check_each_use(const auto& f, const std::vector<Tensor>& inputs) {
  for (int used = 1; used < 8; ++used) {
    const GradcheckResult result = gradcheck(
        [&](std::span<const Variable> in) {
          const auto all = elementwise(f, in[0], in[1]);
          Variable out(zeros({3, 2}, Dtype::f64));
          for (std::size_t k = 0; k < 3; ++k)
            if ((used >> k & 1) != 0) out = out + all[k];
          return out;
        },
        inputs);
    INFO(used << ": " << result.message);
    CHECK(result.passed);
  }
}

}  // namespace

TEST_CASE("a function of several results gives each, on Variables, Tensors and within another",
          "[elementwise]") {
  Rng rng(1);
  const Variable x(rng.uniform({4, 3}, 0.5, 2, Dtype::f64)), y(rng.uniform({3}, 0.5, 2, Dtype::f64));
  const auto [radius, angle] = elementwise(polar, x, y);
  CHECK(radius.shape() == Shape{4, 3});
  CHECK(difference(radius, hypot(x, y)) < 1e-15);
  CHECK(difference(angle, atan2(broadcast_to(y, {4, 3}), x)) < 1e-15);

  const std::array<Tensor, 2> plain = elementwise(polar, x.value(), 2);
  CHECK(difference(Variable(plain[0]), hypot(x, 2)) < 1e-15);

  const auto back = [](auto a, auto b) {
    const auto p = polar(a, b);
    return std::array{p[0] * cos(p[1]), p[0] * sin(p[1])};
  };
  const auto [a, b] = elementwise(back, x, y);
  CHECK(difference(a, x) < 1e-15);
  CHECK(difference(b, broadcast_to(y, {4, 3})) < 1e-15);

  // Results that are an operand, a number, or one twice.
  const auto simple = [](auto v) { return std::array{v, 0 * v + 3, v * v, v * v}; };
  const auto all = elementwise(simple, x);
  CHECK(identical(all[0].value(), x.value()));
  CHECK(identical(all[1].value(), full({4, 3}, 3, Dtype::f64)));
  CHECK(identical(all[2].value(), all[3].value()));
}

TEST_CASE("the gradients of several results are right, to second order, whichever of them are used",
          "[elementwise][gradient]") {
  Rng rng(2);
  const auto check = [](const auto& f, const std::vector<Tensor>& inputs) {
    const GradcheckResult result = gradcheck(f, inputs);
    INFO(result.message);
    CHECK(result.passed);
  };
  for (const auto& [left, right] : {std::pair<Shape, Shape>{{3, 2}, {3, 2}},
                                    {{3, 2}, {2}},
                                    {{3, 1}, {1, 2}},
                                    {{}, {4}},
                                    {{0}, {1}},
                                    {{}, {}}}) {
    const std::vector<Tensor> inputs{rng.uniform(left, 0.5, 2, Dtype::f64),
                                     rng.uniform(right, 0.5, 2, Dtype::f64)};
    check([](std::span<const Variable> in) { return joined(elementwise(polar, in[0], in[1])); }, inputs);
    for (const std::size_t k : {std::size_t{0}, std::size_t{1}})
      check([k](std::span<const Variable> in) { return elementwise(polar, in[0], in[1])[k]; }, inputs);
    // A result that is an operand.
    check(
        [](std::span<const Variable> in) {
          return joined(elementwise([](auto x, auto y) { return std::array{x, x * y}; }, in[0], in[1]));
        },
        inputs);
  }
}

TEST_CASE("results that do not depend on every operand have their gradients, to second order, and tangents",
          "[elementwise][gradient]") {
  const auto f = [](auto x, auto y) { return std::array{x * x * x, exp(y), 0 * x + 2}; };
  Rng rng(6);
  const std::vector<Tensor> inputs{rng.normal({3, 2}, 0, 1, Dtype::f64), rng.normal({2}, 0, 1, Dtype::f64)};
  check_each_use(f, inputs);
  // A cell of which the new state alone is used, which does not depend on the output's gate.
  const Variable x(inputs[0]), y(broadcast_to(inputs[1], {3, 2}));
  const auto state = [](const Variable& o, const Variable& c) {
    return elementwise([](auto a, auto b) { return std::array{sigmoid(a) * tanh(b), b * b}; }, o, c)[1];
  };
  const auto along = [&](const Variable& at) { return state(at, at * y); };
  CHECK(difference(jvp(along, x, y).second, 2 * x * y * y * y) < 1e-13);
  CHECK(difference(hessian([&](const Variable& at) { return sum(state(at, y)); }, x),
                   Variable(zeros({3, 2, 3, 2}, Dtype::f64))) == 0);
}

TEST_CASE("up to twelve operands are given in braces", "[elementwise][gradient]") {
  Rng rng(3);
  std::vector<Tensor> inputs;
  for (int i = 0; i < 9; ++i) inputs.push_back(rng.normal({2, 3}, 0, 1, Dtype::f64));
  inputs.push_back(rng.normal({3}, 0, 1, Dtype::f64));
  const auto cell = [](std::span<const Variable> x) {
    return elementwise(lstm, {x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7], x[8], x[9]});
  };
  const auto by_ops = [](std::span<const Variable> x) {
    const Variable next = sigmoid(x[1] + x[6] + x[9]) * x[4] + sigmoid(x[0] + x[5]) * tanh(x[2] + x[7]);
    return std::array<Variable, 2>{sigmoid(x[3] + x[8]) * tanh(next), next};
  };
  Variables xs;
  for (const Tensor& x : inputs) xs.emplace_back(x);
  for (const std::size_t k : {std::size_t{0}, std::size_t{1}})
    CHECK(difference(cell(xs)[k], by_ops(xs)[k]) < 1e-15);
  const GradcheckResult result =
      gradcheck([&](std::span<const Variable> in) { return joined(cell(in)); }, inputs);
  INFO(result.message);
  CHECK(result.passed);

  const auto total = [](auto... x) { return (x + ...); };
  const Tensor one = Tensor::of({1, 2});
  CHECK(
      identical(elementwise(total, {one, one, one, one, one, one, one, one, one, one, one, one}), 12 * one));
}

TEST_CASE("a result that nothing depends on has no part in the gradient, where its slope is infinite too",
          "[elementwise]") {
  const auto f = [](auto x) { return std::array{sqrt(x), 2 * x}; };
  const Parameter x(Tensor::of({0, 4}));
  Tape tape;
  CHECK(identical(tape.backward(sum(elementwise(f, x)[1]))[x], Tensor::of({2, 2})));
  // And of higher order.
  const auto slope = [&](const Variable& at) {
    return grad(
        [&](const Variable& v) {
          return sum(elementwise([](auto u) { return std::array{sqrt(u), u * u * u}; }, v)[1]);
        },
        at);
  };
  CHECK(identical(grad([&](const Variable& at) { return sum(slope(at)); }, x).value(), Tensor::of({0, 24})));
}

TEST_CASE("a result by itself has its gradient where values are kept for all of them",
          "[elementwise][gradient]") {
  const auto f = [](auto x, auto y) { return std::array{exp(x) * y, tanh(y) * x, sin(exp(x)) * y}; };
  Rng rng(4);
  const std::vector<Tensor> inputs{rng.normal({3, 2}, 0, 1, Dtype::f64),
                                   rng.normal({3, 1}, 0, 1, Dtype::f64)};
  check_each_use(f, inputs);
}

TEST_CASE("twelve operands with six results fit, with their derivatives", "[elementwise]") {
  const auto f = [](auto... x) {
    const auto s = (exp(x) + ...);
    return std::array{sin(s), cos(s), tanh(s), sigmoid(s), exp(-s), log(s)};
  };
  const Variable one(Tensor::of({0.1, 0.2}, Dtype::f64));
  const auto total = [&](const Variable& x) {
    const auto all = elementwise(f, {x, one, one, one, one, one, one, one, one, one, one, one});
    Variable out = sum(all[0]);
    for (std::size_t k = 1; k < 6; ++k) out = out + sum(all[k]) * static_cast<double>(k);
    return out;
  };
  const GradcheckResult result = gradcheck([&](std::span<const Variable> in) { return total(in[0]); },
                                           {Tensor::of({0.3, -0.4}, Dtype::f64)});
  INFO(result.message);
  CHECK(result.passed);
}
