#include <fmt/format.h>

#include <sstream>

#include "autograd/elementwise.hpp"
#include "autograd/ops/activations.hpp"
#include "autograd/ops/linalg.hpp"
#include "autograd/ops/matmul.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"

using namespace gradus;
using Catch::Contains;

namespace {

/// What converts to bool or to int, but is neither.
struct LikeBool {
  operator bool() const { return true; }
};
struct LikeInt {
  operator int() const { return 0; }
};

/// True when f(x) compiles; f is a function object with a constrained call.
template <class X>
constexpr bool no_reduction_takes_what_converts() {
  const auto refused = [](auto axis, auto keepdims) {
    using A = decltype(axis);
    using K = decltype(keepdims);
    return !requires(X x, A a, K k) {
      sum(x, a, k);
    }
    &&!requires(X x, A a, K k) {
      mean(x, a, k);
    }
    &&!requires(X x, A a, K k) {
      prod(x, a, k);
    }
    &&!requires(X x, A a, K k) {
      max(x, a, k);
    }
    &&!requires(X x, A a, K k) {
      min(x, a, k);
    }
    &&!requires(X x, A a, K k) {
      any(x, a, k);
    }
    &&!requires(X x, A a, K k) {
      all(x, a, k);
    }
    &&!requires(X x, A a, K k) {
      logsumexp(x, a, k);
    };
  };
  const auto refused_axis = [] {
    return !requires(X x, LikeInt a) {
      argmax(x, a);
    }
    &&!requires(X x, LikeInt a) {
      argmin(x, a);
    }
    &&!requires(X x, LikeInt a) {
      var(x, a);
    }
    &&!requires(X x, LikeInt a) {
      stddev(x, a);
    }
    &&!requires(X x, LikeInt a) {
      norm(x, a);
    };
  };
  const auto refused_keepdims = [] {
    return !requires(X x, LikeBool k) {
      argmax(x, 0, k);
    }
    &&!requires(X x, LikeBool k) {
      argmin(x, 0, k);
    };
  };
  return refused(Axes{}, LikeBool{}) && refused(LikeInt{}, true) && refused_axis() && refused_keepdims();
}

/// The value of f of the Variable and the Tensor is that of f of two Tensors, and the gradient of the
/// Variable that of f with the Tensor as a Variable; on either side.
template <class F>
void check_beside_a_tensor(const char* name, const F& f) {
  INFO(name);
  const Tensor v = Tensor::of({0.5, 2, 3}, Dtype::f64), t = Tensor::of({1.5, 0.25, 4}, Dtype::f64);
  Tape tape;
  const Variable x = tape.watch(v);
  const auto check = [&](const Variable& mixed, const Variable& expected, const Tensor& value) {
    CHECK(identical(mixed.value(), value));
    CHECK(mixed.is_constant() == expected.is_constant());
    if (!mixed.is_constant()) CHECK(identical(grad(sum(mixed), x).value(), grad(sum(expected), x).value()));
  };
  check(f(x, t), f(x, Variable(t)), f(v, t));
  check(f(t, x), f(Variable(t), x), f(t, v));
}

}  // namespace

static_assert(no_reduction_takes_what_converts<Tensor>());
static_assert(no_reduction_takes_what_converts<Variable>());

TEST_CASE("a Tensor beside a Variable is a constant", "[operands]") {
  check_beside_a_tensor("+", [](const auto& a, const auto& b) { return a + b; });
  check_beside_a_tensor("-", [](const auto& a, const auto& b) { return a - b; });
  check_beside_a_tensor("*", [](const auto& a, const auto& b) { return a * b; });
  check_beside_a_tensor("/", [](const auto& a, const auto& b) { return a / b; });
  check_beside_a_tensor("<", [](const auto& a, const auto& b) { return a < b; });
  check_beside_a_tensor("<=", [](const auto& a, const auto& b) { return a <= b; });
  check_beside_a_tensor(">", [](const auto& a, const auto& b) { return a > b; });
  check_beside_a_tensor(">=", [](const auto& a, const auto& b) { return a >= b; });
  check_beside_a_tensor("maximum", [](const auto& a, const auto& b) { return maximum(a, b); });
  check_beside_a_tensor("pow", [](const auto& a, const auto& b) { return pow(a, b); });
  check_beside_a_tensor("equal", [](const auto& a, const auto& b) { return equal(a, b); });
  check_beside_a_tensor("where", [](const auto& a, const auto& b) { return where(greater(a, 1), a, b); });
  check_beside_a_tensor("where's condition", [](const auto& a, const auto& b) { return where(b, a, 7); });
  check_beside_a_tensor("clamp", [](const auto& a, const auto& b) { return clamp(a, 1, b); });
  check_beside_a_tensor("fma", [](const auto& a, const auto& b) { return fma(a, b, 2); });
  check_beside_a_tensor("elementwise", [](const auto& a, const auto& b) {
    return elementwise([](auto x, auto y) { return x * y + sin(x); }, a, b);
  });
  check_beside_a_tensor("dot", [](const auto& a, const auto& b) { return dot(a, b); });
  check_beside_a_tensor("outer", [](const auto& a, const auto& b) { return outer(a, b); });
  check_beside_a_tensor("matmul", [](const auto& a, const auto& b) { return matmul(a, b); });
}

TEST_CASE("an operator's error with a Tensor names the place of its call", "[operands]") {
  const Variable x(zeros(3));
  const Tensor t = zeros(2);
  CHECK_THROWS_WITH(x * t, Contains("operands_test.cpp") && Contains("mul"));
  CHECK_THROWS_WITH(t - x, Contains("operands_test.cpp") && Contains("sub"));
  CHECK_THROWS_WITH(maximum(x, t), Contains("operands_test.cpp") && Contains("maximum"));
  CHECK_THROWS_WITH(matmul(x, t), Contains("operands_test.cpp") && Contains("matmul"));
  CHECK_THROWS_WITH(x * Tensor(), Contains("undefined"));
  Variable y = x;
  CHECK_THROWS_WITH(y += t, Contains("operands_test.cpp") && Contains("add"));
  CHECK(identical(y.value(), zeros(3)));
}

TEST_CASE("a Variable and a Tensor are multiplied in the Tensor's buffer only if nobody else has it",
          "[operands]") {
  const Tensor t = Tensor::of({1, 2});
  const Variable x(Tensor::of({3, 4}));
  CHECK((x * t).value().text() == "[3, 8]");
  CHECK((t * x).value().text() == "[3, 8]");
  CHECK(t.text() == "[1, 2]");
  CHECK((x * Tensor(t)).value().text() == "[3, 8]");
  CHECK(t.text() == "[1, 2]");
}

TEST_CASE("x += y makes x the sum, with its gradient", "[operands]") {
  Tape tape;
  const Variable a = tape.watch(Tensor::of({1, 2})), b = tape.watch(Tensor::of({3, 4}));
  Variable x = a;
  x += b;                   // a + b
  x *= a;                   // a^2 + a b
  x -= Tensor::of({1, 1});  // constants
  x *= Tensor::of({10, 100});
  x /= 2;
  x += 1;
  CHECK(x.value().text() == "[16, 551]");
  CHECK(a.value().text() == "[1, 2]");
  CHECK(grad(sum(x), a).value().text() == "[25, 400]");  // (2 a + b) scale / 2
  CHECK(grad(sum(x), b).value().text() == "[5, 100]");
  Variable itself = a;
  itself *= itself;
  itself -= itself / 2;
  CHECK(grad(sum(itself), a).value().text() == "[1, 2]");
  Variable total(Tensor::scalar(0));
  for (int i = 0; i < 3; ++i) total += sum(a) * i;
  CHECK(total.item() == 9);
  CHECK(grad(total, a).value().text() == "[3, 3]");
}

TEST_CASE("a Variable made of a Parameter changes alone", "[operands]") {
  const Parameter p(Tensor::of({1, 2}));
  const Place before = p.place();
  Tape tape;
  Variable x = p;
  x += 1;
  x *= x;
  CHECK(p.place() == before);
  CHECK(p.value().text() == "[1, 2]");
  CHECK(tape.backward(sum(x))[p].text() == "[4, 6]");
}

TEST_CASE("x[i] is an entry along the first axis, with its gradient", "[operands]") {
  Tape tape;
  const Variable x = tape.watch(Tensor::of({1, 2, 3, 4, 5, 6}).reshape({3, 2}));
  const std::size_t last = 2;
  CHECK(x[0].value().text() == "[1, 2]");
  CHECK(x[last].value().text() == "[5, 6]");
  CHECK(x[-1][-2].item() == 5);
  CHECK(grad(sum(x[-1] * x[0]), x).value().text() == "[[5, 6], [0, 0], [1, 2]]");
  CHECK_THROWS_WITH(x[3], Contains("operands_test.cpp") && Contains("(3, 2)"));
  CHECK_THROWS_WITH(x[-4], Contains("operands_test.cpp") && Contains("-4"));
  const Parameter p(Tensor::of({7, 8}));
  CHECK(tape.backward(p[1])[p].text() == "[0, 1]");
}

TEST_CASE("a Variable and a Parameter are printed as their values", "[operands]") {
  const Parameter p(Tensor::of({1, 2}));
  const Variable x = p * 2;
  std::ostringstream to;
  to << x << ' ' << p;
  CHECK(to.str() == "[2, 4] (2,) f32 [1, 2] (2,) f32");
  CHECK(fmt::format("{} {}", x, p) == to.str());
  CHECK(fmt::format("{}", sum(x)) == "6");
}

TEST_CASE("a formula of others is a formula", "[operands]") {
  const auto twice = [](auto x) { return elementwise([](auto y) { return 2 * y; }, x) + softplus(x) * 0; };
  Tape tape;
  const Variable x = tape.watch(Tensor::of({1, 2}));
  CHECK(grad(sum(elementwise(twice, x)), x).value().text() == "[2, 2]");
}
