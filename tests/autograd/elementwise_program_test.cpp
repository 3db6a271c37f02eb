// The limits of traced functions: many constants, many operands, large tensors.

#include <array>

#include "autograd/elementwise.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "tests/support/catch.hpp"

using namespace gradus;
using Catch::Contains;

TEST_CASE("functions of numbers alone are numbers", "[elementwise]") {
  const Tensor x = Tensor::of({1, -2}, Dtype::f64);
  CHECK(elementwise([](auto v) { return v * fma(Symbol(2), 3, 4); }, x).text() == "[10, -20]");
  CHECK(elementwise([](auto v) { return v * clamp(Symbol(5), 0, 3); }, x).text() == "[3, -6]");
  CHECK(elementwise([](auto v) { return v * where(Symbol(0), 2, 7); }, x).text() == "[7, -14]");
  CHECK(elementwise([](auto v) { return fma(Symbol(2), 3, v); }, x).text() == "[7, 4]");
  Tape tape;
  const Variable w = tape.watch(x);
  CHECK(tape.backward(sum(elementwise([](auto v) { return fma(Symbol(2), 3, v) * v; }, w)))[w].text() ==
        "[8, 2]");
}

TEST_CASE("what turns out to be a constant while a function is traced is computed once", "[elementwise]") {
  const Tensor x = Tensor::of({1, -2}, Dtype::f64);
  // pow(v, 0) is the constant 1
  CHECK(elementwise([](auto v) { return v * (exp(pow(v, 0) - 1) + 1); }, x).text() == "[2, -4]");
  CHECK(elementwise([](auto v) { return v * clamp(pow(v, 0), pow(v, 0) + 1, pow(v, 0) + 4); }, x).text() ==
        "[2, -4]");
  CHECK(elementwise([](auto v) { return -(-v) * sqrt(pow(v, 0)); }, x).text() == "[1, -2]");
}

TEST_CASE("a traced function may have more constants than stay on the stack", "[elementwise]") {
  for (const int constants : {31, 32, 33, 100}) {
    const auto f = [constants](auto x) {
      auto total = x - x;
      for (int i = 1; i <= constants; ++i) total = total + maximum(x, i);
      return total;
    };
    const auto expected = [constants](double x) {
      double total = 0;
      for (int i = 1; i <= constants; ++i) total += std::max<double>(x, i);
      return total;
    };
    for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
      Tape tape;
      const Variable x = tape.watch(Tensor::of({0.5, 20.5, 1000.5}, dtype));
      const Variable y = elementwise(f, x);
      for (int i = 0; i < 3; ++i) CHECK(y.value().at(i) == expected(x.value().at(i)));
      CHECK(identical(tape.backward(sum(y))[x], Tensor::of({0, 20, static_cast<double>(constants)}, dtype)));
    }
  }
}

TEST_CASE("an order of differentiation that has too many operands is refused by name", "[elementwise]") {
  Tape tape;
  const Variable x = tape.watch(Tensor::of({0.5}, Dtype::f64)), one(ones({1}, Dtype::f64));
  const auto f = [](auto v, auto... others) { return (exp(v) * ... * others); };
  Variable y = elementwise(f, {x, one, one, one, one, one, one, one, one, one, one, one});
  for (int order = 1; order <= 8; ++order) {
    y = grad(y, x);
    CHECK(y.value().at(0) == Approx(std::exp(0.5)));
  }
  CHECK_THROWS_WITH(grad(y, x), Contains("elementwise_program_test.cpp:") &&
                                    Contains("elementwise: its derivative of this order has 21 operands") &&
                                    Contains("at most 20"));
}

TEST_CASE("a tensor too large to keep what the gradient needs has the same bits as a small one",
          "[elementwise]") {
  const auto f = [](auto x) { return exp(sin(x)) * tanh(x); };
  const std::int64_t large = (std::int64_t{1} << 21) + 3;
  Rng rng(1);
  const Tensor x = rng.normal({large});
  const auto value_and_gradient = [&](const Tensor& at) {
    Tape tape;
    const Variable in = tape.watch(at), y = elementwise(f, in);
    return std::array{y.value(), tape.backward(sum(y))[in]};
  };
  const auto whole = value_and_gradient(x);
  for (const std::int64_t begin : {std::int64_t{0}, large - 1000}) {
    const auto part = value_and_gradient(slice(x, 0, begin, begin + 1000));
    for (std::size_t i = 0; i < 2; ++i) CHECK(identical(slice(whole[i], 0, begin, begin + 1000), part[i]));
  }
}

TEST_CASE("sums of functions that need no computing are right, and so are their gradients", "[elementwise]") {
  const Tensor x = Tensor::of({1, -2, 4}, Dtype::f64);
  const auto check = [&](const auto& f, double value, const char* slopes) {
    CHECK(detail::elementwise_sum("sum", Where::here(), 2, f, Variable(x)).item() == value);
    Tape tape;
    const Variable w = tape.watch(x);
    const Variable total = detail::elementwise_sum("sum", Where::here(), 2, f, w);
    CHECK(total.item() == value);
    if (slopes == nullptr) {
      CHECK(total.is_constant());
    } else {
      CHECK(tape.backward(total * 3)[w].text() == slopes);
    }
  };
  check([](auto v) { return v; }, 6, "[6, 6, 6]");
  check([](auto v) { return v + v; }, 12, "[12, 12, 12]");
  check([](auto v) { return 0 * (v > 7) + 5; }, 30, nullptr);
  check([](auto) { return Symbol(5); }, 30, nullptr);
}
