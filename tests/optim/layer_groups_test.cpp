#include "optim/layer_groups.hpp"

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "optim/adam.hpp"
#include "optim/sgd.hpp"
#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"

using namespace gradus;
using Catch::Contains;

namespace {

struct Scale {
  Parameter weight{ones({2})}, bias{ones({2})};
  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
  }
};
struct Recurrent {
  Parameter weight_ih_l0{ones({2})}, weight_ih_l1{ones({2})}, bias_l0_reverse{ones({2})}, bias_l1{ones({2})};
  static void members(auto& self, auto&& visit) {
    visit("weight_ih_l0", self.weight_ih_l0);
    visit("bias_l0_reverse", self.bias_l0_reverse);
    visit("weight_ih_l1", self.weight_ih_l1);
    visit("bias_l1", self.bias_l1);
  }
};
struct Encoder {
  std::vector<Scale> layers{Scale(), Scale()};
  Scale norm;
  static void members(auto& self, auto&& visit) {
    visit("layers", self.layers);
    visit("norm", self.norm);
  }
};
struct Model {
  Scale embed;
  std::vector<Scale> h{Scale(), Scale()};
  Recurrent lstm;
  Encoder encoder;
  Scale head;
  static void members(auto& self, auto&& visit) {
    visit("embed", self.embed);
    visit("h", self.h);
    visit("lstm", self.lstm);
    visit("encoder", self.encoder);
    visit("head", self.head);
  }
};

/// The paths of parameters that `of` is true for.
template <class M, class Of>
std::vector<std::string> where_true(const M& model, const Of& of) {
  std::vector<std::string> out;
  for_each_parameter(model, [&](const std::string& path, const Parameter& p) {
    if (of(p)) out.push_back(path);
  });
  return out;
}
Variable sum_of(const Model& model) {
  Variable out(zeros({}));
  for_each_parameter(model, [&](const std::string&, const Parameter& p) { out += sum(p); });
  return out;
}

const optim::LayerGroups groups{{"embed.*"}, {"h.0.*", "h.1.*"}, {"head.weight"}};

}  // namespace

TEST_CASE("the groups of a model's layers are its parts, numbers and recurrent layers", "[optim][layers]") {
  const optim::LayerGroups found = optim::layer_groups(Model());
  CHECK(found == optim::LayerGroups{{"embed.weight", "embed.bias"},
                                    {"h.0.weight", "h.0.bias"},
                                    {"h.1.weight", "h.1.bias"},
                                    {"lstm.weight_ih_l0", "lstm.bias_l0_reverse"},
                                    {"lstm.weight_ih_l1", "lstm.bias_l1"},
                                    {"encoder.layers.0.weight", "encoder.layers.0.bias"},
                                    {"encoder.layers.1.weight", "encoder.layers.1.bias"},
                                    {"encoder.norm.weight", "encoder.norm.bias"},
                                    {"head.weight", "head.bias"}});
  CHECK(optim::layer_groups(Recurrent()).size() == 2);
  CHECK(optim::layer_groups(Scale()).size() == 2);
}

TEST_CASE("discriminative rates fall by the factor from the last group to the first", "[optim][layers]") {
  Model model;
  optim::Sgd optimizer({.lr = 0.5});
  optim::set_discriminative_rates(optimizer, groups, 2);
  const auto changes = [&](double last) {
    const Model before = model;
    Tape tape;
    optimizer.step(model, tape.backward(sum_of(model)));
    const auto of = [&](const Scale& now, const Scale& was) {
      return was.weight.value().at(0) - now.weight.value().at(0);
    };
    CHECK(of(model.embed, before.embed) == Approx(last / 4));
    CHECK(of(model.h[0], before.h[0]) == Approx(last / 2));
    CHECK(of(model.h[1], before.h[1]) == Approx(last / 2));
    CHECK(of(model.head, before.head) == Approx(last));
    CHECK(of(model.encoder.norm, before.encoder.norm) == Approx(last));  // in no group
  };
  changes(0.5);
  optimizer.set_lr(0.25);  // as a schedule does
  changes(0.25);

  optim::Adam adam({.lr = 0.1});
  optim::set_discriminative_rates(adam, optim::layer_groups(model));
  Tape tape;
  const double before = model.h[1].weight.value().at(0);
  adam.step(model, tape.backward(sum_of(model)));
  CHECK(before - model.h[1].weight.value().at(0) == Approx(0.1 * std::pow(2.6, -6)).epsilon(1e-3));

  CHECK_THROWS_WITH(optim::set_discriminative_rates(adam, groups, 0), Contains("a factor of 0"));
  CHECK_THROWS_WITH(optim::set_discriminative_rates(adam, {}), Contains("no groups"));
}

TEST_CASE("gradual unfreezing trains the last groups and nothing else", "[optim][layers]") {
  Model model;
  const auto trained = [&](std::int64_t count) {
    optim::unfreeze_last(model, groups, count);
    const auto out = where_true(model, [](const Parameter& p) { return !p.is_frozen(); });
    Tape tape;
    const Gradients gradients = tape.backward(sum_of(model));
    CHECK(where_true(model, [&](const Parameter& p) { return gradients.contains(p); }) == out);
    return out;
  };
  using Paths = std::vector<std::string>;
  const Paths one{"head.weight"}, two{"h.0.weight", "h.0.bias", "h.1.weight", "h.1.bias", "head.weight"};
  CHECK(trained(1) == one);
  CHECK(trained(2) == two);
  CHECK(trained(3).size() == 7);
  CHECK(trained(100).size() == 7);
  CHECK(trained(1) == one);  // a function of the number alone
  CHECK_THROWS_WITH(optim::unfreeze_last(model, groups, 0), Contains("0 groups"));
  CHECK_THROWS_WITH(optim::unfreeze_last(model, {{"tail"}}, 1), Contains("tail"));
}
