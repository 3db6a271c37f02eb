#include <cmath>
#include <limits>
#include <string>

#include "optim/average.hpp"
#include "optim/schedule.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fixture.hpp"

// What surrounds an optimizer over many steps: learning rates, when to stop, averages of the weights.

using namespace gradus;
using namespace gradus::optim;
using Catch::Contains;
using gradus::test::difference;
using gradus::test::fixture;

namespace {
struct One {
  Parameter weight{zeros({3, 2}, Dtype::f64)};
  static void members(auto& self, auto&& visit) { visit("weight", self.weight); }
};
}  // namespace

TEST_CASE("schedules are PyTorch's", "[optim]") {
  const auto check = [](const std::string& name, const Schedule& schedule) {
    INFO(name);
    const Tensor rates = fixture("schedule/" + name);
    REQUIRE(rates.size() == 20);
    for (std::int64_t i = 0; i < 20; ++i) CHECK(schedule(i) == Approx(rates.at(i)).epsilon(1e-10));
  };
  check("step", StepSchedule{.lr = 0.2, .every = 6, .gamma = 0.5});
  check("cosine", CosineSchedule{.lr = 0.2, .steps = 20, .minimum = 0.01});
  check("multi_step", MultiStepSchedule{.lr = 0.2, .milestones = {3, 4, 11}, .gamma = 0.5});
  check("exponential", ExponentialSchedule{.lr = 0.2, .gamma = 0.9});
  check("polynomial", PolynomialSchedule{.lr = 0.2, .steps = 15, .power = 1.7});
  check("restarts", CosineRestartsSchedule{.lr = 0.2, .period = 3, .factor = 2, .minimum = 0.01});
  check("restarts_alike", CosineRestartsSchedule{.lr = 0.2, .period = 7});
  check("one_cycle",
        OneCycleSchedule{.lr = 0.2, .steps = 21, .rise = 0.25, .start_divisor = 10, .end_divisor = 100});
  check("sequence", SequenceSchedule{{{ExponentialSchedule{.lr = 0.2, .gamma = 0.5}, 5},
                                      {StepSchedule{.lr = 0.2, .every = 3, .gamma = 0.1}, 0}}});
}

TEST_CASE("schedules that PyTorch lacks are their formulas", "[optim]") {
  CHECK(ConstantSchedule{.lr = 0.3}(1'000'000) == 0.3);
  const InverseSqrtSchedule root{.lr = 0.4, .warmup = 4};
  CHECK(root(0) == Approx(0.1));
  CHECK(root(3) == Approx(0.4));
  CHECK(root(15) == Approx(0.2));
  const WarmupSchedule warm{.steps = 4, .then = ExponentialSchedule{.lr = 0.8, .gamma = 0.5}};
  CHECK(warm(0) == Approx(0.2));
  CHECK(warm(3) == Approx(0.8));
  CHECK(warm(4) == Approx(0.8));
  CHECK(warm(6) == Approx(0.2));
  // After its steps a schedule stays where it ended.
  CHECK(CosineSchedule{.lr = 1, .steps = 5, .minimum = 0.1, .warmup = 5}(5) == 0.1);
  CHECK(PolynomialSchedule{.lr = 1, .steps = 10, .minimum = 0.25}(99) == 0.25);
  CHECK(OneCycleSchedule{.lr = 1, .steps = 10, .start_divisor = 10, .end_divisor = 10}(99) == Approx(0.01));
  CHECK(CosineRestartsSchedule{.lr = 1, .period = 1, .factor = 2}(std::numeric_limits<std::int64_t>::max()) >=
        0);
}

TEST_CASE("schedules refuse steps and settings out of range", "[optim]") {
  const Schedule all[] = {ConstantSchedule{},
                          StepSchedule{},
                          MultiStepSchedule{},
                          ExponentialSchedule{},
                          PolynomialSchedule{},
                          CosineSchedule{},
                          CosineRestartsSchedule{},
                          OneCycleSchedule{},
                          InverseSqrtSchedule{},
                          WarmupSchedule{.then = ConstantSchedule{}},
                          SequenceSchedule{{{ConstantSchedule{}, 1}}}};
  for (const Schedule& schedule : all) {
    CHECK_THROWS_WITH(schedule(-5), Contains("step -5"));
    CHECK(schedule(0) >= 0);
  }
  CHECK_THROWS_WITH(StepSchedule{.every = 0}(1), Contains("every 0"));
  CHECK_THROWS_WITH((MultiStepSchedule{.milestones = {5, 3}}(1)), Contains("ascend"));
  CHECK_THROWS_AS(ExponentialSchedule{.gamma = -1}(1), ArgumentError);
  CHECK_THROWS_AS(PolynomialSchedule{.power = -1}(1), ArgumentError);
  CHECK_THROWS_WITH(CosineSchedule{.steps = -1}(0), Contains("steps -1"));
  CHECK_THROWS_WITH(CosineSchedule{.warmup = -1}(0), Contains("warmup -1"));
  CHECK(CosineSchedule{.lr = 0.5, .steps = 0, .minimum = 0.1}(7) == Approx(0.1));
  CHECK_THROWS_AS(CosineRestartsSchedule{.period = 0}(1), ArgumentError);
  CHECK_THROWS_AS(OneCycleSchedule{.rise = 2}(1), ArgumentError);
  CHECK_THROWS_AS(InverseSqrtSchedule{.warmup = 0}(1), ArgumentError);
  CHECK_THROWS_AS(WarmupSchedule{}(1), ArgumentError);
  CHECK_THROWS_AS(SequenceSchedule{}(1), ArgumentError);
  CHECK_THROWS_AS(ConstantSchedule{.lr = NAN}(1), ArgumentError);
  CHECK_THROWS_AS(PlateauSchedule({.factor = 1}), ArgumentError);
  CHECK_THROWS_AS(PlateauSchedule({.patience = -1}), ArgumentError);
  CHECK_THROWS_AS(EarlyStopping({.patience = 0}), ArgumentError);
  CHECK_THROWS_AS(NonMonotonicTrigger(0), ArgumentError);
}

TEST_CASE("a rate that falls on a plateau is PyTorch's, also when it was saved on the way", "[optim]") {
  const Tensor losses = fixture("plateau/losses");
  const auto check = [&](const char* name, const PlateauSchedule::Options& options) {
    INFO(name);
    const Tensor rates = fixture(std::string("plateau/") + name);
    PlateauSchedule schedule(options);
    for (std::int64_t i = 0; i < losses.size(); ++i) {
      INFO("report " << i);
      PlateauSchedule resumed(options);
      resumed.set_state(schedule.state());
      CHECK(schedule.report(losses.at(i)) == Approx(rates.at(i)).epsilon(1e-12));
      CHECK(resumed.report(losses.at(i)) == schedule.lr());
    }
  };
  check("relative", {.lr = 0.2, .factor = 0.5, .patience = 2, .threshold = 1e-3});
  check("absolute", {.lr = 0.2,
                     .factor = 0.5,
                     .patience = 1,
                     .threshold = 0.5,
                     .relative = false,
                     .cooldown = 2,
                     .minimum = 0.02});
  check("largest", {.lr = 0.2, .factor = 0.5, .patience = 3, .maximize = true});
}

TEST_CASE("training stops after as many reports without a better one", "[optim]") {
  EarlyStopping stopping({.patience = 2, .min_change = 0.1});
  CHECK(stopping.report(3));
  CHECK_FALSE(stopping.report(2.95));  // not by as much
  CHECK(stopping.report(2.5));
  CHECK_FALSE(stopping.report(NAN));
  CHECK_FALSE(stopping.stopped());
  EarlyStopping resumed({.patience = 2, .min_change = 0.1});
  resumed.set_state(stopping.state());
  for (EarlyStopping* one : {&stopping, &resumed}) {
    CHECK_FALSE(one->report(2.5));
    CHECK(one->stopped());
    CHECK(one->best() == 2.5);
  }
  EarlyStopping accuracy({.patience = 1, .maximize = true});
  CHECK(accuracy.report(0.5));
  CHECK(accuracy.report(0.6));
  CHECK_FALSE(accuracy.report(0.55));
  CHECK(accuracy.stopped());
}

TEST_CASE("the trigger of averaging looks at what was best some reports ago", "[optim]") {
  NonMonotonicTrigger trigger(2);
  // The best of those two or more reports before is 5 until the last one, for which it is 4.
  for (const double loss : {5.0, 4.0, 4.5, 4.2}) CHECK_FALSE(trigger.report(loss));
  NonMonotonicTrigger resumed(2);
  resumed.set_losses(trigger.losses());
  CHECK(trigger.report(4.1));
  CHECK(resumed.report(4.1));
  CHECK(trigger.report(1));  // stays
}

TEST_CASE("averages of weights are PyTorch's, and go on to the bit after they were saved", "[optim]") {
  const Tensor values = fixture("weight_average/values");
  const auto check = [&](const char* name, const WeightAverage::Options& options) {
    INFO(name);
    One model;
    WeightAverage average(options);
    CHECK_THROWS_WITH(average.swap(model), Contains("no average of parameter weight"));
    for (std::int64_t i = 0; i < 20; ++i) {
      model.weight.mutable_value() = values[i];
      if (i == 6) {
        WeightAverage resumed(options);
        resumed.set_state(model, average.state(model));
        average = resumed;
      }
      average.update(model);
    }
    CHECK(identical(model.weight.value(), values[19]));
    average.swap(model);
    CHECK(difference(model.weight.value(), fixture(std::string("weight_average/") + name)) < 1e-12);
    average.swap(model);
    CHECK(identical(model.weight.value(), values[19]));
    CHECK(average.state(model).tensors.at("weight.updates").item() == 20);
  };
  check("mean", {});
  check("exponential", {.decay = 0.9});
}

TEST_CASE("an average refuses what does not fit, and changes nothing then", "[optim]") {
  CHECK_THROWS_AS(WeightAverage({.decay = 1}), ArgumentError);
  CHECK_THROWS_AS(WeightAverage({.decay = -0.1}), ArgumentError);
  One model;
  WeightAverage average;
  average.update(model);
  const Safetensors good = average.state(model);
  const auto refused = [&](const char* text, const auto& change) {
    Safetensors bad = good;
    change(bad.tensors);
    CHECK_THROWS_WITH(average.set_state(model, bad, "f"), Contains(text));
  };
  using Tensors = std::map<std::string, Tensor>;
  refused("f: weight.updates is missing", [](Tensors& t) { t.erase("weight.updates"); });
  refused("not a number of updates", [](Tensors& t) { t["weight.updates"] = Tensor::scalar(0.5); });
  refused("has shape (2,)", [](Tensors& t) { t["weight"] = zeros({2}); });
  refused("another model's", [](Tensors& t) { t["other"] = zeros({2}); });
  model.weight.mutable_value() = zeros({4}, Dtype::f64);
  CHECK_THROWS_WITH(average.update(model), Contains("of shape (4,)"));
  CHECK(average.state(model).tensors.at("weight.updates").item() == 1);
}
