#include <algorithm>
#include <sstream>

#include "autograd/freeze.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "autograd/unreached.hpp"
#include "nn/linear.hpp"
#include "nn/losses.hpp"
#include "optim/adam.hpp"
#include "optim/lbfgs.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/recurrent.hpp"

using namespace gradus;
using Catch::Contains;

namespace {

struct Model {
  explicit Model(Rng& rng) : body(rng, 3, 4), head(rng, 4, 2) {}
  nn::Linear body, head;
  static void members(auto& self, auto&& visit) {
    visit("body", self.body);
    visit("head", self.head);
  }
  Variable operator()(const Variable& x) const { return head(tanh(body(x))); }
};

Tensor input() {
  return Rng(2).normal({5, 3});
}
Gradients gradients_of(const Model& model) {
  Tape tape;
  return tape.backward(sum(square(model(Variable(input())))));
}
std::vector<std::string> with_gradient(const Model& model, const Gradients& gradients) {
  std::vector<std::string> out;
  for_each_parameter(model, [&](const std::string& path, const Parameter& p) {
    if (gradients.contains(p)) out.push_back(path);
  });
  return out;
}
using Paths = std::vector<std::string>;

}  // namespace

TEST_CASE("a frozen parameter has no gradient, and nothing is recorded for it", "[freeze]") {
  Rng rng(1);
  Model model(rng);
  const Gradients all = gradients_of(model);
  freeze(model.body);
  const Gradients some = gradients_of(model);
  CHECK(with_gradient(model, some) == Paths{"head.weight", "head.bias"});
  CHECK(identical(some[model.head.weight], all[model.head.weight]));
  CHECK(unreached(model, some).empty());
  CHECK_THROWS_WITH(some[model.body.weight], Contains("(4, 3)") && Contains("frozen"));
  {
    Tape tape;
    CHECK(model.body(Variable(input())).is_constant());
    CHECK(tape.size() == 0);
    freeze(model);
    CHECK_THROWS_WITH(tape.backward(sum(model(Variable(input())))), Contains("frozen"));
  }
  unfreeze(model);
  CHECK(identical(gradients_of(model)[model.body.weight], all[model.body.weight]));
}

TEST_CASE("copies of a frozen parameter are frozen, what is assigned to stays what it was", "[freeze]") {
  Parameter p(ones({2}));
  const std::uint32_t id = p.id();
  p.freeze();
  CHECK(p.id() == id);
  Parameter copy(p);
  CHECK(copy.is_frozen());
  CHECK(copy.id() != id);
  Parameter other(zeros({2}));
  other = p;
  CHECK_FALSE(other.is_frozen());
  p = Parameter(zeros({2}));
  CHECK(p.is_frozen());
  Parameter moved(std::move(p));
  CHECK(moved.is_frozen());
  CHECK(moved.id() == id);
  moved.unfreeze();
  CHECK_FALSE(moved.is_frozen());
  CHECK(moved.place() == Place(Place::parameter, id));
}

TEST_CASE("parameters are frozen by patterns of their paths", "[freeze]") {
  Rng rng(1);
  Model model(rng);
  freeze(model, {"*bias", "head.?eight"});
  CHECK(with_gradient(model, gradients_of(model)) == Paths{"body.weight"});
  unfreeze(model, {"head.*"});
  CHECK(with_gradient(model, gradients_of(model)) == Paths{"body.weight", "head.weight", "head.bias"});
  CHECK_THROWS_WITH(freeze(model, {"tail.*"}), Contains("freeze: no parameter matches tail.*") &&
                                                   Contains("body.weight, body.bias, head.weight"));
}

TEST_CASE("an optimizer leaves frozen parameters alone, and goes on when they are unfrozen", "[freeze]") {
  Rng rng(1);
  Model model(rng), expected = model;
  optim::AdamW optimizer({.lr = 0.1, .weight_decay = 0.1}), other({.lr = 0.1, .weight_decay = 0.1});
  const auto step = [](auto& how, Model& m, bool body) {
    Gradients gradients = gradients_of(m);
    if (!body) gradients = gradients.of(m.head);
    how.step(m, gradients);
  };
  for (int i = 0; i < 6; ++i) {
    const bool body = i < 2 || i >= 4;
    if (body)
      unfreeze(model.body);
    else
      freeze(model.body);
    step(optimizer, model, true);
    step(other, expected, body);
  }
  CHECK(identical(model.body.weight.value(), expected.body.weight.value()));
  CHECK(identical(model.head.weight.value(), expected.head.weight.value()));

  freeze(model.body);
  const Tensor before = model.body.weight.value(), head = model.head.weight.value();
  optim::Lbfgs lbfgs;
  lbfgs.step(model, [&] {
    Tape tape;
    const Variable loss = sum(square(model(Variable(input()))));
    return std::pair(loss.item(), tape.backward(loss));
  });
  CHECK(identical(model.body.weight.value(), before));
  CHECK_FALSE(identical(model.head.weight.value(), head));
}

TEST_CASE("freezing some weights of a recurrent layer changes no gradient of the others", "[freeze]") {
  test::for_each_recurrent_layer([](auto one) {
    Rng rng(3);
    typename decltype(one)::Layer layer(rng, 3, 4);
    const Variable x(rng.normal({5, 2, 3}));
    const auto gradients = [&] {
      Tape tape;
      const auto [h, state] = layer(x, layer.start(2));
      return tape.backward(sum(square(h)));
    };
    const Gradients all = gradients();
    Paths paths;
    for_each_parameter(layer, [&](const std::string& path, const Parameter&) { paths.push_back(path); });
    for (const std::string& frozen : paths) {
      INFO(one.name << " without " << frozen);
      freeze(layer, {frozen});
      const Gradients some = gradients();
      for_each_parameter(layer, [&](const std::string& path, Parameter& p) {
        CHECK(some.contains(p) == (path != frozen));
        if (path != frozen) CHECK(identical(some[p], all[p]));
      });
      unfreeze(layer);
    }
  });
}
