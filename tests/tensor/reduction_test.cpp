#include "autograd/ops/reduction.hpp"

#include <array>
#include <cmath>
#include <functional>
#include <limits>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/cross_entropy.hpp"
#include "autograd/ops/cumulative.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/softmax.hpp"
#include "autograd/tape.hpp"
#include "tensor/kernels/softmax.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "tensor/support/parallel.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/instruction_sets.hpp"
#include "tests/support/torch_case.hpp"

using namespace gradus;
using namespace gradus::test;
using Catch::Contains;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

/// The elements that fall on each place of the result, in their order.
std::vector<std::vector<double>> groups(const Tensor& x, const AxisSet& axes) {
  const Shape shape = x.shape();
  std::vector<std::vector<double>> out(static_cast<std::size_t>(axes.dropped(shape).size()));
  for (std::int64_t i = 0; i < x.size(); ++i) {
    std::int64_t rest = i, place = 0, stride = 1;
    for (int axis = shape.rank(); axis-- > 0;) {
      const std::int64_t at = rest % shape[axis];
      rest /= shape[axis];
      if (axes.contains(axis)) continue;
      place += at * stride;
      stride *= shape[axis];
    }
    out[static_cast<std::size_t>(place)].push_back(x.at(i));
  }
  return out;
}

using Group = std::vector<double>;
struct Reducer {
  const char* name;
  std::function<Tensor(const Tensor&, const Axes&, bool)> ours;
  double (*naive)(const Group&);
};

double naive_sum(const Group& v) {
  double total = 0;
  for (const double x : v) total += x;
  return total;
}
double naive_var(const Group& v) {
  const double n = static_cast<double>(v.size()), mean = naive_sum(v) / n;
  double total = 0;
  for (const double x : v) total += (x - mean) * (x - mean);
  return total / (n - 1);
}
double naive_norm(const Group& v, double p) {
  double total = 0;
  for (const double x : v) total += std::pow(std::abs(x), p);
  return std::pow(total, 1 / p);
}

const std::vector<Reducer>& reducers() {
  static const std::vector<Reducer> all_of_them{
      {"sum", [](auto& x, auto& a, bool k) { return sum(x, a, k); }, naive_sum},
      {"mean", [](auto& x, auto& a, bool k) { return mean(x, a, k); },
       [](const Group& v) { return naive_sum(v) / static_cast<double>(v.size()); }},
      {"prod", [](auto& x, auto& a, bool k) { return prod(x, a, k); },
       [](const Group& v) {
         double total = 1;
         for (const double x : v) total *= x;
         return total;
       }},
      {"max", [](auto& x, auto& a, bool k) { return max(x, a, k); },
       [](const Group& v) { return *std::max_element(v.begin(), v.end()); }},
      {"min", [](auto& x, auto& a, bool k) { return min(x, a, k); },
       [](const Group& v) { return *std::min_element(v.begin(), v.end()); }},
      {"var", [](auto& x, auto& a, bool k) { return var(x, a, {.keepdims = k}); }, naive_var},
      {"stddev", [](auto& x, auto& a, bool k) { return stddev(x, a, {.keepdims = k}); },
       [](const Group& v) { return std::sqrt(naive_var(v)); }},
      {"norm 2", [](auto& x, auto& a, bool k) { return norm(x, a, {.keepdims = k}); },
       [](const Group& v) { return naive_norm(v, 2); }},
      {"norm 1", [](auto& x, auto& a, bool k) { return norm(x, a, {.p = 1, .keepdims = k}); },
       [](const Group& v) { return naive_norm(v, 1); }},
      {"norm 3", [](auto& x, auto& a, bool k) { return norm(x, a, {.p = 3, .keepdims = k}); },
       [](const Group& v) { return naive_norm(v, 3); }},
      {"norm inf", [](auto& x, auto& a, bool k) { return norm(x, a, {.p = infinity, .keepdims = k}); },
       [](const Group& v) {
         return std::max(*std::max_element(v.begin(), v.end()), -*std::min_element(v.begin(), v.end()));
       }},
      {"logsumexp", [](auto& x, auto& a, bool k) { return logsumexp(x, a, k); },
       [](const Group& v) {
         double total = 0;
         for (const double x : v) total += std::exp(x);
         return std::log(total);
       }},
      {"any", [](auto& x, auto& a, bool k) { return any(x - x, a, k); }, [](const Group&) { return 0.0; }},
      {"all", [](auto& x, auto& a, bool k) { return all(x, a, k); }, [](const Group&) { return 1.0; }},
  };
  return all_of_them;
}

void check_close(const Tensor& ours, const std::vector<double>& expected, double tolerance) {
  REQUIRE(ours.size() == static_cast<std::int64_t>(expected.size()));
  for (std::int64_t i = 0; i < ours.size(); ++i) {
    const double e = expected[static_cast<std::size_t>(i)], a = ours.at(i);
    INFO("element " << i << ": " << a << ", expected " << e);
    if (std::isnan(e)) {
      CHECK(std::isnan(a));
    } else if (std::isinf(e)) {
      CHECK(a == e);
    } else {
      CHECK(std::abs(a - e) <= tolerance * std::max(1.0, std::abs(e)));
    }
  }
}

/// The value, and the gradient of its sum.
std::pair<Tensor, Tensor> with_gradient(const Tensor& x, const std::function<Variable(const Variable&)>& f) {
  Tape tape;
  const Variable v = tape.watch(x);
  const Variable y = f(v);
  const Gradients gradients = tape.backward(sum(y));
  return {y.value(), gradients[v]};
}

Tensor numbers(std::vector<double> values, const Shape& shape, Dtype dtype) {
  return Tensor::from(values, shape).to(dtype);
}

}  // namespace

TEST_CASE("reductions over any axes equal plain loops", "[reduction]") {
  struct Case {
    Shape shape;
    std::vector<int> axes;
  };
  const std::vector<Case> cases{{{5, 7, 33}, {0}},       {{5, 7, 33}, {1}},      {{5, 7, 33}, {-1}},
                                {{5, 7, 33}, {0, 1}},    {{5, 7, 33}, {2, 1}},   {{5, 7, 33}, {0, -1}},
                                {{5, 7, 33}, {0, 1, 2}}, {{5, 7, 33}, {}},       {{1}, {0}},
                                {{3, 1, 4}, {1}},        {{3, 1, 4}, {0, 2}},    {{40, 3}, {0}},
                                {{700, 3}, {0}},         {{2, 3, 4, 5}, {1, 3}}, {{2, 3, 4, 5}, {0, 2}},
                                {{3, 20, 600}, {1}},     {{2, 5000}, {1}},       {{3000, 70}, {0}},
                                {{2, 2000, 90}, {1}},    {{4, 3, 2}, {1}},       {{2, 1, 3, 1}, {1, 3}},
                                {{40, 4300}, {0}}};
  for_every_instruction_set([&] {
    Rng rng(3);
    for (const Case& c : cases) {
      const AxisSet reduced = Axes(c.axes).of("test", c.shape);
      for (const Dtype dtype : {Dtype::f64, Dtype::f32}) {
        // Near 1, so that products stay in range.
        const Tensor x = rng.uniform(c.shape, 0.98, 1.02, dtype);
        const auto parts = groups(x, reduced);
        for (const Reducer& r : reducers()) {
          if (parts[0].size() == 1 && (std::string(r.name) == "var" || std::string(r.name) == "stddev"))
            continue;
          INFO(r.name << " of " << c.shape.text() << " in " << name_of(dtype));
          std::vector<double> expected;
          for (const Group& part : parts) expected.push_back(r.naive(part));
          const Tensor y = r.ours(x, c.axes, false);
          CHECK(y.dtype() == dtype);
          CHECK(y.shape() == reduced.dropped(c.shape));
          CHECK(r.ours(x, c.axes, true).shape() == reduced.kept(c.shape));
          check_close(y, expected, dtype == Dtype::f64 ? 1e-12 : 2e-5);
        }
      }
    }
  });
}

TEST_CASE("all axes are the default, and a scalar is its own reduction", "[reduction]") {
  Rng rng(4);
  const Tensor x = rng.uniform({3, 4}, 0.5, 1.5, Dtype::f64), s = Tensor::scalar(-2, Dtype::f64);
  for (const Reducer& r : reducers()) {
    INFO(r.name);
    CHECK(identical(r.ours(x, {}, false), r.ours(x, {0, 1}, false)));
    CHECK(r.ours(x, {}, true).shape() == Shape{1, 1});
    CHECK(r.ours(s, {}, false).shape() == Shape{});
    CHECK_THROWS_AS(r.ours(x, {0, -2}, false), ShapeError);
    CHECK_THROWS_AS(r.ours(x, 2, false), ShapeError);
    CHECK_THROWS_AS(r.ours(s, 0, false), ShapeError);
  }
  CHECK(max(s).item() == -2);
  CHECK(norm(s).item() == 2);
  CHECK(logsumexp(s).item() == -2);
  CHECK(std::isnan(var(s).item()));
  CHECK(var(s, {}, {.correction = 0}).item() == 0);
}

TEST_CASE("reductions over nothing are PyTorch's", "[reduction]") {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    const Tensor none = zeros({2, 0}, dtype);
    check_close(sum(none, 1), {0, 0}, 0);
    check_close(prod(none, 1), {1, 1}, 0);
    check_close(mean(none, 1), {not_a_number, not_a_number}, 0);
    check_close(var(none, 1), {not_a_number, not_a_number}, 0);
    check_close(norm(none, {1}), {0, 0}, 0);
    check_close(logsumexp(none, 1), {-infinity, -infinity}, 0);
    check_close(any(none, 1), {0, 0}, 0);
    check_close(all(none, 1), {1, 1}, 0);
    CHECK(prod(none).item() == 1);
    CHECK(sum(none, 0).shape() == Shape{0});
    CHECK(max(none, {0}).shape() == Shape{0});
    CHECK(argmax(none, 0).shape() == Shape{0});
    CHECK(softmax(none).shape() == Shape{2, 0});
    CHECK(cumsum(none, 1).shape() == Shape{2, 0});
    CHECK_THROWS_WITH(max(none, {1}), Contains("max") && Contains("(2, 0)"));
    CHECK_THROWS_WITH(min(none), Contains("min"));
    CHECK_THROWS_AS(norm(none, {1}, {.p = infinity}), ShapeError);
    CHECK_THROWS_WITH(argmax(none, 1), Contains("argmax"));
    CHECK_THROWS_AS(argmin(none), ShapeError);
  }
}

TEST_CASE("NaN and infinities go through reductions as through PyTorch's", "[reduction]") {
  for_every_instruction_set([] {
    for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
      for (const std::int64_t rows : {1, 3, 20, 40}) {
        for (const std::int64_t cols : {1, 5, 16, 37}) {
          Tensor x = ones({rows, cols}, dtype);
          const std::int64_t at = rows * cols / 2;
          x = x + numbers({not_a_number}, {}, dtype) * 0;  // all NaN; then one only
          CHECK(std::isnan(max(x).item()));
          std::vector<double> values(static_cast<std::size_t>(rows * cols), 1);
          values[static_cast<std::size_t>(at)] = not_a_number;
          x = numbers(values, {rows, cols}, dtype);
          for (const int axis : {0, 1}) {
            for (const Tensor& y :
                 {max(x, {axis}), min(x, {axis}), sum(x, axis), prod(x, axis), logsumexp(x, axis)}) {
              const std::int64_t hit = axis == 0 ? at % cols : at / cols;
              for (std::int64_t i = 0; i < y.size(); ++i) CHECK(std::isnan(y.at(i)) == (i == hit));
            }
          }
          CHECK(argmax(x).values()[0] == at);
          CHECK(argmin(x).values()[0] == at);
          CHECK(argmax(x, 0).values()[static_cast<std::size_t>(at % cols)] == at / cols);
          CHECK(argmin(x, 1).values()[static_cast<std::size_t>(at / cols)] == at % cols);
        }
      }
      const Tensor odd =
          numbers({-infinity, -infinity, infinity, 0, -infinity, 1, infinity, -infinity}, {4, 2}, dtype);
      check_close(logsumexp(odd, 1), {-infinity, infinity, 1, infinity}, 1e-6);
      check_close(logsumexp(transpose(odd), 0), {-infinity, infinity, 1, infinity}, 1e-6);
      const std::vector<double> shares{not_a_number, not_a_number, not_a_number, not_a_number, 0, 1,
                                       not_a_number, not_a_number};
      const std::vector<double> logs{not_a_number, not_a_number, not_a_number, not_a_number, -infinity, 0,
                                     not_a_number, not_a_number};
      check_close(softmax(odd), shares, 1e-6);
      check_close(log_softmax(odd), logs, 1e-6);
      check_close(transpose(softmax(transpose(odd), 0)), shares, 1e-6);
      check_close(transpose(log_softmax(transpose(odd), 0)), logs, 1e-6);
    }
  });
  CHECK(any(Tensor::of({0, not_a_number})).item() == 1);
  CHECK(all(Tensor::of({1, not_a_number})).item() == 1);
  CHECK(all(Tensor::of({1, 0, 2})).item() == 0);
}

TEST_CASE("gradients at the edges are PyTorch's, but for infinities in logsumexp", "[reduction]") {
  const auto edges = [](std::vector<double> in, const std::function<Variable(const Variable&)>& f,
                        const std::vector<double>& value, const std::vector<double>& gradient) {
    const auto n = static_cast<std::int64_t>(in.size()) / 2;
    const auto [y, g] = with_gradient(numbers(std::move(in), {n, 2}, Dtype::f64), f);
    check_close(y, value, 1e-14);
    check_close(g, gradient, 1e-14);
  };
  edges({-infinity, -infinity, infinity, 0, -infinity, 1}, [](const Variable& x) { return logsumexp(x, 1); },
        {-infinity, infinity, 1}, {0, 0, 1, 0, 0, 1});
  const auto norm_of = [](double p) { return [p](const Variable& x) { return norm(x, {1}, {.p = p}); }; };
  edges({0, 0, 3, -4, 0, 2}, norm_of(2), {0, 5, 2}, {0, 0, 0.6, -0.8, 0, 1});
  edges({0, 0, 3, -4, 0, 2}, norm_of(1), {0, 7, 2}, {0, 0, 1, -1, 0, 1});
  edges({0, 0, 2, -2, 0, 2}, norm_of(3), {0, 2.5198420997897464, 2},
        {0, 0, 0.6299605249474365, -0.6299605249474365, 0, 1});
  edges({0, 0, 3, -4, 0, 2}, norm_of(0.5), {0, 13.928203230275509, 2},
        {0, 0, 2.154700538379252, -1.8660254037844386, 0, 1});
  edges({0, 0, 3, -4, 2, -2}, norm_of(infinity), {0, 4, 2}, {0, 0, 0, -1, 0.5, -0.5});
  edges({0, 0, 3, -4, 2, -2}, norm_of(-infinity), {0, 3, 2}, {0, 0, 1, 0, 0.5, -0.5});
  edges({1, 1, 1, 3}, [](const Variable& x) { return stddev(x, 1); }, {0, std::sqrt(2.0)},
        {0, 0, -std::sqrt(0.5), std::sqrt(0.5)});
  edges({not_a_number, 3, 3, 2}, [](const Variable& x) { return max(x, {1}); }, {not_a_number, 3},
        {not_a_number, not_a_number, 1, 0});
}

TEST_CASE("reductions, softmax and cumulative ops have PyTorch's values and gradients", "[reduction]") {
  const auto check = [](const char* name, const std::function<Variable(const Variable&)>& f) {
    check_torch_case(name, {"x"}, [&](std::span<const Variable> in) { return f(in[0]); });
  };
  check("prod", [](const Variable& x) { return prod(x, 1); });
  check("cumprod", [](const Variable& x) { return cumprod(x, 1); });
  check("cumsum", [](const Variable& x) { return cumsum(x, 1); });
  check("amax", [](const Variable& x) { return max(x, {0, 2}); });
  check("amin", [](const Variable& x) { return min(x, {0}, true); });
  check("var", [](const Variable& x) { return var(x, {0, 2}); });
  check("std", [](const Variable& x) { return stddev(x, 1, {.correction = 0, .keepdims = true}); });
  check("norm", [](const Variable& x) { return norm(x, {1}); });
  check("norm_three_halves", [](const Variable& x) { return norm(x, {0}, {.p = 1.5}); });
  check("norm_inf", [](const Variable& x) { return norm(x, {0, 1}, {.p = infinity}); });
  check("logsumexp", [](const Variable& x) { return logsumexp(x, {0, 2}); });
  check("softmax", [](const Variable& x) { return softmax(x, 1); });
  check("log_softmax", [](const Variable& x) { return log_softmax(x, 0); });
  const auto loss = [](const Variable& x, Reduction reduction) {
    return cross_entropy(reshape(x, {6, 4}), Indices({2, 0, 1, 1, 3, 2}),
                         {.reduction = reduction,
                          .label_smoothing = 0.2,
                          .ignore_index = 1,
                          .weight = Tensor::of({0.5, 2, 1.25, 0}, x.dtype())});
  };
  // The fixture's number has an axis of length 1.
  check("cross_entropy_mean", [&](const Variable& x) { return reshape(loss(x, Reduction::mean), {1}); });
  check("cross_entropy_none", [&](const Variable& x) { return loss(x, Reduction::none); });
}

TEST_CASE("the place of an extreme is the first, along any axis", "[reduction]") {
  for_every_instruction_set([] {
    Rng rng(8);
    for (const Shape& shape : {Shape{4, 5, 6}, Shape{3, 9000}, Shape{300, 70}, Shape{7}}) {
      for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
        const Tensor x = floor(rng.uniform(shape, 0, 9, dtype));  // many ties
        for (int axis = -1; axis < shape.rank(); ++axis) {
          const auto parts = groups(x, Axes(axis).of("test", shape));
          const Indices most = argmax(x, axis), least = argmin(x, axis);
          CHECK(argmax(x, axis, true).shape() == Axes(axis).of("test", shape).kept(shape));
          for (std::size_t i = 0; i < parts.size(); ++i) {
            const Group& part = parts[i];
            CHECK(most.values()[i] == std::max_element(part.begin(), part.end()) - part.begin());
            CHECK(least.values()[i] == std::min_element(part.begin(), part.end()) - part.begin());
          }
        }
        CHECK(argmax(x).rank() == 0);
        CHECK(x.at(argmax(x).values()[0]) == max(x).item());
      }
    }
  });
}

TEST_CASE("sums of many f32 stay exact to a few ulp, along every axis, and variances do not cancel",
          "[reduction]") {
  for_every_instruction_set([] {
    const Tensor tall = full({1'000'000, 4}, 0.1), wide = full({4, 1'000'000}, 0.1);
    const Tensor sums = sum(tall, 0), flat_sums = sum(wide, 1);
    for (std::int64_t i = 0; i < 4; ++i) {
      CHECK(sums.at(i) == Approx(1e5).epsilon(1e-6));
      CHECK(flat_sums.at(i) == Approx(1e5).epsilon(1e-6));
    }
  });
  // E[x^2] - E[x]^2 would give 0 or worse.
  const Tensor far = Tensor::of({10000, 10001, 10002, 10003});
  CHECK(var(far).item() == Approx(5.0 / 3).epsilon(1e-6));
  CHECK(prod(Tensor::of({1e30, 1e30, 1e-30, 1e-30})).item() == Approx(1).epsilon(1e-5));
  CHECK(norm(Tensor::of({3e30, 4e30})).item() == Approx(5e30).epsilon(1e-6));
}

TEST_CASE("sums are right where parts of them overflow", "[reduction]") {
  for_every_instruction_set([] {
    for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
      const double most = dtype == Dtype::f32 ? 3e38 : 1.7e308;
      for (const std::int64_t half : {2, 40, 5000}) {
        const Tensor x = concat({full({half}, most, dtype), full({half}, -most, dtype)}, 0);
        // Each of the sums on the way may be rounded.
        const double bound = static_cast<double>(half * half) * (dtype == Dtype::f32 ? 0x1p-23 : 0x1p-52);
        const auto close = [&](double found, double expected) {
          INFO(found << " instead of " << expected << " of " << half);
          CHECK(std::abs(found / most - expected) <= bound);
        };
        close(sum(x).item(), 0);
        close(sum(concat({x, full({1}, most / 2, dtype)}, 0)).item(), 0.5);
        const Tensor columns = sum(x.reshape({half * 2, 1}) * ones({1, 3}, dtype), 0);
        for (std::int64_t c = 0; c < 3; ++c) close(columns.at(c), 0);
      }
      const Tensor x = numbers({most, most, -most, -most, 1}, {5}, dtype);
      const Tensor running = cumsum(x, 0), back = cumsum(x, 0, {.reverse = true});
      CHECK(running.at(1) == infinity);
      CHECK(running.at(2) == x.at(0));
      CHECK(running.at(3) == 0);
      CHECK(back.at(3) == x.at(3));
      CHECK(back.at(2) == -infinity);
      CHECK(back.at(1) == x.at(3));
      CHECK(sum(numbers({most, most}, {2}, dtype)).item() == infinity);
      CHECK(std::isnan(sum(numbers({infinity, -infinity}, {2}, dtype)).item()));
    }
  });
}

TEST_CASE("reductions have the same bits for any number of threads", "[reduction][threads]") {
  Rng rng(9);
  const std::vector<std::pair<Shape, int>> cases{{{300'000}, 0},   {{3, 100'000}, 1},  {{100'000, 3}, 0},
                                                 {{2000, 150}, 0}, {{4, 500, 150}, 1}, {{500, 600}, 1}};
  for (const auto& [shape, axis] : cases) {
    const Tensor x = rng.uniform(shape, -1, 1);
    std::vector<std::vector<Tensor>> results;
    for (const int count : {1, 2, 3}) {
      set_threads(count);
      results.push_back({sum(x), sum(x, axis), prod(x, axis), max(x, {axis}), var(x, axis),
                         logsumexp(x, axis), softmax(x, axis), log_softmax(x, axis), cumsum(x, axis),
                         sum_to(x, Shape{1})});
    }
    set_threads(0);
    for (std::size_t i = 0; i < results[0].size(); ++i) {
      INFO("result " << i << " of shape " << shape.text());
      CHECK(identical(results[0][i], results[1][i]));
      CHECK(identical(results[0][i], results[2][i]));
    }
  }
}

TEST_CASE("cumulative ops equal plain loops", "[reduction]") {
  Rng rng(10);
  for (const Shape& shape : {Shape{5}, Shape{3, 100}, Shape{2, 3, 4}, Shape{1, 7}}) {
    for (int axis = -1; axis < shape.rank(); ++axis) {
      const Tensor a = rng.uniform(shape, -1, 1, Dtype::f64), b = rng.uniform(shape, -1, 1, Dtype::f64);
      const AxisSet along = Axes(axis).of("test", shape);
      const auto as = groups(a, along), bs = groups(b, along);
      const auto check = [&](const Tensor& ours, auto&& naive) {
        const auto columns = groups(ours, along);
        for (std::size_t i = 0; i < columns.size(); ++i) {
          const Group expected = naive(as[i], bs[i]);
          for (std::size_t l = 0; l < expected.size(); ++l) {
            CHECK(columns[i][l] == Approx(expected[l]).epsilon(1e-12).margin(1e-14));
          }
        }
      };
      const auto forward = [](double start, auto step) {
        return [start, step](const Group& p, const Group& q) {
          Group out;
          double state = start;
          for (std::size_t i = 0; i < p.size(); ++i) out.push_back(state = step(state, p, q, i));
          return out;
        };
      };
      check(cumsum(a, axis), forward(0, [](double s, auto& p, auto&, std::size_t i) { return s + p[i]; }));
      check(cumprod(a, axis), forward(1, [](double s, auto& p, auto&, std::size_t i) { return s * p[i]; }));
      check(recurrence(a, b, axis, Direction::forward),
            forward(0, [](double s, auto& p, auto& q, std::size_t i) { return q[i] + p[i] * s; }));
      const auto backward = [](bool scaled) {
        return [scaled](const Group& p, const Group& q) {
          Group out(p.size());
          double state = 0;
          for (std::size_t i = p.size(); i-- > 0;) {
            const double factor = !scaled ? 1 : i + 1 < p.size() ? p[i + 1] : 0;
            out[i] = state = (scaled ? q[i] : p[i]) + factor * state;
          }
          return out;
        };
      };
      check(cumsum(a, axis, {.reverse = true}), backward(false));
      check(recurrence(a, b, axis, Direction::backward), backward(true));
    }
  }
  CHECK(cumsum(Tensor::scalar(3), 0).item() == 3);
  CHECK(cumprod(Tensor::scalar(3), -1).item() == 3);
  CHECK_THROWS_WITH(cumsum(Tensor::scalar(1), 1), Contains("cumsum"));
  CHECK_THROWS_WITH(recurrence(ones({2}), ones({3}), 0, Direction::forward),
                    Contains("(2,)") && Contains("(3,)"));
  CHECK_THROWS_WITH(recurrence(ones({2}), ones({2}, Dtype::f64), 0, Direction::forward),
                    Contains("f32") && Contains("f64"));
}

TEST_CASE("norms, means and deviations are right where powers and sums on the way are out of range",
          "[reduction]") {
  const auto pair = [](double a, double b, Dtype dtype = Dtype::f32) {
    return Tensor::of({a, b, 3, 4}, dtype).reshape({2, 2});  // beside a row of harmless numbers
  };
  for (const double size : {1e20, 1e-24, 1e37, 1e-38}) {
    INFO(size);
    const Tensor lengths = norm(pair(3 * size, 4 * size), {1});
    CHECK(lengths.at(0) == Approx(5 * size).epsilon(1e-6).margin(0));
    CHECK(lengths.at(1) == 5);
  }
  for (const double size : {1e200, 1e-200}) {
    CHECK(norm(pair(3 * size, 4 * size, Dtype::f64), {1}).at(0) == Approx(5 * size).epsilon(1e-14).margin(0));
    CHECK(norm(Tensor::of({3 * size, 4 * size}, Dtype::f64)).item() ==
          Approx(5 * size).epsilon(1e-14).margin(0));
  }
  CHECK(norm(pair(1e-23, 0), {1}, {.p = 3}).at(0) == Approx(1e-23).epsilon(1e-6).margin(0));
  CHECK(norm(pair(1e5, 1e5), {1}, {.p = 10}).at(0) == Approx(1e5 * std::pow(2, 0.1)).epsilon(1e-6));
  CHECK(norm(zeros({2, 2}), {1}, {.p = 3}).text() == "[0, 0]");
  CHECK(norm(pair(1e-30, 1e-30), {1}, {.p = -2}).at(0) ==
        Approx(std::sqrt(0.5) * 1e-30).epsilon(1e-6).margin(0));
  CHECK(norm(pair(1e30, 1e30), {1}, {.p = -2}).at(0) == Approx(std::sqrt(0.5) * 1e30).epsilon(1e-6));
  CHECK(norm(pair(0, 5), {1}, {.p = -2}).at(0) == 0);
  const Tensor apart = Tensor::of({3e38, 3e38, -3e38, 3e38});
  CHECK(stddev(apart).item() == Approx(3e38).epsilon(1e-6));
  CHECK(std::isinf(var(apart).item()));
  CHECK(std::isinf(norm(Tensor::of({INFINITY, 1}), {0}).item()));
  CHECK(std::isnan(norm(Tensor::of({NAN, 1}).reshape({1, 2}), {1}).item()));

  CHECK(stddev(pair(1e30, 2e30), 1).at(0) == Approx(std::sqrt(0.5) * 1e30).epsilon(1e-6));
  CHECK(stddev(pair(1e-30, 2e-30), 1).at(0) == Approx(std::sqrt(0.5) * 1e-30).epsilon(1e-6).margin(0));
  CHECK(var(Tensor::of({1e7, 1e7 + 1})).item() == 0.5);
  CHECK(var(Tensor::of({1e7, 1e7 + 1}), 0, {.correction = 0}).item() == 0.25);
  for (const double x : {0.1, 1e7 + 1, 3e38, 1e-40}) {
    INFO(x);
    CHECK(stddev(full({1000}, x)).item() == 0);
    CHECK(stddev(full({7, 333}, x), 1).text() == zeros({7}).text());
  }
  CHECK(mean(full({2}, 3e38)).item() == full({}, 3e38).item());
  CHECK(mean(full({3, 5}, -3e38), 0).at(4) == full({}, -3e38).item());
  CHECK(std::isinf(mean(Tensor::of({INFINITY, 1})).item()));
  CHECK(std::isnan(mean(zeros({0})).item()));
}

TEST_CASE("errors of reductions name the op and the user's line", "[reduction]") {
  const Variable x(ones({2, 3}));
  const auto here = [](int line) { return Contains("reduction_test.cpp:" + std::to_string(line)); };
  CHECK_THROWS_WITH(sum(x, 2), here(__LINE__) && Contains("sum") && Contains("(2, 3)"));
  CHECK_THROWS_WITH(prod(x, {0, 0}), here(__LINE__) && Contains("named twice"));
  CHECK_THROWS_WITH(max(x, {-3}), here(__LINE__) && Contains("max"));
  CHECK_THROWS_WITH(softmax(x, 5), here(__LINE__) && Contains("softmax"));
  CHECK_THROWS_WITH(cumprod(x, 5), here(__LINE__) && Contains("cumprod"));
  CHECK_THROWS_WITH(logsumexp(x, 5), here(__LINE__) && Contains("logsumexp"));
  CHECK_THROWS_WITH(argmax(x, 5), here(__LINE__) && Contains("argmax"));
  CHECK(softmax(Variable(Tensor::scalar(7))).item() == 1);
  CHECK(log_softmax(Tensor::scalar(7)).item() == 0);
  CHECK_THROWS_WITH(softmax(Variable(Tensor::scalar(1)), 1), here(__LINE__) && Contains("softmax"));
  const Indices targets({0, 1});
  CHECK_THROWS_AS(cross_entropy(x, Indices({0, 3})), ShapeError);
  CHECK_THROWS_AS(cross_entropy(x, targets, {.label_smoothing = 1.5}), ArgumentError);
  CHECK_THROWS_AS(cross_entropy(x, targets, {.weight = ones({2})}), ShapeError);
  CHECK_THROWS_WITH(cross_entropy(x, Indices({-100, -100})), Contains("none counts"));
}

TEST_CASE("diff gives the differences of neighbours along an axis", "[ops]") {
  const Variable x(Tensor::of({1, 4, 9, 16, 25, 36}, Dtype::f64).reshape({2, 3}));
  CHECK(gradus::test::difference(diff(x).value(), Tensor::of({3, 5, 9, 11}, Dtype::f64).reshape({2, 2})) ==
        0);
  CHECK(gradus::test::difference(diff(x, 0).value(), Tensor::of({15, 21, 27}, Dtype::f64).reshape({1, 3})) ==
        0);
  CHECK(diff(Variable(zeros({2, 1}))).shape() == Shape{2, 0});
  CHECK(diff(Variable(zeros({0, 2})), 0).shape() == Shape{0, 2});
  CHECK_THROWS_WITH(diff(x, 2), Catch::Contains("at reduction_test.cpp") && Catch::Contains("axis"));
}
