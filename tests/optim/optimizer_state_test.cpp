#include <cmath>
#include <map>
#include <string>

#include "optim/rules.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "tests/optim/every_rule.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"

// What an optimizer keeps: saved, loaded, by name; and options that some parameters have of their own.

using namespace gradus;
using namespace gradus::optim;
using Catch::Contains;

namespace {

struct Model {
  Parameter weight, bias, table;
  explicit Model(Dtype dtype = Dtype::f32)
      : weight(Rng(1).normal({5, 3}, 0, 1, dtype)),
        bias(Rng(2).normal({5}, 0, 1, dtype)),
        table(Rng(3).normal({6, 3}, 0, 1, dtype)) {}
  static void members(auto& self, auto&& visit) {
    visit("linear.weight", self.weight);
    visit("linear.bias", self.bias);
    visit("table", self.table);
  }
};

/// Of the weights and bias dense ones, of the table those of two rows, from step 2 on: until then it has
/// none.
Gradients gradients_of(const Model& m, std::uint64_t step) {
  const auto normal = [&](const Shape& shape, std::uint64_t stream) {
    return Rng(100 * step + stream).normal(shape, 0, 1, m.weight.dtype());
  };
  if (step < 2)
    return Gradients({{m.weight.place(), normal({5, 3}, 1), {}}, {m.bias.place(), normal({5}, 2), {}}});
  return Gradients({{m.weight.place(), normal({5, 3}, 1), {}},
                    {m.bias.place(), normal({5}, 2), {}},
                    {m.table.place(),
                     {},
                     Rows{Indices({1, static_cast<std::int32_t>(2 + step % 4)}), normal({2, 3}, 3), 6}}});
}
bool same(const Model& a, const Model& b) {
  return identical(a.weight.value(), b.weight.value()) && identical(a.bias.value(), b.bias.value()) &&
         identical(a.table.value(), b.table.value());
}
/// Keeps everything of every step but its ids.
Gradients moved(const Gradients& of, const Model& from, const Model& to) {
  GradientList out;
  for (const Gradient& one : of.entries()) {
    Gradient entry = one;
    entry.of = one.of == from.weight.place() ? to.weight.place()
               : one.of == from.bias.place() ? to.bias.place()
                                             : to.table.place();
    out.push_back(entry);
  }
  return Gradients(std::move(out));
}

}  // namespace

TEST_CASE("with its state from a file an optimizer goes on to the bit, of row-sparse gradients too",
          "[optim]") {
  const test::Folder folder;
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    const auto check = [&](const char* name, const auto& fresh) {
      for (const std::uint64_t stop : {0u, 1u, 3u, 7u}) {
        INFO(name << " in " << name_of(dtype) << ", stopped after " << stop);
        Model whole(dtype), first(dtype);
        auto unbroken = fresh, before = fresh;
        for (std::uint64_t step = 0; step < 10; ++step) unbroken.step(whole, gradients_of(whole, step));
        for (std::uint64_t step = 0; step < stop; ++step) before.step(first, gradients_of(first, step));
        save_safetensors(folder.path() / "state", before.state(first));
        // Another process: other ids, another optimizer.
        Model second = first;
        auto after = fresh;
        after.set_state(second, load_safetensors(folder.path() / "state"));
        for (std::uint64_t step = stop; step < 10; ++step)
          after.step(second, moved(gradients_of(first, step), first, second));
        CHECK(same(second, whole));
        CHECK(after.state(second).tensors.size() == unbroken.state(whole).tensors.size());
      }
    };
    test::for_every_library_rule(check);
    test::for_every_whole_rule(check);
  }
}

TEST_CASE("an optimizer's state is read and written by PyTorch's names", "[optim]") {
  Model model(Dtype::f64);
  Adam adam({.lr = 0.1});
  CHECK(adam.state(model).tensors.empty());
  for (std::uint64_t step = 0; step < 3; ++step) adam.step(model, gradients_of(model, step));
  Safetensors state = adam.state(model);
  const auto at = [&](const std::string& name) { return state.tensors.at(name); };
  CHECK(state.tensors.size() == 9);
  CHECK(at("linear.weight.step").item() == 3);
  CHECK(at("table.step").item() == 1);
  const Tensor g = gradients_of(model, 2)[model.bias];
  CHECK(at("linear.bias.exp_avg").at(0) ==
        Approx(0.1 * g.at(0) + 0.09 * gradients_of(model, 1)[model.bias].at(0) +
               0.081 * gradients_of(model, 0)[model.bias].at(0)));
  CHECK(identical(at("table.exp_avg_sq")[0], zeros({3}, Dtype::f64)));

  // What is written there is what the next step uses.
  state.tensors["linear.bias.exp_avg"] = zeros({5}, Dtype::f64);
  adam.set_state(model, state);
  CHECK(identical(adam.state(model).tensors.at("linear.bias.exp_avg"), zeros({5}, Dtype::f64)));
}

TEST_CASE("a state that does not fit is refused, and nothing changes", "[optim]") {
  Model model;
  Adam adam({.lr = 0.1});
  adam.step(model, gradients_of(model, 2));
  const Safetensors good = adam.state(model);
  const auto refused = [&](const std::string& text, auto change) {
    Safetensors bad = good;
    change(bad.tensors);
    CHECK_THROWS_WITH(adam.set_state(model, bad, "f"), Contains(text));
    CHECK(identical(adam.state(model).tensors.at("linear.weight.exp_avg"),
                    good.tensors.at("linear.weight.exp_avg")));
  };
  using Tensors = std::map<std::string, Tensor>;
  refused("f: linear.bias.exp_avg_sq is missing", [](Tensors& t) { t.erase("linear.bias.exp_avg_sq"); });
  refused("f: other.exp_avg is the state of a parameter that",
          [](Tensors& t) { t["other.exp_avg"] = zeros({2}); });
  refused("another kind", [](Tensors& t) { t["table.momentum_buffer"] = zeros({6, 3}); });
  refused("f: table.exp_avg has shape (2,)", [](Tensors& t) { t["table.exp_avg"] = zeros({2}); });
  for (const double steps : {-1.0, 0.5, 1e300, double{NAN}})
    refused("table.step is not a number of steps",
            [&](Tensors& t) { t["table.step"] = Tensor::scalar(steps, Dtype::f64); });
  CHECK_THROWS_WITH(Nadam().set_state(model, good, "f"), Contains("mu_product is missing"));
  Nadam nadam;
  nadam.step(model, gradients_of(model, 2));
  CHECK_THROWS_WITH(adam.set_state(model, nadam.state(model)), Contains("another kind"));
  refused("holds NaN or infinity", [](Tensors& t) { t["table.exp_avg"] = full({6, 3}, NAN); });
  CHECK_THROWS_WITH(Sgd().for_parameters({}, [](auto& o) { o.lr = 0; }), Contains("give a pattern"));
  CHECK_THROWS_WITH(Sgd().for_parameters({"*"}, nullptr), Contains("give a pattern"));
  CHECK_THROWS_WITH(Sgd({.momentum = 0.9}).set_state(model, good), Contains("momentum_buffer is missing"));
  CHECK_THROWS_WITH(Sgd().set_state(model, good), Contains("another kind"));
}

TEST_CASE("some parameters have options of their own, by patterns, and schedules reach them", "[optim]") {
  // Against one optimizer for each parameter.
  Model model(Dtype::f64), apart(Dtype::f64);
  AdamW grouped({.lr = 0.1, .weight_decay = 0.5});
  grouped.for_parameters({"*bias", "*norm*"}, [](auto& o) { o.weight_decay = 0; })
      .for_parameters({"linear.*"}, [](auto& o) { o.lr *= 0.5; });
  AdamW weight({.weight_decay = 0.5}), bias({.weight_decay = 0}), table({.weight_decay = 0.5});
  for (std::uint64_t step = 0; step < 5; ++step) {
    const double lr = 0.1 / static_cast<double>(step + 1);
    grouped.set_lr(lr);
    grouped.step(model, gradients_of(model, step));
    weight.set_lr(lr * 0.5);
    bias.set_lr(lr * 0.5);
    table.set_lr(lr);
    const Gradients gradients = gradients_of(apart, step);
    for (const Gradient& one : gradients.entries()) {
      (one.of == apart.weight.place() ? weight
       : one.of == apart.bias.place() ? bias
                                      : table)
          .step(apart, Gradients({one}));
    }
  }
  CHECK(same(model, apart));
  CHECK(grouped.options().weight_decay == 0.5);
}

TEST_CASE("a group may need other state than the rest", "[optim]") {
  Model model;
  Sgd sgd({.lr = 0.1});
  sgd.for_parameters({"table"}, [](auto& o) { o.momentum = 0.9; });
  for (std::uint64_t step = 0; step < 4; ++step) sgd.step(model, gradients_of(model, step));
  const Safetensors state = sgd.state(model);
  CHECK(state.tensors.contains("table.momentum_buffer"));
  CHECK_FALSE(state.tensors.contains("linear.weight.momentum_buffer"));
  Sgd again({.lr = 0.1});
  again.for_parameters({"table"}, [](auto& o) { o.momentum = 0.9; }).set_state(model, state);
  CHECK(again.state(model).tensors.size() == state.tensors.size());
}

TEST_CASE("a pattern that no parameter matches, and options out of range, are errors before anything changes",
          "[optim]") {
  Model model;
  const Model before = model;
  Sgd lost({.lr = 0.1});
  lost.for_parameters({"*.biass", "x"}, [](auto& o) { o.lr = 0; });
  for (int i = 0; i < 2; ++i)
    CHECK_THROWS_WITH(lost.step(model, gradients_of(model, 0)),
                      Contains("no parameter matches *.biass, x") && Contains("linear.bias, table"));
  Sgd wrong({.lr = 0.1});
  wrong.for_parameters({"*"}, [](auto& o) { o.lr = -1; });
  CHECK_THROWS_WITH(wrong.step(model, gradients_of(model, 0)), Contains("lr is -1"));
  CHECK(same(model, before));
}
