// Every elementwise function and its first and second derivatives at every exponent of both signs, beside the
// values of 60 digits that tests/fixtures/make_sweep_fixtures.py wrote.

#include <algorithm>
#include <array>
#include <cfenv>
#include <cmath>
#include <cstring>
#include <iostream>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <type_traits>

#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "autograd/transforms.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/function_rows.hpp"
#include "tests/support/instruction_sets.hpp"
#include "tests/support/with_gradients.hpp"

using namespace gradus;
using namespace gradus::test;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr Real unknown = std::numeric_limits<Real>::quiet_NaN();

/// Where a function is looked at, and what is known there: f, f', f'', or f, f_a, f_b, f_aa, f_ab, f_bb, some
/// of them unknown; and how large the terms of each are that cancel.
struct Point {
  std::array<double, 2> x{};
  std::array<Real, 6> exact{unknown, unknown, unknown, unknown, unknown, unknown};
  std::array<double, 6> sizes{};
};

std::vector<Point> points_of(const FunctionRow& f) {
  std::vector<Point> out;
  const std::size_t operands = static_cast<std::size_t>(f.operands), parts = operands == 1 ? 3 : 6;
  const Tensor table = fixture("sweep/" + f.name);
  for (std::int64_t row = 0; row < table.dim(0); ++row) {
    const auto at = [&](std::size_t column) {
      return table.at(row * table.dim(1) + static_cast<std::int64_t>(column));
    };
    Point p;
    for (std::size_t i = 0; i < operands; ++i) p.x[i] = at(i);
    for (std::size_t i = 0; i < parts; ++i) {
      p.exact[i] = at(operands + i);
      if (static_cast<std::size_t>(table.dim(1)) > operands + parts) p.sizes[i] = at(operands + parts + i);
    }
    out.push_back(p);
  }
  if (operands > 1) return out;
  // One number of each exponent between the first and the last that a law holds for.
  const Tensor laws = fixture("sweep/" + f.name + "_laws");
  std::mt19937 random(3);
  for (std::int64_t row = 0; row < laws.dim(0); ++row) {
    const auto at = [&](std::int64_t column) { return laws.at(row * 6 + column); };
    const double first = std::abs(at(1)), last = std::abs(at(2));
    for (int e = std::ilogb(first); e <= std::ilogb(last); ++e) {
      const double grain = std::ldexp(1.0, std::max(e < -126 ? -149 : e - 23, -1074));
      double x = std::ldexp(1 + static_cast<double>(random() >> 9) / (1 << 23), e);
      x = std::clamp(std::floor(x / grain) * grain, first, last);
      Point p;
      p.x[0] = std::copysign(x, at(1));
      const Real value =
          static_cast<Real>(at(4)) + static_cast<Real>(at(5)) * std::log2(static_cast<Real>(x));
      p.exact[static_cast<std::size_t>(at(0))] =
          at(4) == 0 && at(5) == 0 ? 0 : std::pow(static_cast<Real>(x), static_cast<Real>(at(3))) * value;
      out.push_back(p);
    }
  }
  return out;
}

/// How far `got` is from the exact value in units in the last place of the larger of that and `size`, or of
/// `factor` smallest subnormal numbers; what overflows counts as the power of two behind the largest number.
template <class T>
double ulps_off(double got, Real exact, double size, double factor) {
  using Limits = std::numeric_limits<T>;
  if (std::isnan(exact)) return 0;
  if (std::isnan(got)) return infinity;
  const Real most = std::ldexp(Real(1), Limits::max_exponent);
  const auto bounded = [most](Real x) { return std::clamp(x, -most, most); };
  const Real large = std::max({std::abs(bounded(exact)), std::min(static_cast<Real>(size), most / 2),
                               static_cast<Real>(Limits::min())});
  const int exponent = std::min(std::ilogb(large), Limits::max_exponent - 1) + 1;
  const Real unit = std::max(std::ldexp(Real(1), exponent - Limits::digits),
                             static_cast<Real>(Limits::denorm_min()) * factor);
  return static_cast<double>(std::abs(bounded(got) - bounded(exact)) / unit);
}

using Function = std::function<Variable(std::span<const Variable>)>;

/// f and its derivatives, in the order of a Point: recorded ones, of first and second order.
std::vector<Tensor> with_derivatives(const Function& f, const std::vector<Tensor>& inputs) {
  Tape tape;
  std::vector<Variable> xs;
  for (const Tensor& x : inputs) xs.push_back(tape.watch(x));
  const Variable y = f(xs);
  std::vector<Tensor> out{y.value()};
  std::vector<Variable> first;
  for (const Tensor& x : inputs) first.emplace_back(zeros_like(x));
  if (!y.is_constant()) first = grad(sum(y), xs);
  for (const Variable& d : first) out.push_back(d.value());
  for (std::size_t i = 0; i < xs.size(); ++i) {
    const auto second = first[i].is_constant() ? std::vector<Variable>() : grad(sum(first[i]), xs);
    for (std::size_t j = i; j < xs.size(); ++j)
      out.push_back(second.empty() ? zeros_like(inputs[j]) : second[j].value());
  }
  return out;
}
/// The first derivatives by plain backward passes, one scalar at a time, after a part that is not known.
std::vector<Tensor> of_scalars(const Function& f, const std::vector<Tensor>& inputs) {
  std::vector<std::vector<double>> columns(inputs.size());
  for (std::int64_t i = 0; i < inputs[0].size(); ++i) {
    std::vector<Tensor> one;
    for (const Tensor& x : inputs) one.push_back(Tensor::scalar(x.at(i), x.dtype()));
    const std::vector<Tensor> got = with_gradients(f, one);
    for (std::size_t k = 0; k < columns.size(); ++k) columns[k].push_back(got[k + 1].item());
  }
  std::vector<Tensor> out{Tensor()};
  for (const auto& column : columns)
    out.push_back(Tensor::from(column, {static_cast<std::int64_t>(column.size())}).to(inputs[0].dtype()));
  return out;
}

struct Worst {
  double ulps = 0;
  std::string where;
};

/// The worst of each order: value, first and second derivatives.
template <class T>
std::array<Worst, 3> worst_of(const FunctionRow& f) {
  std::vector<Point> points;
  for (const Point& p : points_of(f)) {
    bool inside = true;
    for (const double x : p.x) inside = inside && static_cast<double>(static_cast<T>(x)) == x;
    if (inside) points.push_back(p);
  }
  REQUIRE_FALSE(points.empty());
  std::vector<Tensor> inputs;
  for (std::size_t k = 0; k < static_cast<std::size_t>(f.operands); ++k) {
    std::vector<T> x;
    for (const Point& p : points) x.push_back(static_cast<T>(p.x[k]));
    inputs.push_back(Tensor::from(x, {static_cast<std::int64_t>(x.size())}));
  }
  std::array<Worst, 3> out;
  const auto compare = [&](const char* way, const std::vector<Tensor>& got) {
    for (std::size_t part = 0; part < got.size(); ++part) {
      if (!got[part].defined()) continue;
      const std::size_t order = part == 0 ? 0 : part <= inputs.size() ? 1 : 2;
      for (std::size_t i = 0; i < points.size(); ++i) {
        const Point& p = points[i];
        const double is = got[part].at(static_cast<std::int64_t>(i));
        // The terms of a composition may have a subnormal factor, which has few digits, and others as large
        // as x.
        const double large = std::max(1.0, std::abs(p.x[0]));
        const double factor =
            f.is_composed ? std::min(std::pow(large, 1 + 2 * static_cast<double>(order)), 0x1p16) : 1;
        if (inputs.size() > 1 && std::isinf(static_cast<T>(p.exact[part])))
          continue;  // infinities may meet there
        const double off = ulps_off<T>(is, p.exact[part], p.sizes[part], factor);
        if (!(off > out[order].ulps)) continue;
        std::ostringstream text;
        text.precision(17);
        text << f.name << " in " << name_of(dtype_of<T>()) << " with " << kernels::instruction_set() << ", "
             << way << ", part " << part << " at " << p.x[0];
        if (inputs.size() > 1) text << ", " << p.x[1];
        text << ": " << is << " instead of " << static_cast<double>(p.exact[part]);
        out[order] = {off, text.str()};
      }
    }
  };
  compare("on tensors", {f.on_tensors(inputs)});
  compare("on Variables", with_derivatives(f.on_variables, inputs));
  compare("on Variables, not recorded", with_gradients(f.on_variables, inputs));
  compare("by elementwise", with_derivatives(f.traced, inputs));
  compare("by elementwise, not recorded", with_gradients(f.traced, inputs));
  compare("on scalars", of_scalars(f.on_variables, inputs));
  return out;
}

template <class T>
void check_functions() {
  const char* const orders[] = {"the value", "the first derivative", "the second derivative"};
  for (const FunctionRow& f : function_rows()) {
    for_every_instruction_set([&] {
      const std::array<Worst, 3> worst = worst_of<T>(f);
      for (std::size_t order = 0; order < 3; ++order) {
        INFO(orders[order] << " of " << worst[order].where);
        CHECK(worst[order].ulps <= (f.is_composed ? 16 : 8));
      }
    });
  }
}

}  // namespace

TEST_CASE("values and derivatives are right to the last places at every exponent, in f32", "[accuracy]") {
  check_functions<float>();
}
TEST_CASE("values and derivatives are right to the last places at every exponent, in f64", "[accuracy]") {
  check_functions<double>();
}

TEST_CASE("functions of three numbers and their derivatives are exact", "[accuracy]") {
  STATIC_REQUIRE(kernels::ternary_count ==
                 6);  // fma, where, clamp, clamp_flat (hardtanh), within, inside; another belongs here
  for_every_instruction_set([] {
    for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
      for (const double scale : {0x1p-100, 0.25, 0x1p100}) {
        const std::vector<Tensor> inputs{Tensor::of({3, -5, 0.5, -7}, dtype),
                                         Tensor::of({-2, 4, 1, 6}, dtype) * scale,
                                         Tensor::of({9, 8, 2, 9}, dtype) * scale};
        const Tensor &a = inputs[0], &b = inputs[1], &c = inputs[2], one = ones_like(a), none = zeros_like(a);
        const auto check = [&](const Function& f, const std::vector<Tensor>& expected) {
          const std::vector<Tensor> got = with_derivatives(f, inputs);
          for (std::size_t i = 0; i < expected.size(); ++i) {
            for (std::int64_t k = 0; k < a.size(); ++k) CHECK(got[i].at(k) == expected[i].at(k));
          }
        };
        const Tensor first = a > 0, low = a < b, high = (1 - low) * (a > c), inside = (1 - low) * (1 - high);
        check([](auto x) { return fma(x[0], x[1], x[2]); }, {a * b + c, b, a, one, none, one});
        check([](auto x) { return where(x[0] > 0, x[1], x[2]); },
              {first * b + (1 - first) * c, none, first, 1 - first});
        check([](auto x) { return clamp(x[0], x[1], x[2]); },
              {low * b + inside * a + high * c, inside, low, high});
        check([](auto x) { return within(x[0], x[1], x[2]); }, {inside, none, none, none});
        check([](auto x) { return within(x[0], x[0], x[2]) + within(x[0], x[1], x[0]); },
              {(a <= c) + (a >= b), none, none, none});
        check([](auto x) { return gradus::inside(x[0], x[1], x[2]); }, {(a > b) * (a < c), none, none, none});
        check([](auto x) { return gradus::inside(x[0], x[0], x[2]) + gradus::inside(x[0], x[1], x[0]); },
              {none, none, none, none});
      }
    }
  });
}

TEST_CASE("functions of good numbers raise no floating-point exception, at any length", "[accuracy]") {
  constexpr int serious = FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW;
  for (const FunctionRow& f : function_rows()) {
    for_every_instruction_set([&] {
      for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
        for (const std::int64_t n : {1, 3, 5, 7, 16, 17}) {
          std::mt19937 random(5);
          std::uniform_real_distribution<double> near(f.range.low, f.range.high);
          std::vector<Tensor> inputs;
          for (int k = 0; k < f.operands; ++k) {
            std::vector<double> x(static_cast<std::size_t>(n));
            for (double& v : x) {
              do v = near(random) + k * f.range.apart;
              while (std::abs(v) < f.range.gap);
              if (f.name == "polygamma" || f.name == "sinc") v = std::abs(v) + 0.1;
            }
            inputs.push_back(Tensor::from(x, {n}).to(dtype));
          }
          INFO(f.name << " of " << n << " numbers of " << name_of(dtype) << " near " << inputs[0].at(0));
          std::feclearexcept(FE_ALL_EXCEPT);
          const Tensor y = f.on_tensors(inputs);
          CHECK(std::fetestexcept(serious) == 0);
          std::feclearexcept(FE_ALL_EXCEPT);
          const std::vector<Tensor> slopes = with_gradients(f.on_variables, inputs);
          CHECK(std::fetestexcept(serious) == 0);
          if (!f.is_composed || f.name == "logit") continue;
          const Tensor large = full({n}, 100, dtype);  // where the branch that is not taken would overflow
          std::feclearexcept(FE_ALL_EXCEPT);
          const Tensor z = f.on_tensors(std::array{large});
          const std::vector<Tensor> slopes_there = with_gradients(f.on_variables, {large});
          CHECK(std::fetestexcept(serious) == 0);
        }
      }
    });
  }
}

TEST_CASE("the gradient of NaN is NaN in abs, clamp and hardtanh, and values agree on tensors and Variables",
          "[accuracy]") {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  for (const bool single : {false, true}) {
    const auto tensor = [&](double x) {
      return single ? Tensor::scalar(x, Dtype::f64) : Tensor::of({x, x, x}, Dtype::f64);
    };
    const auto slope = [&](const auto& f, double x) {
      Tape tape;
      const Variable v = tape.watch(tensor(x));
      return tape.backward(sum(f(v)))[v].at(0);
    };
    CHECK(std::isnan(slope([](const Variable& v) { return abs(v); }, nan)));
    CHECK(std::isnan(slope([](const Variable& v) { return clamp(v, -1, 1); }, nan)));
    CHECK(std::isnan(slope([&](const Variable& v) { return clamp(v, nan, 5); }, 2)));
    CHECK(std::isnan(slope([](const Variable& v) { return hardtanh(v); }, nan)));
    CHECK(std::isnan(
        slope([](const Variable& v) { return elementwise([](auto x) { return hardtanh(x); }, v); }, nan)));
    CHECK(slope([](const Variable& v) { return hardtanh(v); }, 1) == 0);
    CHECK(slope([](const Variable& v) { return hardtanh(v); }, 0.5) == 1);
    CHECK(slope([](const Variable& v) { return clamp(v, -1, 1); }, 1) == 1);
    CHECK(slope([](const Variable& v) { return clamp(v, -1, 1); }, 2) == 0);
    for (const double x : {2.0, 7.0, -7.0, nan}) {
      for (const auto& [low, high] :
           {std::pair(nan, 5.0), std::pair(-1.0, nan), std::pair(5.0, -5.0), std::pair(-1.0, 5.0)}) {
        INFO("clamp(" << x << ", " << low << ", " << high << ")");
        const double on_tensors = clamp(tensor(x), low, high).at(0);
        const double on_variables = clamp(Variable(tensor(x)), low, high).value().at(0);
        const double of_three =
            clamp(Variable(tensor(x)), Variable(tensor(low)), Variable(tensor(high))).value().at(0);
        const double expected = std::isnan(x + low + high) ? nan : std::min(std::max(x, low), high);
        for (const double y : {on_tensors, on_variables, of_three})
          CHECK((std::isnan(expected) ? std::isnan(y) : y == expected));
      }
    }
  }
}

TEST_CASE("print the table of the worst errors", "[.][accuracy-table]") {
  std::cout << "| function | f32: f | f' | f'' | f64: f | f' | f'' |\n|---|---|---|---|---|---|---|\n";
  for (const FunctionRow& f : function_rows()) {
    const auto f32 = worst_of<float>(f), f64 = worst_of<double>(f);
    std::cout << "| " << f.name;
    for (const auto& worst : {f32, f64}) {
      for (const Worst& of : worst) std::cout << " | " << std::round(of.ulps * 10) / 10;
    }
    std::cout << " |\n";
    if (std::getenv("GRADUS_WHERE") != nullptr) {
      for (const auto& worst : {f32, f64}) {
        for (const Worst& of : worst) {
          if (!(of.ulps <= 8)) std::cout << "    " << of.ulps << " " << of.where << "\n";
        }
      }
    }
  }
}
