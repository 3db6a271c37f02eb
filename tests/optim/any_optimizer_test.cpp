#include "optim/any_optimizer.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "nn/mlp.hpp"
#include "nn/weights.hpp"
#include "optim/rules.hpp"
#include "tests/support/catch.hpp"

// Optimizers that are chosen by name are those of that type, to the bit.

using namespace gradus;
using Catch::Contains;

namespace {

struct Net {
  nn::Linear one, two;
  explicit Net(Rng& rng) : one(rng, 3, 4), two(rng, 4, 2) {}
  Variable loss(const Tensor& x) const { return mean(square(two(tanh(one(Variable(x)))))); }
  static void members(auto& self, auto&& visit) {
    visit("one", self.one);
    visit("two", self.two);
  }
};

/// Some steps by an optimizer of that type, and by the one of that name.
template <class Optimizer>
void check(const std::string& name, const typename Optimizer::Options& options,
           const std::map<std::string, double>& same) {
  INFO(name);
  Rng rng(1);
  const Net before(rng);
  const Tensor x = rng.normal({5, 3});
  Net by_type = before, by_name = before;
  const ParameterView view(by_name);
  Optimizer typed(options);
  optim::AnyOptimizer named({.name = name, .options = same}, view);
  for (int i = 0; i < 4; ++i) {
    {
      Tape tape;
      typed.step(by_type, tape.backward(by_type.loss(x)), {.clip_norm = 0.1});
    }
    Tape tape;
    named.step(view, tape.backward(by_name.loss(x)), {.clip_norm = 0.1});
    if (i == 1) {  // what it keeps goes into another one
      optim::AnyOptimizer resumed({.name = name, .options = same}, view);
      resumed.set_state(view, named.state(view));
      named = std::move(resumed);
    }
  }
  const Safetensors a = nn::weights(by_type), b = nn::weights(by_name), c = nn::weights(before);
  for (const auto& [path, value] : a.tensors) {
    INFO(path);
    CHECK(identical(value, b.tensors.at(path)));
    CHECK_FALSE(identical(value, c.tensors.at(path)));
  }
}

}  // namespace

TEST_CASE("an optimizer of a name steps as the one of that type", "[optim]") {
  check<optim::Sgd>("sgd", {.lr = 0.1, .momentum = 0.9, .nesterov = true},
                    {{"lr", 0.1}, {"momentum", 0.9}, {"nesterov", 1}});
  check<optim::AdamW>("adamw", {.lr = 0.1, .beta2 = 0.99, .weight_decay = 0.3},
                      {{"lr", 0.1}, {"beta2", 0.99}, {"weight_decay", 0.3}});
  check<optim::Adam>("adam", {.lr = 0.1, .amsgrad = true}, {{"lr", 0.1}, {"amsgrad", 1}});
  check<optim::Asgd>("asgd", {.lr = 0.1}, {{"lr", 0.1}});
  check<optim::Lion>("lion", {}, {});
  check<optim::Adamax>("adamax", {}, {});
  check<optim::Nadam>("nadam", {}, {});
  check<optim::Radam>("radam", {}, {});
  check<optim::Adagrad>("adagrad", {}, {});
  check<optim::Adadelta>("adadelta", {}, {});
  check<optim::Rmsprop>("rmsprop", {.centered = true}, {{"centered", 1}});
  check<optim::Adafactor>("adafactor", {}, {});
  check<optim::Muon>("muon", {.steps = 4}, {{"steps", 4}});
  CHECK(optim::optimizer_names().size() == 13);
}

TEST_CASE("what an optimizer of a name does not have is refused with what it has", "[optim]") {
  Rng rng(1);
  Net net(rng);
  const ParameterView view(net);
  using optim::AnyOptimizer;
  CHECK_THROWS_WITH(AnyOptimizer({.name = "adamv"}, view), Contains("'adamv'") && Contains("adamw, adamax"));
  CHECK_THROWS_WITH(AnyOptimizer({.name = "sgd", .options = {{"beta1", 0.9}}}, view),
                    Contains("sgd has no option 'beta1'") && Contains("momentum"));
  CHECK_THROWS_AS(AnyOptimizer({.name = "sgd", .options = {{"lr", -1}}}, view), ArgumentError);
  CHECK(optim::optimizer_options("adamw").at("beta1") == 0.9);
}

TEST_CASE("parameters without decay are those of the patterns, and one that none matches is no error",
          "[optim]") {
  Rng rng(1);
  const Net before(rng);
  Net net = before;
  const ParameterView view(net);
  optim::AnyOptimizer optimizer(
      {.name = "sgd", .options = {{"lr", 0.5}, {"weight_decay", 0.5}}, .no_decay = {"*bias", "*norm*"}},
      view);
  Tape tape;
  optimizer.step(view, tape.backward(net.loss(zeros({5, 3})) * 0.0));
  CHECK(identical(net.one.bias.value(), before.one.bias.value()));
  CHECK(identical(net.one.weight.value(), before.one.weight.value() * 0.75f));
}
