#include "autograd/elementwise.hpp"

#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <thread>

#include "autograd/elementwise/formula.hpp"
#include "autograd/ops/activations.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "tensor/support/parallel.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/with_gradients.hpp"

using namespace gradus;
using namespace gradus::test;
using Catch::Contains;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// Both NaN, the same infinity, or close.
bool close(double a, double b, double tolerance) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  if (std::isinf(a) || std::isinf(b)) return a == b;
  return std::abs(a - b) <= tolerance * std::max(1.0, std::abs(b));
}

/// Where the gradient is not PyTorch's, on purpose: NaN stays NaN in abs as in sign, in clamp and in
/// hardtanh; acosh is looked at outside of its domain; mish at infinity has the slope 1; C's pow(-inf, 0.5)
/// is infinite.
bool differs(const std::string& name, double x) {
  return (std::isnan(x) && (name == "abs" || name == "clamp" || name == "hardtanh")) ||
         (name == "acosh" && x == -1) || (name == "pow_1.5" && x == -infinity) ||
         (name == "mish" && x == infinity);
}

void check_close(const Tensor& got, const Tensor& expected, const std::string& what,
                 double tolerance = 1e-12) {
  REQUIRE(got.size() == expected.size());
  for (std::int64_t i = 0; i < got.size(); ++i) {
    INFO(what << " at element " << i << ": " << got.at(i) << " instead of " << expected.at(i));
    CHECK(close(got.at(i), expected.at(i), tolerance));
  }
}

struct Named {
  const char* name;
  Variable (*f)(const Variable&);
};

/// A function written once, as an op on Variables and as a formula on symbols.
struct Edge {
  const char* name;
  std::function<Variable(const Variable&)> op, traced;

  template <class F>
  Edge(const char* given, F f)
      : name(given),
        op([f](const Variable& x) { return f(x); }),
        traced([f](const Variable& x) { return elementwise(f, x); }) {}
};

const Edge edges[] = {
    {"neg", [](auto x) { return -x; }},
    {"abs", [](auto x) { return abs(x); }},
    {"square", [](auto x) { return square(x); }},
    {"sqrt", [](auto x) { return sqrt(x); }},
    {"rsqrt", [](auto x) { return rsqrt(x); }},
    {"reciprocal", [](auto x) { return reciprocal(x); }},
    {"exp", [](auto x) { return exp(x); }},
    {"expm1", [](auto x) { return expm1(x); }},
    {"log", [](auto x) { return log(x); }},
    {"log1p", [](auto x) { return log1p(x); }},
    {"log2", [](auto x) { return log2(x); }},
    {"sin", [](auto x) { return sin(x); }},
    {"cos", [](auto x) { return cos(x); }},
    {"tan", [](auto x) { return tan(x); }},
    {"asin", [](auto x) { return asin(x); }},
    {"acos", [](auto x) { return acos(x); }},
    {"atan", [](auto x) { return atan(x); }},
    {"sinh", [](auto x) { return sinh(x); }},
    {"cosh", [](auto x) { return cosh(x); }},
    {"tanh", [](auto x) { return tanh(x); }},
    {"asinh", [](auto x) { return asinh(x); }},
    {"acosh", [](auto x) { return acosh(x); }},
    {"atanh", [](auto x) { return atanh(x); }},
    {"erf", [](auto x) { return erf(x); }},
    {"erfc", [](auto x) { return erfc(x); }},
    {"lgamma", [](auto x) { return lgamma(x); }},
    {"sigmoid", [](auto x) { return sigmoid(x); }},
    {"relu", [](auto x) { return relu(x); }},
    {"floor", [](auto x) { return floor(x); }},
    {"ceil", [](auto x) { return ceil(x); }},
    {"round", [](auto x) { return round(x); }},
    {"log_sigmoid", [](auto x) { return log_sigmoid(x); }},
    {"softplus", [](auto x) { return softplus(x); }},
    {"softplus_3_2", [](auto x) { return softplus(x, {.beta = 3, .threshold = 2}); }},
    {"leaky_relu", [](auto x) { return leaky_relu(x, 0.2); }},
    {"elu", [](auto x) { return elu(x, 0.7); }},
    {"selu", [](auto x) { return selu(x); }},
    {"gelu", [](auto x) { return gelu(x); }},
    {"gelu_tanh", [](auto x) { return gelu(x, GeluForm::tanh); }},
    {"silu", [](auto x) { return silu(x); }},
    {"mish", [](auto x) { return mish(x); }},
    {"hardtanh", [](auto x) { return hardtanh(x); }},
    {"clamp", [](auto x) { return clamp(x, -1, 1); }},
    {"pow_0", [](auto x) { return pow(x, 0); }},
    {"pow_1.5", [](auto x) { return pow(x, 1.5); }},
    {"pow_2", [](auto x) { return pow(x, 2); }},
    {"pow_3", [](auto x) { return pow(x, 3); }},
    {"pow_-1", [](auto x) { return pow(x, -1); }},
};

}  // namespace

TEST_CASE("elementwise functions and their gradients are PyTorch's at edges, infinities and NaN",
          "[elementwise]") {
  for (const Edge& edge : edges) {
    const Tensor table = fixture(std::string("elementwise/") + edge.name);
    const auto compare = [&](const auto& f, const std::string& how) {
      const auto got = with_gradients([&](auto x) { return f(x[0]); }, {table[0]});
      check_close(got[0], table[1], how);
      for (std::int64_t i = 0; i < table.dim(1); ++i) {
        if (differs(edge.name, table[0].at(i))) continue;
        INFO(how << ", gradient at " << table[0].at(i) << ": " << got[1].at(i) << " instead of "
                 << table[2].at(i));
        CHECK(close(got[1].at(i), table[2].at(i), 1e-12));
      }
      // Scalars of rank 0 have a path of their own.
      for (std::int64_t i = 0; i < table.dim(1); ++i) {
        const auto one =
            with_gradients([&](auto x) { return f(x[0]); }, {Tensor::scalar(table[0].at(i), Dtype::f64)});
        INFO(how << " of the scalar " << table[0].at(i) << ": gradient " << one[1].item());
        CHECK(close(one[0].item(), table[1].at(i), 1e-12));
        CHECK((differs(edge.name, table[0].at(i)) || close(one[1].item(), table[2].at(i), 1e-12)));
      }
    };
    compare(edge.op, edge.name);
    compare(edge.traced, std::string(edge.name) + " traced");
  }
}

TEST_CASE("ops of two operands and their gradients are PyTorch's at edges, infinities and NaN",
          "[elementwise]") {
  using Pair = Variable (*)(const Variable&, const Variable&);
  struct Row {
    const char* name;
    Pair op, traced;
  };
  const Row rows[] = {
      {"div", [](auto& a, auto& b) { return a / b; },
       [](auto& a, auto& b) { return elementwise([](auto x, auto y) { return x / y; }, a, b); }},
      {"maximum", [](auto& a, auto& b) { return maximum(a, b); },
       [](auto& a, auto& b) { return elementwise([](auto x, auto y) { return max(x, y); }, a, b); }},
      {"minimum", [](auto& a, auto& b) { return minimum(a, b); },
       [](auto& a, auto& b) { return elementwise([](auto x, auto y) { return min(x, y); }, a, b); }},
      {"pow", [](auto& a, auto& b) { return pow(a, b); },
       [](auto& a, auto& b) { return elementwise([](auto x, auto y) { return pow(x, y); }, a, b); }},
      {"atan2", [](auto& a, auto& b) { return atan2(a, b); },
       [](auto& a, auto& b) { return elementwise([](auto x, auto y) { return atan2(x, y); }, a, b); }},
      {"fmod", [](auto& a, auto& b) { return fmod(a, b); },
       [](auto& a, auto& b) { return elementwise([](auto x, auto y) { return fmod(x, y); }, a, b); }},
  };
  for (const Row& row : rows) {
    const Tensor table = fixture(std::string("elementwise/two_") + row.name);
    for (const Pair f : {row.op, row.traced}) {
      const std::string how = std::string(row.name) + (f == row.op ? "" : " traced");
      const auto got = with_gradients([&](auto x) { return f(x[0], x[1]); }, {table[0], table[1]});
      for (int part = 0; part < 3; ++part) {
        for (std::int64_t i = 0; i < table.dim(1); ++i) {
          const double a = table[0].at(i), b = table[1].at(i);
          // Where the remainder is NaN so are its gradients; PyTorch gives a quotient.
          if (part > 0 && std::string(row.name) == "fmod" && std::isnan(table[2].at(i))) continue;
          INFO(how << (part == 0   ? ""
                       : part == 1 ? ", gradient by a"
                                   : ", gradient by b")
                   << " at " << a << ", " << b << ": " << got[static_cast<std::size_t>(part)].at(i)
                   << " instead of " << table[2 + part].at(i));
          CHECK(close(got[static_cast<std::size_t>(part)].at(i), table[2 + part].at(i), 1e-12));
        }
      }
    }
  }
}

TEST_CASE("functions have the values and derivatives of 60 digits, of first and second order",
          "[elementwise]") {
  // f and all its derivatives by the rows of the fixture: f, f', f''; or f, f_a, f_b, f_aa, f_ab, f_bb.
  const auto all_orders = [](const auto& f, const std::vector<Tensor>& inputs) {
    Tape tape;
    std::vector<Variable> xs;
    for (const Tensor& x : inputs) xs.push_back(tape.watch(x));
    const Variable y = f(xs);
    const std::vector<Variable> first = grad(sum(y), xs);
    std::vector<Tensor> out{y.value()};
    for (const Variable& d : first) out.push_back(d.value());
    for (std::size_t i = 0; i < xs.size(); ++i) {
      const auto second = first[i].is_constant() ? std::vector<Variable>() : grad(sum(first[i]), xs);
      for (std::size_t j = i; j < xs.size(); ++j)
        out.push_back(second.empty() ? zeros_like(xs[j].value()) : second[j].value());
    }
    return out;
  };
  const std::pair<const char*, std::function<Variable(std::span<const Variable>)>> rows[] = {
      {"exp2", [](auto x) { return exp2(x[0]); }},
      {"log10", [](auto x) { return log10(x[0]); }},
      {"erfinv", [](auto x) { return erfinv(x[0]); }},
      {"sinc", [](auto x) { return sinc(x[0]); }},
      {"logit", [](auto x) { return logit(x[0]); }},
      {"two_logaddexp", [](auto x) { return logaddexp(x[0], x[1]); }},
      {"two_xlogy", [](auto x) { return xlogy(x[0], x[1]); }},
      {"two_hypot", [](auto x) { return hypot(x[0], x[1]); }},
  };
  for (const auto& [name, f] : rows) {
    const Tensor table = fixture(std::string("exact/") + name);
    const std::size_t operands = table.dim(0) == 4 ? 1 : 2;
    std::vector<Tensor> inputs;
    for (std::size_t i = 0; i < operands; ++i) inputs.push_back(table[static_cast<std::int64_t>(i)]);
    const std::vector<Tensor> got = all_orders(f, inputs);
    for (std::int64_t i = 0; i < table.dim(1); ++i) {
      // Relative, but for what is a difference: log(e^a + e^b) near 0, sinc near its zeros, and second
      // derivatives, which are measured by the largest of them.
      double largest = 0.05;
      for (std::size_t part = 1 + operands; part < got.size(); ++part)
        largest = std::max(largest, std::abs(table[static_cast<std::int64_t>(operands + part)].at(i)));
      for (std::size_t part = 0; part < got.size(); ++part) {
        const double is = got[part].at(i), exact = table[static_cast<std::int64_t>(operands + part)].at(i);
        INFO(name << ", part " << part << " at " << inputs[0].at(i) << ", " << inputs.back().at(i) << ": "
                  << is << " instead of " << exact);
        const double scale = part == 0 ? 1e-2 : part <= operands ? 1e-3 : largest;
        CHECK(std::abs(is - exact) <= 1e-14 * std::max(std::abs(exact), scale));
      }
    }
  }
}

TEST_CASE("functions are right at the edges of their domains, gradients too", "[elementwise]") {
  const auto nan = std::numeric_limits<double>::quiet_NaN();
  const auto check_one = [](const Named& f, double x, double y, double dy) {
    for (const bool single : {false, true}) {  // scalars of rank 0 have a path of their own
      const Tensor at = single ? Tensor::scalar(x, Dtype::f64) : Tensor::of({x, x}, Dtype::f64);
      const auto got = with_gradients([&](auto v) { return f.f(v[0]); }, {at});
      INFO(f.name << " at " << x << ": " << got[0].at(0) << ", gradient " << got[1].at(0));
      CHECK(close(got[0].at(0), y, 1e-15));
      CHECK(close(got[1].at(0), dy, 1e-15));
    }
  };
  const Named erfinv_row{"erfinv", [](auto&x) { return erfinv(x); }},
      exp2_row{"exp2", [](auto&x) { return exp2(x); }}, log10_row{"log10", [](auto&x) { return log10(x); }},
      sinc_row{"sinc", [](auto&x) { return sinc(x); }}, logit_row{"logit", [](auto&x) { return logit(x); }},
      trunc_row{"trunc", [](auto&x) { return trunc(x); }};
  check_one(erfinv_row, 1, infinity, infinity);
  check_one(erfinv_row, -1, -infinity, infinity);
  check_one(erfinv_row, 1.5, nan, nan);
  check_one(exp2_row, infinity, infinity, infinity);
  check_one(exp2_row, -infinity, 0, 0);
  check_one(exp2_row, 10, 1024, 1024 * std::log(2.0));
  check_one(log10_row, 0, -infinity, infinity);
  check_one(log10_row, 1000, 3, 1 / (1000 * std::log(10.0)));
  check_one(log10_row, infinity, infinity, 0);
  check_one(sinc_row, 0, 1, 0);
  check_one(sinc_row, infinity, 0, 0);
  check_one(sinc_row, nan, nan, nan);
  check_one(logit_row, 0, -infinity, infinity);
  check_one(logit_row, 1, infinity, infinity);
  check_one(logit_row, 0.5, 0, 4);
  check_one(trunc_row, -2.75, -2, 0);
  check_one(trunc_row, -infinity, -infinity, 0);

  struct TwoRow {
    const char* name;
    Variable (*f)(const Variable&, const Variable&);
    double a, b, y, by_a, by_b;
  };
  const auto log_sum = [](auto& a, auto& b) { return logaddexp(a, b); };
  const auto times_log = [](auto& a, auto& b) { return xlogy(a, b); };
  const auto length = [](auto& a, auto& b) { return hypot(a, b); };
  const TwoRow rows[] = {
      {"logaddexp", log_sum, -infinity, -infinity, -infinity, 0.5, 0.5},
      {"logaddexp", log_sum, infinity, infinity, infinity, 0.5, 0.5},
      {"logaddexp", log_sum, -infinity, 2, 2, 0, 1},
      {"logaddexp", log_sum, 1e308, 1e308, 1e308, 0.5, 0.5},
      {"logaddexp", log_sum, nan, 0, nan, nan, nan},
      {"xlogy", times_log, 0, 0, 0, 0, 0},
      {"xlogy", times_log, 0, -3, 0, 0, 0},
      {"xlogy", times_log, 0, 2, 0, std::log(2.0), 0},
      {"xlogy", times_log, 0, infinity, 0, infinity, 0},
      {"xlogy", times_log, 0, nan, nan, nan, nan},
      {"xlogy", times_log, 2, 0, -infinity, -infinity, infinity},
      {"hypot", length, 0, 0, 0, 0, 0},
      {"hypot", length, 3e307, 4e307, 5e307, 0.6, 0.8},
      {"hypot", length, 3e-310, -4e-310, 5e-310, 0.6, -0.8},
      {"hypot", length, infinity, nan, infinity, nan, nan},
  };
  for (const TwoRow& row : rows) {
    for (const bool single : {false, true}) {
      const auto tensor = [&](double x) {
        return single ? Tensor::scalar(x, Dtype::f64) : Tensor::of({x, x}, Dtype::f64);
      };
      const auto got =
          with_gradients([&](auto x) { return row.f(x[0], x[1]); }, {tensor(row.a), tensor(row.b)});
      INFO(row.name << " of " << row.a << " and " << row.b << ": " << got[0].at(0) << ", gradients "
                    << got[1].at(0) << ", " << got[2].at(0));
      CHECK(close(got[0].at(0), row.y, 1e-15));
      CHECK(close(got[1].at(0), row.by_a, 1e-13));
      CHECK(close(got[2].at(0), row.by_b, 1e-13));
    }
  }
}

TEST_CASE("a traced function equals a plain loop at every length and dtype", "[elementwise]") {
  const auto f = [](auto x, auto y) { return x * y + sin(x) / (1 + y * y) - max(x, 0.25) * 3; };
  Rng rng(3);
  for (const std::int64_t n : {0, 1, 7, 511, 512, 513, 1024, 5000, 300'001}) {
    for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
      const Tensor x = rng.normal({n}, 0, 1, dtype), y = rng.normal({n}, 0, 1, dtype);
      const Tensor z = elementwise(f, x, y);
      REQUIRE(z.shape() == x.shape());
      REQUIRE(z.dtype() == dtype);
      const double tolerance = dtype == Dtype::f32 ? 1e-6 : 1e-14;
      std::int64_t wrong = 0;
      for (std::int64_t i = 0; i < n; ++i) {
        const double a = x.at(i), b = y.at(i);
        const double expected = a * b + std::sin(a) / (1 + b * b) - std::max(a, 0.25) * 3;
        if (!close(z.at(i), expected, tolerance)) ++wrong;
      }
      INFO(n << " elements of " << name_of(dtype));
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("traced functions broadcast and mix numbers in", "[elementwise]") {
  const auto f = [](auto x, auto y, auto z) { return x * 100 + y * 10 + z; };
  const Tensor column = Tensor::of({1, 2}).reshape({2, 1}), row = Tensor::of({3, 4, 5});
  const Tensor got = elementwise(f, column, row, 7);
  const Tensor expected = column * 100 + row * 10 + 7;
  CHECK(got.shape() == Shape{2, 3});
  CHECK(identical(got, expected));
  CHECK(identical(elementwise(f, 1, row, 7), 100 + row * 10 + 7));
  CHECK(elementwise(f, Tensor::of({1}).reshape({1, 1}), row, 7).shape() == Shape{1, 3});
  CHECK(elementwise(f, Tensor::uninitialized({0, 1}), row, 7).shape() == Shape{0, 3});
  CHECK(elementwise([](auto x) { return x; }, row).shape() == row.shape());
  CHECK(identical(elementwise([](auto) { return 2; }, row), full({3}, 2)));
}

TEST_CASE("a traced function may have several gradients, equal to those op by op", "[elementwise]") {
  Rng rng(5);
  // Below and above the size up to which intermediate values are kept for backward.
  for (const std::int64_t n : {100, 300'000}) {
    const std::vector<Tensor> inputs{rng.normal({n}, 0, 1, Dtype::f64), rng.normal({n}, 0, 1, Dtype::f64),
                                     rng.normal({1}, 0, 1, Dtype::f64)};
    const auto formula = [](auto x, auto y, auto z) {
      return tanh(x) * sigmoid(y) + exp(-x * x) * log1p(y * y) / z;
    };
    const auto traced =
        with_gradients([&](auto v) { return elementwise(formula, v[0], v[1], v[2]); }, inputs);
    const auto by_ops = with_gradients([&](auto v) { return formula(v[0], v[1], v[2]); }, inputs);
    for (std::size_t i = 0; i < traced.size(); ++i) CHECK(difference(traced[i], by_ops[i]) < 1e-10);
    // Constants get no gradient, and cost none.
    Tape tape;
    const Variable x = tape.watch(inputs[0]), y(inputs[1]), z(inputs[2]);
    const Tensor only = tape.backward(sum(elementwise(formula, x, y, z)))[x];
    CHECK(difference(only, by_ops[1]) < 1e-10);
  }
}

TEST_CASE("a traced function has derivatives of every order", "[elementwise]") {
  Tape tape;
  const Variable x = tape.watch(Tensor::of({0.3, -1.2, 2.0}, Dtype::f64));
  const Variable y = elementwise([](auto v) { return sin(v) * exp(2 * v); }, x);
  Variable d = y;
  for (int order = 0; order < 4; ++order) d = grad(sum(d), std::array{x})[0];
  // The imaginary part of (2 + i)^4 exp((2 + i) x), (2 + i)^4 = -7 + 24 i.
  for (std::int64_t i = 0; i < 3; ++i) {
    const double v = x.value().at(i);
    CHECK(d.value().at(i) == Approx(std::exp(2 * v) * (-7 * std::sin(v) + 24 * std::cos(v))).epsilon(1e-12));
  }
}

TEST_CASE("a branch that is not taken gives no NaN", "[elementwise]") {
  // sqrt and log have infinite or undefined derivatives where their branch is not chosen.
  const auto f = [](auto x) { return where(x > 0, sqrt(x) * log(x), square(x)); };
  Tape tape;
  const Variable x = tape.watch(Tensor::of({4, 0, -3, -1e4}, Dtype::f64));
  const Variable first = grad(sum(elementwise(f, x)), std::array{x})[0];
  check_close(first.value(), Tensor::of({std::log(4.0) / 4 + 0.5, 0, -6, -2e4}, Dtype::f64), "first", 1e-14);
  const Variable second = grad(sum(first), std::array{x})[0];
  check_close(second.value(), Tensor::of({-std::log(4.0) / 32, 2, 2, 2}, Dtype::f64), "second", 1e-14);
}

TEST_CASE("activations have finite gradients of both orders far out", "[elementwise]") {
  const Named rows[] = {{"log_sigmoid", [](auto& x) { return log_sigmoid(x); }},
                        {"softplus", [](auto& x) { return softplus(x); }},
                        {"elu", [](auto& x) { return elu(x); }},
                        {"selu", [](auto& x) { return selu(x); }},
                        {"gelu", [](auto& x) { return gelu(x); }},
                        {"gelu tanh", [](auto& x) { return gelu(x, GeluForm::tanh); }},
                        {"silu", [](auto& x) { return silu(x); }},
                        {"mish", [](auto& x) { return mish(x); }},
                        {"sigmoid", [](auto& x) { return sigmoid(x); }},
                        {"tanh", [](auto& x) { return tanh(x); }},
                        {"leaky_relu", [](auto& x) { return leaky_relu(x); }},
                        {"hardtanh", [](auto& x) { return hardtanh(x); }}};
  for (const auto& row : rows) {
    for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
      INFO(row.name << " " << name_of(dtype));
      Tape tape;
      const Variable x = tape.watch(Tensor::of({1e4, -1e4, 700, -700, 80, -80, 0}, dtype));
      const Variable first = grad(sum(row.f(x)), std::array{x})[0];
      CHECK(all_finite(first.value()));
      if (first.is_constant()) continue;
      CHECK(all_finite(grad(sum(first * x), std::array{x})[0].value()));
    }
  }
  // log_sigmoid's second derivative has no kink at 0.
  Tape tape;
  const Variable x = tape.watch(Tensor::of({0}, Dtype::f64));
  const Variable first = grad(sum(log_sigmoid(x)), std::array{x})[0];
  CHECK(first.value().at(0) == 0.5);
  CHECK(grad(sum(first), std::array{x})[0].value().at(0) == Approx(-0.25).epsilon(1e-15));
}

TEST_CASE("a function that captures nothing is traced once, one that captures at each call",
          "[elementwise]") {
  static int traces = 0;
  const auto plain = [](auto x) {
    ++traces;
    return x * 2;
  };
  const Tensor x = Tensor::of({1, 2});
  for (int i = 0; i < 3; ++i) CHECK(elementwise(plain, x).at(1) == 4);
  CHECK(traces == 1);
  for (const double factor : {3.0, 5.0}) {
    CHECK(elementwise([factor](auto v) { return v * factor; }, x).at(1) == 2 * factor);
  }
}

TEST_CASE("programs share terms, fold constants, fuse multiply-adds and drop what is not used",
          "[elementwise]") {
  const auto count = [](auto f) {
    detail::Graph graph;
    const Symbol x(&graph, graph.input(0)), y(&graph, graph.input(1));
    const Symbol result = f(x, y);
    const std::array<detail::ExprId, 2> inputs{x.id(), y.id()};
    const detail::Evaluation evaluation(graph, inputs, std::array{result.id()});
    return evaluation.program() ? static_cast<int>(evaluation.program()->instruction_count()) : 0;
  };
  CHECK(count([](auto x, auto y) { return x * y + y; }) == 1);
  CHECK(count([](auto x, auto y) { return exp(x + y) * exp(y + x); }) == 3);
  CHECK(count([](auto x, auto) { return x * (2 * exp(Symbol(0)) - 1); }) == 0);
  CHECK(count([](auto x, auto y) {
          [[maybe_unused]] const auto unused = exp(x) * y;
          return -(-x) * 1 - 0;
        }) == 0);
  CHECK(count([](auto x, auto y) { return x * x - y * y; }) == 3);
  CHECK(count([](auto x, auto y) { return x * x + y * y; }) == 3);  // symmetry before speed
  CHECK(count([](auto x, auto) { return pow(x, 2) + x / 4; }) == 3);
  CHECK(count([](auto x, auto) { return where(Symbol(1) > 0, x, exp(x)); }) == 0);
  CHECK(count([](auto x, auto) { return x * fma(Symbol(2), 3, -5); }) == 0);
  CHECK(count([](auto x, auto) { return fma(Symbol(2), 3, x); }) == 1);
  // x + 0 is not x, for -0; x * 0 is not 0, for NaN.
  CHECK(count([](auto x, auto) { return x + 0; }) == 1);
  CHECK(count([](auto x, auto) { return x * 0; }) == 1);
}

TEST_CASE("the gradient of x * y + z copies nothing", "[elementwise]") {
  Tape tape;
  const Variable x = tape.watch(Tensor::of({1, 2})), y = tape.watch(Tensor::of({3, 4})),
                 z = tape.watch(Tensor::of({5, 6}));
  const Variable s = elementwise([](auto a, auto b, auto c) { return a * b + c; }, x, y, z);
  const Gradients g = tape.backward(sum(s));
  CHECK(identical(g[x], y.value()));
  CHECK(identical(g[y], x.value()));
  CHECK(identical(g[z], Tensor::of({1, 1})));
  const detail::FormulaPtr formula = detail::formula_of<3>([](auto a, auto b, auto c) { return a * b + c; });
  const auto differential = formula->differential(7);
  CHECK(differential->reads(0));
  CHECK(differential->reads(1));
  CHECK_FALSE(differential->reads(2));
  CHECK_FALSE(differential->reads_result(0));
}

TEST_CASE("traced functions give the same bits on any number of threads", "[elementwise][threads]") {
  const auto f = [](auto x, auto y) { return tanh(x) * sigmoid(y) + x * y; };
  Rng rng(9);
  const std::vector<Tensor> inputs{rng.normal({700'003}), rng.normal({700'003})};
  const auto run = [&](int count) {
    set_threads(count);
    return with_gradients([&](auto x) { return elementwise(f, x[0], x[1]); }, inputs);
  };
  const auto one = run(1);
  for (const int count : {2, 3, 5}) {
    const auto several = run(count);
    for (std::size_t i = 0; i < one.size(); ++i) CHECK(identical(one[i], several[i]));
  }
  set_threads(0);
}

TEST_CASE("threads may trace, run and differentiate at once", "[elementwise][threads]") {
  std::array<std::thread, 4> threads;
  std::array<double, 4> results{};
  for (std::size_t t = 0; t < threads.size(); ++t) {
    threads[t] = std::thread([&results, t] {
      for (int i = 0; i < 50; ++i) {
        Tape tape;
        const Variable x = tape.watch(Tensor::scalar(2, Dtype::f64));
        const double k = static_cast<double>(t);
        const Variable y = elementwise([k](auto v) { return v * v * k; }, x) +
                           elementwise([](auto v) { return v * v * v; }, x);
        results[t] = tape.backward(y)[x].item();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t t = 0; t < threads.size(); ++t) CHECK(results[t] == 4 * static_cast<double>(t) + 12);
}

TEST_CASE("errors of traced functions name the place of the call and both shapes", "[elementwise]") {
  const auto f = [](auto x, auto y) { return x + y; };
  const Tensor a = zeros({2, 3}), b = zeros({4});
  CHECK_THROWS_WITH(elementwise(f, a, b), Contains("at elementwise_test.cpp:") && Contains("elementwise: ") &&
                                              Contains("(2, 3)") && Contains("(4,)"));
  CHECK_THROWS_AS(elementwise(f, a, b), ShapeError);
  CHECK_THROWS_WITH(elementwise(f, Variable(a), Variable(b)), Contains("elementwise_test.cpp:"));
  CHECK_THROWS_AS(elementwise(f, a, zeros({3}, Dtype::f64)), DtypeError);
  CHECK_THROWS_WITH(elementwise(f, a, zeros({3}, Dtype::f64)),
                    Contains("f32") && Contains("f64") && Contains("to()"));
  Symbol kept = 0;
  elementwise([&kept](auto x) { return kept = x * x; }, a);
  CHECK_THROWS_WITH(elementwise([&kept](auto x) { return x + kept; }, a), Contains("another function"));
  CHECK_THROWS_WITH(elementwise([&kept](auto) { return exp(kept); }, a), Contains("another function"));
  CHECK_THROWS_WITH(elementwise([&kept](auto) { return kept; }, a), Contains("another function"));
  detail::Graph graph;
  const Symbol other(&graph, graph.input(0), 1);
  CHECK_THROWS_WITH(elementwise([&other](auto x) { return x + other; }, a), Contains("another function"));
}

TEST_CASE("comparisons give 1 or 0 and take no gradient", "[elementwise]") {
  const Tensor a = Tensor::of({1, 2, 3, NAN}), b = Tensor::of({2, 2, 2, 2});
  const Variable x(a), y(b);
  const auto check = [&](const Variable& op, const Tensor& traced, std::initializer_list<double> expected) {
    CHECK(identical(op.value(), Tensor::of(expected)));
    CHECK(identical(traced, Tensor::of(expected)));
  };
  check(x < y, elementwise([](auto p, auto q) { return p < q; }, a, b), {1, 0, 0, 0});
  check(x <= y, elementwise([](auto p, auto q) { return p <= q; }, a, b), {1, 1, 0, 0});
  check(x > 2, elementwise([](auto p) { return p > 2; }, a), {0, 0, 1, 0});
  check(x >= y, elementwise([](auto p, auto q) { return p >= q; }, a, b), {0, 1, 1, 0});
  check(equal(x, 2), elementwise([](auto p) { return p == 2; }, a), {0, 1, 0, 0});
  check(not_equal(x, y), elementwise([](auto p, auto q) { return p != q; }, a, b), {1, 0, 1, 1});
  Tape tape;
  const Variable w = tape.watch(a);
  CHECK((w < 2).is_constant());
  CHECK(elementwise([](auto p) { return (p > 2) * floor(p); }, w).is_constant());
  const Variable mixed = elementwise([](auto p) { return (p > 2) * p + floor(p); }, w);
  check_close(tape.backward(sum(mixed))[w], Tensor::of({0, 0, 1, 0}), "masked");
}
