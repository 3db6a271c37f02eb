#include "autograd/ops/vectors.hpp"

#include <cmath>
#include <limits>

#include "autograd/ops/logcumsumexp.hpp"
#include "autograd/ops/movement.hpp"
#include "tensor/random.hpp"
#include "tensor/support/parallel.hpp"
#include "tests/support/positions.hpp"
#include "tests/support/torch_case.hpp"

using namespace gradus;
using namespace gradus::test;
using Catch::Contains;

namespace {
const double infinity = std::numeric_limits<double>::infinity(), not_a_number = std::nan("");
using Xs = std::span<const Variable>;
}  // namespace

TEST_CASE("distances' values and gradients are PyTorch's, 0 where points are the same", "[vectors]") {
  for (const auto& [name, p] : std::vector<std::pair<std::string, double>>{
           {"two", 2}, {"one", 1}, {"infinite", infinity}, {"three", 3}, {"same", 2}}) {
    check_torch_case("cdist_" + name, {"a", "b"},
                     [order = p](Xs x) { return cdist(x[0], x[1], {.p = order}); });
  }
}

TEST_CASE("distances keep the digits of near points, and their range", "[vectors]") {
  for (const Dtype dtype : both) {
    const Tensor a = Tensor::of({1024, 2048}, dtype).reshape({1, 2});
    const Tensor b = a + Tensor::of({0.0078125, 0.00390625}, dtype);
    CHECK(cdist(a, b).item() ==
          Approx(0.0078125 * std::sqrt(1.25)).epsilon(dtype == Dtype::f32 ? 1e-6 : 1e-12));
  }
  for (const double size : {1e200, 1e-200}) {
    const Tensor a = Tensor::of({3 * size, 0}, Dtype::f64).reshape({1, 2});
    const Tensor b = Tensor::of({0, 4 * size}, Dtype::f64).reshape({1, 2});
    for (const double p : {2.0, 3.0})
      CHECK(cdist(a, b, {.p = p}).item() / size == Approx(std::pow(std::pow(3, p) + std::pow(4, p), 1 / p)));
  }
  const Tensor x = Tensor::of({1, 2, 3, 1, 5, 3}).reshape({2, 3});
  CHECK(cdist(x, x, {.p = 0}).text() == "[[0, 1], [1, 0]]");
  for (const double p : {1.0, 2.0, 2.5, infinity}) {
    CHECK(std::isnan(cdist(Tensor::of({not_a_number, 0}).reshape({1, 2}), zeros({1, 2}), {.p = p}).item()));
    CHECK(cdist(Tensor::of({infinity, 0}).reshape({1, 2}), zeros({1, 2}), {.p = p}).item() == infinity);
  }
  CHECK(cdist(zeros({2, 0}), zeros({3, 0})).text() == "[[0, 0, 0], [0, 0, 0]]");
  CHECK(cdist(zeros({4, 1, 2, 3}), zeros({5, 6, 3})).shape() == Shape{4, 5, 2, 6});
  CHECK_THROWS_WITH(cdist(zeros({2, 3}), zeros({2, 4})),
                    Contains("cdist: a of shape (2, 3), b of shape (2, 4)"));
  CHECK_THROWS_AS(cdist(zeros({2}), zeros({2, 2})), ShapeError);
  CHECK_THROWS_AS(cdist(zeros({2, 2}), zeros({2, 2}, Dtype::f64)), DtypeError);
  CHECK_THROWS_WITH(cdist(Variable(zeros({2, 2})), zeros({2, 2}), {.p = -1}),
                    Contains("vectors_test.cpp:") && Contains("an order of -1"));
}

TEST_CASE("cross, trace and kron are PyTorch's", "[vectors]") {
  check_torch_case("cross", {"a", "b"}, [](Xs x) { return cross(x[0], x[1]); });
  check_torch_case("trace", {"a"}, [](Xs x) { return flatten(trace(x[0])); });
  check_torch_case("kron", {"a", "b"}, [](Xs x) { return kron(x[0], x[1]); });
  const Tensor e1 = Tensor::of({1, 0, 0}), e2 = Tensor::of({0, 1, 0});
  CHECK(cross(e1, e2).text() == "[0, 0, 1]");
  CHECK(cross(e2, e1).text() == "[0, 0, -1]");
  CHECK(cross(e1.reshape({3, 1}), ones({3, 2}), 0).text() == "[[0, 0], [-1, -1], [1, 1]]");
  CHECK(trace(counting({2, 2, 3})).text() == "[4, 16]");
  CHECK(trace(zeros({0, 0})).item() == 0);
  CHECK(kron(Tensor::of({1, 2}), Tensor::of({3, 4, 5})).text() == "[3, 4, 5, 6, 8, 10]");
  CHECK(kron(eye(2), ones({1, 2})).text() == "[[1, 1, 0, 0], [0, 0, 1, 1]]");
  CHECK_THROWS_WITH(cross(ones({2}), ones({3})), Contains("length of 3 along axis -1"));
  CHECK_THROWS_AS(cross(ones({3, 2}), ones({3, 3}), 0), ShapeError);
  CHECK_THROWS_AS(cross(ones({3}), ones({3}), 1), ShapeError);
  CHECK_THROWS_AS(cross(ones({3}), Tensor::scalar(1)), ShapeError);
  CHECK_THROWS_WITH(trace(ones({2})), Contains("trace: x of shape (2,)"));
  CHECK_THROWS_WITH(kron(zeros({1, 1, 1, 1, 1}), ones({2})), Contains("kron") && Contains("at most 4 axes"));
  CHECK_THROWS_WITH(cross(Variable(ones({2})), ones({3})), Contains("vectors_test.cpp:"));
}

TEST_CASE("logcumsumexp is PyTorch's, keeps small digits, and meets infinities", "[cumulative]") {
  check_torch_case("logcumsumexp", {"x"}, [](Xs x) { return logcumsumexp(x[0], 1); });
  for (const Dtype dtype : both) {
    CHECK(logcumsumexp(Tensor::of({1000, 1000, -infinity}, dtype), 0).at(1) == Approx(1000 + std::log(2)));
    CHECK(logcumsumexp(Tensor::of({-infinity, -infinity, 3, infinity, infinity, 2}, dtype), 0).text() ==
          "[-inf, -inf, 3, inf, inf, inf]");
    CHECK(logcumsumexp(Tensor::of({1, not_a_number, 2}, dtype), 0).text() == "[1, nan, nan]");
  }
  // exp(-50) beside 1, whichever comes first.
  CHECK(logcumsumexp(Tensor::of({0, -50}, Dtype::f64), 0).at(1) == Approx(std::exp(-50)).epsilon(1e-14));
  CHECK(logcumsumexp(Tensor::of({-50, 0}, Dtype::f64), 0).at(1) == Approx(std::exp(-50)).epsilon(1e-14));
  CHECK(logcumsumexp(Tensor::scalar(3), 0).item() == 3);
  CHECK(logcumsumexp(zeros({2, 0}), 1).size() == 0);
  CHECK_THROWS_WITH(logcumsumexp(Variable(zeros({2})), 1), Contains("vectors_test.cpp:"));
  // Nothing of the gradient overflows, and what is -infinity takes none of it.
  Tape tape;
  const Variable x = tape.watch(Tensor::of({-infinity, 900, -900, 900}, Dtype::f64));
  CHECK(tape.backward(logcumsumexp(x, 0)[3])[x].text() == "[0, 0.5, 0, 0.5]");
}

TEST_CASE("distances and running sums have the same bits for any number of threads", "[vectors][threads]") {
  const int before = gradus::threads();
  Rng rng(3);
  const Tensor a = rng.uniform({90, 60}, -1, 1), b = rng.uniform({110, 60}, -1, 1);
  const auto results = [&](int threads) {
    set_threads(threads);
    const auto y = cdist(a, b);
    return std::vector{y, detail::cdist_gradient(y, a, b, y, {}), logcumsumexp(a, 0), logcumsumexp(a, 1)};
  };
  const auto one = results(1), two = results(2);
  set_threads(before);
  for (std::size_t i = 0; i < one.size(); ++i) CHECK(identical(one[i], two[i]));
}

TEST_CASE("a NaN stays in a distance and in its gradient", "[vectors]") {
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  for (const double p : {1.0, 2.0, 3.0, inf}) {
    INFO("of order " << p);
    Tape tape;
    const Variable a = tape.watch(Tensor::of({nan, inf}, Dtype::f64).reshape({1, 2}));
    const Variable y = cdist(a, Variable(zeros({1, 2}, Dtype::f64)), {.p = p});
    CHECK(std::isnan(y.item()));
    CHECK(std::isnan(tape.backward(sum(y))[a].at(0)));
  }
}

TEST_CASE("the gradient of logcumsumexp is a number behind an infinity", "[cumulative]") {
  Tape tape;
  const Variable x = tape.watch(Tensor::of({0, std::numeric_limits<double>::infinity(), 1}, Dtype::f64));
  const Tensor g = tape.backward(sum(logcumsumexp(x, 0)))[x];
  CHECK(g.text() == "[1, 2, 0]");
}
