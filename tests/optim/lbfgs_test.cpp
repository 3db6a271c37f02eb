#include "optim/lbfgs.hpp"

#include <cmath>
#include <string>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "tensor/ops.hpp"
#include "tests/optim/two.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fixture.hpp"

using namespace gradus;
using namespace gradus::optim;
using Catch::Contains;
using gradus::test::difference;
using gradus::test::fixture;
using gradus::test::Two;

namespace {

Variable rosenbrock(const Two& m) {
  const Variable x = concat({reshape(m.a, {m.a.size()}), m.b}, 0);
  const Variable left = slice(x, 0, 0, x.size() - 1), right = slice(x, 0, 1, x.size());
  return sum(100 * square(right - square(left)) + square(1 - left));
}
/// The loss and its gradients, for the optimizer.
template <class Loss>
auto evaluation(const Two& model, const Loss& loss) {
  return [&model, loss] {
    Tape tape;
    const Variable value = loss(model);
    return std::pair(value.item(), tape.backward(value));
  };
}

void check_ten_calls(const std::string& name, const Lbfgs::Options& options) {
  INFO(name);
  Two model{Parameter(fixture(name + "/p0")), Parameter(fixture(name + "/p1"))};
  const Tensor before = fixture(name + "/before"), after0 = fixture(name + "/after0"),
               after1 = fixture(name + "/after1");
  Lbfgs optimizer(options);
  for (std::int64_t i = 0; i < 10; ++i) {
    INFO("call " << i);
    if (i == 5) {  // saved and loaded on the way
      Lbfgs resumed(options);
      resumed.set_state(optimizer.state());
      optimizer = resumed;
    }
    CHECK(optimizer.step(model, evaluation(model, rosenbrock)) ==
          Approx(before.at(i)).epsilon(1e-7).margin(1e-12));
    CHECK(difference(model.a.value(), after0[i]) < 1e-7);
    CHECK(difference(model.b.value(), after1[i]) < 1e-7);
  }
}

}  // namespace

TEST_CASE("L-BFGS is PyTorch's, call for call", "[optim]") {
  check_ten_calls("lbfgs", {.iterations = 4, .evaluations = 5, .history = 3});
  check_ten_calls(
      "lbfgs_all",
      {.lr = 0.1, .iterations = 20, .evaluations = 7, .gradient_tolerance = 1e-3, .change_tolerance = 1e-5});
}

TEST_CASE("L-BFGS finds a minimum, in f32 too", "[optim]") {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    Two model{Parameter(full({2, 2}, -1.2, dtype)), Parameter(full({3}, 1.1, dtype))};
    Lbfgs optimizer({.iterations = 200, .evaluations = 400});
    optimizer.step(model, evaluation(model, rosenbrock));
    CHECK(difference(model.a.value(), ones({2, 2}, dtype)) < (dtype == Dtype::f32 ? 1e-2 : 1e-5));
  }
}

TEST_CASE("L-BFGS goes on to the bit with its state from a file", "[optim]") {
  Two whole{Parameter(full({2}, -1.0)), Parameter(full({3}, 0.5))}, part = whole;
  Lbfgs unbroken({.iterations = 3}), first({.iterations = 3}), second({.iterations = 3});
  for (int i = 0; i < 4; ++i) unbroken.step(whole, evaluation(whole, rosenbrock));
  for (int i = 0; i < 2; ++i) first.step(part, evaluation(part, rosenbrock));
  second.set_state(first.state());
  for (int i = 0; i < 2; ++i) second.step(part, evaluation(part, rosenbrock));
  CHECK(identical(part.a.value(), whole.a.value()));
  CHECK(identical(part.b.value(), whole.b.value()));
  Safetensors bad = first.state();
  bad.tensors.erase("gradient");
  CHECK_THROWS_WITH(second.set_state(bad, "f"), Contains("f: gradient is missing"));
  bad.tensors["gradient"] = zeros({2});
  CHECK_THROWS_WITH(second.set_state(bad, "f"), Contains("do not fit each other"));
}

TEST_CASE("a loss that is not finite on the way shortens the step, and one at the start is an error",
          "[optim]") {
  // The logarithm is finite only near the start, from which the first step would lead far away.
  const auto loss = [](const Two& m) { return sum(-100.0 * log(m.a) + 200.0 * m.a); };
  Two model{Parameter(full({2}, 0.1, Dtype::f64)), Parameter(Tensor())};
  Lbfgs optimizer({.lr = 1e6, .iterations = 100, .evaluations = 300});
  optimizer.step(model, evaluation(model, loss));
  CHECK(difference(model.a.value(), full({2}, 0.5, Dtype::f64)) < 1e-6);

  // Barriers on all sides of the minimum: from no start does a call leave the region, or end higher than it
  // began.
  int moved = 0;
  for (double start = 0.05; start < 6; start += 0.05) {
    INFO("from " << start);
    Two one{Parameter(full({1}, start, Dtype::f64)), Parameter(Tensor())};
    const auto barrier = [](const Two& m) { return sum(5.0 * m.a - log(m.a) + 0.1 * square(m.a)); };
    const double before = Lbfgs().step(one, evaluation(one, barrier));
    const double after = evaluation(one, barrier)().first;
    CHECK(after <= before);
    moved += after < before;
  }
  CHECK(moved > 110);

  Two bad{Parameter(full({2}, -1.0)), Parameter(Tensor())};
  CHECK_THROWS_WITH(Lbfgs().step(bad, evaluation(bad, loss)), Contains("the loss is nan at the start"));
  CHECK(identical(bad.a.value(), full({2}, -1.0)));
}

TEST_CASE("what the loss throws leaves the best parameters so far, and options are checked", "[optim]") {
  Two model{Parameter(full({2}, -1.0)), Parameter(full({3}, 0.5))};
  const Two start = model;
  int calls = 0;
  CHECK_THROWS_WITH(Lbfgs().step(model,
                                 [&]() -> std::pair<double, Gradients> {
                                   if (++calls == 2) fail<ArgumentError>("stop");
                                   return evaluation(model, rosenbrock)();
                                 }),
                    Contains("stop"));
  CHECK(identical(model.a.value(), start.a.value()));
  CHECK_THROWS_WITH(Lbfgs({.iterations = 0}), Contains("Lbfgs: iterations is 0"));
  CHECK_THROWS_AS(Lbfgs({.lr = NAN}), ArgumentError);
  CHECK_THROWS_AS(Lbfgs({.history = 0}), ArgumentError);
  Two mixed{Parameter(ones({2})), Parameter(ones({2}, Dtype::f64))};
  CHECK_THROWS_AS(Lbfgs().step(mixed, evaluation(mixed, [](const Two& m) { return sum(m.a); })), DtypeError);
  const Parameter other(ones({2}));
  CHECK_THROWS_WITH(Lbfgs().step(model, evaluation(model, [&](const Two& m) { return sum(m.a * other); })),
                    Contains("does not list"));
}
