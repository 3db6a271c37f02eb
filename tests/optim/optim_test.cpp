#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/indexing.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "optim/adam.hpp"
#include "optim/clip.hpp"
#include "optim/schedule.hpp"
#include "optim/sgd.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fixture.hpp"

using namespace gradus;
using namespace gradus::optim;
using gradus::test::difference;
using gradus::test::fixture;

namespace {

struct Two {
  Parameter a, b;
  static void members(auto& self, auto&& visit) {
    visit("a", self.a);
    visit("b", self.b);
  }
};

template <class O>
void check_ten_steps(const std::string& name, typename O::Options options) {
  INFO(name);
  Two model{Parameter(fixture(name + "/p0")), Parameter(fixture(name + "/p1"))};
  const Tensor g0 = fixture(name + "/g0"), g1 = fixture(name + "/g1");
  const Tensor after0 = fixture(name + "/after0"), after1 = fixture(name + "/after1");
  O optimizer(options);
  for (std::int64_t step = 0; step < 10; ++step) {
    optimizer.step(model, Gradients({{model.a.place(), g0[step], {}}, {model.b.place(), g1[step], {}}}));
    INFO("step " << step);
    CHECK(difference(model.a.value(), after0[step]) < 1e-12);
    CHECK(difference(model.b.value(), after1[step]) < 1e-12);
  }
}

}  // namespace

TEST_CASE("ten steps of each optimizer are PyTorch's", "[optim]") {
  check_ten_steps<Sgd>("sgd", {.lr = 0.1});
  check_ten_steps<Sgd>("sgd_momentum", {.lr = 0.1, .momentum = 0.9});
  check_ten_steps<Sgd>("sgd_nesterov", {.lr = 0.1, .momentum = 0.9, .nesterov = true, .weight_decay = 0.05});
  check_ten_steps<Adam>("adam", {.lr = 0.1});
  check_ten_steps<Adam>("adam_decay",
                        {.lr = 0.1, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-6, .weight_decay = 0.05});
  check_ten_steps<AdamW>("adamw", {.lr = 0.1, .weight_decay = 0.05});
}

TEST_CASE("clipping by norm and by value is PyTorch's", "[optim]") {
  const Parameter p(zeros({3, 2}, Dtype::f64)), q(zeros({4}, Dtype::f64));
  const auto gradients = [&] {
    return Gradients({{p.place(), fixture("clip/g0"), {}}, {q.place(), fixture("clip/g1"), {}}});
  };
  Gradients by_norm = gradients();
  CHECK(clip_norm(by_norm, 0.5) == Approx(fixture("clip/norm").item()).epsilon(1e-13));
  CHECK(difference(by_norm[p], fixture("clip/norm0")) < 1e-12);
  CHECK(difference(by_norm[q], fixture("clip/norm1")) < 1e-12);
  Gradients untouched = gradients();
  clip_norm(untouched, 1e6);
  CHECK(identical(untouched[p], fixture("clip/g0")));
  Gradients by_value = gradients();
  clip_value(by_value, 0.3);
  CHECK(difference(by_value[p], fixture("clip/value0")) < 1e-12);
  CHECK(difference(by_value[q], fixture("clip/value1")) < 1e-12);
  Gradients bad({{p.place(), full({3, 2}, NAN, Dtype::f64), {}}});
  CHECK_THROWS_AS(clip_norm(bad, 1), NumericError);
  CHECK_THROWS_AS(clip_norm(untouched, 0), ArgumentError);
}

TEST_CASE("schedules are PyTorch's", "[optim]") {
  const Tensor step = fixture("schedule/step"), cosine = fixture("schedule/cosine");
  const StepSchedule by_step{.lr = 0.2, .every = 6, .gamma = 0.5};
  const CosineSchedule by_cosine{.lr = 0.2, .steps = 20, .minimum = 0.01};
  for (std::int64_t i = 0; i < 20; ++i) {
    CHECK(by_step(i) == Approx(step.at(i)).epsilon(1e-12));
    CHECK(by_cosine(i) == Approx(cosine.at(i)).epsilon(1e-10));
  }
}

TEST_CASE("a row-sparse gradient changes only its rows, as the dense one would", "[optim]") {
  const Tensor table = Rng(1).uniform({6, 3}, -1, 1);
  Two model{Parameter(table), Parameter(Tensor())};
  Two dense{Parameter(table), Parameter(Tensor())};
  Tape tape;
  const Gradients gradients = tape.backward(sum(square(gather_rows(model.a, Indices({4, 1, 4})))));
  REQUIRE(gradients.entries().front().is_sparse());
  Sgd(Sgd::Options{.lr = 0.1}).step(model, gradients);
  Sgd(Sgd::Options{.lr = 0.1}).step(dense, Gradients({{dense.a.place(), gradients[model.a], {}}}));
  CHECK(difference(model.a.value(), dense.a.value()) < 1e-7);

  Adam adam({.lr = 0.1});
  const Tensor before = model.a.value();
  adam.step(model, gradients);
  for (std::int64_t row = 0; row < 6; ++row) {
    INFO(row);
    CHECK(identical(model.a.value()[row], before[row]) == (row != 1 && row != 4));
  }
}

TEST_CASE("a step with a parameter that the model does not list changes nothing and says so", "[optim]") {
  Two model{Parameter(ones({2})), Parameter(ones({2}))};
  const Parameter forgotten(ones({5}));
  Sgd sgd({.lr = 0.1});
  const Gradients gradients({{model.a.place(), ones({2}), {}}, {forgotten.place(), ones({5}), {}}});
  CHECK_THROWS_WITH(sgd.step(model, gradients), Catch::Contains("(5,)") && Catch::Contains("members"));
  CHECK(identical(model.a.value(), ones({2})));
}

TEST_CASE("optimizers refuse options out of range", "[optim]") {
  CHECK_THROWS_AS(Sgd({.lr = -1}), ArgumentError);
  CHECK_THROWS_AS(Sgd({.momentum = 1}), ArgumentError);
  CHECK_THROWS_AS(Sgd({.nesterov = true}), ArgumentError);
  CHECK_THROWS_AS(Adam({.beta2 = 1}), ArgumentError);
  CHECK_THROWS_AS(Adam({.lr = NAN}), ArgumentError);
  CHECK_THROWS_AS(AdamW({.weight_decay = -1}), ArgumentError);
}
