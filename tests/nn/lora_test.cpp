#include "nn/lora.hpp"

#include <algorithm>
#include <cmath>

#include "autograd/describe.hpp"
#include "autograd/gradcheck.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/unreached.hpp"
#include "nn/adaptive_softmax.hpp"
#include "nn/losses.hpp"
#include "nn/quantize.hpp"
#include "nn/weights.hpp"
#include "optim/adam.hpp"
#include "optim/sgd.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/threads.hpp"
#include "tests/support/torch_case.hpp"

using namespace gradus;
using namespace gradus::test;
using Catch::Contains;

namespace {

using Paths = std::vector<std::string>;

struct Model {
  explicit Model(Rng& rng) : body(rng, 4, 6, {.bias = false}), head(rng, 6, 3) {}
  nn::Linear body, head;
  static void members(auto& self, auto&& visit) {
    visit("body", self.body);
    visit("head", self.head);
  }
  Variable operator()(const Variable& x) const { return head(tanh(body(x))); }
};

struct Deep {
  explicit Deep(Rng& rng) : last(rng, 4, 2) {
    for (int i = 0; i < 3; ++i) blocks.emplace_back(rng);
    extra.emplace(rng, 2, 2);
  }
  struct Block {
    explicit Block(Rng& rng) : in(rng, 4, 4), out(rng, 4, 4) {}
    nn::Linear in, out;
    static void members(auto& self, auto&& visit) {
      visit("in", self.in);
      visit("out", self.out);
    }
  };
  std::vector<Block> blocks;
  nn::Linear last;
  std::optional<nn::Linear> extra, none;
  static void members(auto& self, auto&& visit) {
    visit("blocks", self.blocks);
    visit("last", self.last);
    visit("extra", self.extra);
    visit("none", self.none);
  }
};

Tensor input() {
  return Rng(7).normal({5, 4});
}
/// As after training: B is no longer 0.
template <class M>
void learn(M& model, double deviation = 0.3) {
  Rng rng(11);
  for_each_parameter(model, [&](const std::string& path, Parameter& p) {
    if (path.ends_with("lora_B.weight")) p.mutable_value() = rng.normal(p.shape(), 0, deviation, p.dtype());
  });
}
Model adapted(const nn::LoraOptions& options = {.rank = 2, .alpha = 8}) {
  Rng rng(1);
  Model model(rng);
  nn::add_lora(rng, model, {"*"}, options);
  learn(model);
  return model;
}
template <class M>
Paths trained(const M& model) {
  Paths out;
  for_each_parameter(model, [&](const std::string& path, const Parameter& p) {
    if (!p.is_frozen()) out.push_back(path);
  });
  return out;
}
template <class M>
Paths paths_of(const M& model) {
  Paths out;
  for_each_parameter(model, [&](const std::string& path, const Parameter&) { out.push_back(path); });
  return out;
}

/// W x + b + (alpha / r) B A x of each row of x, by loops.
std::vector<double> plain(const nn::Linear& layer, const Tensor& x) {
  const Tensor& w = layer.weight.value();
  const Tensor &a = layer.lora->a.value(), &b = layer.lora->b.value();
  const std::int64_t out = w.dim(0), in = w.dim(1), rank = a.dim(0);
  std::vector<double> y;
  for (std::int64_t row = 0; row < x.dim(0); ++row) {
    for (std::int64_t i = 0; i < out; ++i) {
      double sum = layer.bias.value().defined() ? layer.bias.value().at(i) : 0;
      for (std::int64_t k = 0; k < in; ++k) sum += w.at(i * in + k) * x.at(row * in + k);
      for (std::int64_t r = 0; r < rank; ++r) {
        double low = 0;
        for (std::int64_t k = 0; k < in; ++k) low += a.at(r * in + k) * x.at(row * in + k);
        sum += layer.lora->alpha / static_cast<double>(rank) * b.at(i * rank + r) * low;
      }
      y.push_back(sum);
    }
  }
  return y;
}

}  // namespace

TEST_CASE("a linear layer with an adapter, and its gradients, are PyTorch's", "[nn][lora]") {
  const auto layer = [](double alpha) {
    return [alpha](std::span<const Variable> x) {
      Rng rng(1);
      nn::Linear linear(rng, 1, 1, {.bias = x.size() > 4});
      linear.lora.emplace(nn::LoraAdapter{Parameter(), Parameter(), alpha, 0});
      static_cast<Variable&>(linear.weight) = x[1];
      static_cast<Variable&>(linear.lora->a) = x[2];
      static_cast<Variable&>(linear.lora->b) = x[3];
      if (x.size() > 4) static_cast<Variable&>(linear.bias) = x[4];
      return linear(x[0]);
    };
  };
  const Paths inputs{"x", "weight", "a", "b", "bias"}, without_bias{"x", "weight", "a", "b"};
  check_torch_case("lora_vector", inputs, layer(1));
  check_torch_case("lora_rows", inputs, layer(16));
  check_torch_case("lora_sequence", without_bias, layer(4));
  check_torch_case("lora_wide", inputs, layer(16));
}

TEST_CASE("steps of training adapters are PyTorch's", "[nn][lora]") {
  const auto of = [](const std::string& name) { return fixture("lora_training/" + name); };
  Rng rng(1);
  Model model(rng);
  convert(model, Dtype::f64);
  model.body.weight.mutable_value() = of("first");
  model.head.weight.mutable_value() = of("second");
  model.head.bias.mutable_value() = of("bias_before");
  nn::add_lora(rng, model, {"*"}, {.rank = 2, .alpha = 8});
  unfreeze(model, {"head.bias"});
  model.body.lora->a.mutable_value() = of("first_a_before");
  model.head.lora->a.mutable_value() = of("second_a_before");
  std::vector<std::int32_t> classes;
  for (std::int64_t i = 0; i < 12; ++i) classes.push_back(static_cast<std::int32_t>(of("y").at(i)));
  optim::AdamW optimizer({.lr = 0.05, .weight_decay = 0.01});
  for (std::int64_t step = 0; step < 10; ++step) {
    Tape tape;
    const Variable loss = nn::cross_entropy(model(Variable(of("x"))), Indices(classes));
    CHECK(loss.item() == Approx(of("losses").at(step)).epsilon(1e-12));
    optimizer.step(model, tape.backward(loss));
  }
  CHECK(difference(model.body.lora->a.value(), of("first_a_after")) < 1e-12);
  CHECK(difference(model.body.lora->b.value(), of("first_b_after")) < 1e-12);
  CHECK(difference(model.head.lora->a.value(), of("second_a_after")) < 1e-12);
  CHECK(difference(model.head.lora->b.value(), of("second_b_after")) < 1e-12);
  CHECK(difference(model.head.bias.value(), of("bias_after")) < 1e-12);
  CHECK(identical(model.body.weight.value(), of("first")));
}

TEST_CASE("an adapter adds (alpha / r) B A x", "[nn][lora]") {
  Rng rng(3);
  for (const bool bias : {false, true}) {
    for (const auto& [in, out, rank] : {std::array{1, 1, 1}, {5, 3, 2}, {3, 8, 5}, {64, 40, 16}}) {
      nn::Linear layer(rng, in, out, {.bias = bias});
      nn::add_lora(rng, layer, {"*"}, {.rank = rank, .alpha = 3});
      learn(layer);
      const Tensor x = rng.normal({4, in});
      const std::vector<double> expected = plain(layer, x);
      const Tensor y = layer(Variable(x)).value();
      for (std::int64_t i = 0; i < y.size(); ++i)
        CHECK(y.at(i) == Approx(expected[static_cast<std::size_t>(i)]).epsilon(1e-5).margin(1e-5));
      CHECK(difference(linear(Variable(x), layer.effective_weight(), layer.bias).value(), y) < 1e-5);
    }
  }
}

TEST_CASE("a model with new adapters says what it said, to the bit", "[nn][lora]") {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    Rng rng(1);
    Model model(rng);
    convert(model, dtype);
    const Variable x(input().to(dtype));
    const Tensor before = model(x).value(), weight = model.body.weight.value();
    nn::add_lora(rng, model, {"*"}, {.rank = 3});
    CHECK(model.body.lora->a.dtype() == dtype);
    CHECK(identical(model(x).value(), before));
    CHECK(identical(model.body.effective_weight().value(), weight));
  }
}

TEST_CASE("adapters are given by the paths of layers, and all else is frozen", "[nn][lora]") {
  Rng rng(1);
  Deep model(rng);
  const std::int64_t base = count_parameters(model);
  const nn::LoraReport report = nn::add_lora(rng, model, {"blocks.?.in", "extra"}, {.rank = 3});
  CHECK(report.layers == Paths{"blocks.0.in", "blocks.1.in", "blocks.2.in", "extra"});
  CHECK(report.trained == 3 * (3 * 4 + 4 * 3) + 3 * 2 + 2 * 3);
  CHECK(report.parameters == base + report.trained);
  CHECK(count_parameters(model) == report.parameters);
  Paths expected;
  for (const std::string& layer : report.layers) {
    expected.push_back(layer + ".lora_A.weight");
    expected.push_back(layer + ".lora_B.weight");
  }
  CHECK(trained(model) == expected);
  CHECK_FALSE(model.blocks[0].out.lora);
  // More of them, of another rank, leave the first ones to be trained; a new head is trained as well.
  CHECK(nn::add_lora(rng, model, {"last"}, {.rank = 1}).layers == Paths{"last"});
  CHECK(trained(model).size() == 10);
  unfreeze(model, {"last.bias"});
  CHECK(trained(model).size() == 11);

  Model other(rng);
  nn::add_lora(rng, other, {"body"}, {.freeze_rest = false});
  CHECK(trained(other) == paths_of(other));
}

TEST_CASE("training changes adapters alone, and every one of them", "[nn][lora]") {
  Rng rng(1);
  Model model(rng);
  const Tensor body = model.body.weight.value(), head = model.head.weight.value();
  nn::add_lora(rng, model, {"*"}, {.rank = 2});
  const Model before = model;
  optim::Adam optimizer({.lr = 0.05});
  const Indices y({0, 2, 1, 1, 0});
  double first = 0, last = 0;
  for (int step = 0; step < 60; ++step) {
    Tape tape;
    const Variable loss = nn::cross_entropy(model(Variable(input())), y);
    const Gradients gradients = tape.backward(loss);
    CHECK(unreached(model, gradients).empty());
    CHECK_FALSE(gradients.contains(model.body.weight));
    optimizer.step(model, gradients);
    last = loss.item();
    if (step == 0) first = last;
  }
  CHECK(last < 0.5 * first);
  CHECK(identical(model.body.weight.value(), body));
  CHECK(identical(model.head.weight.value(), head));
  for (const auto part : {&nn::LoraAdapter::a, &nn::LoraAdapter::b}) {
    CHECK_FALSE(identical(((*model.body.lora).*part).value(), ((*before.body.lora).*part).value()));
    CHECK_FALSE(identical(((*model.head.lora).*part).value(), ((*before.head.lora).*part).value()));
  }
}

TEST_CASE("gradients of adapters of every order are right, in layers and in losses over their weights",
          "[nn][lora]") {
  Model model = adapted({.rank = 2, .alpha = 3, .freeze_rest = false});
  convert(model, Dtype::f64);
  const Variable x(input().to(Dtype::f64));
  const Indices y({0, 2, 1, 1, 0});
  const auto check = [&](const auto& loss) {
    const GradcheckResult result = gradcheck(model, loss);
    INFO(result.message);
    CHECK(result.passed);
    CHECK(result.checked > 100);
  };
  check([&](Model& m) { return sum(square(m(x))); });
  check([&](Model& m) { return nn::linear_cross_entropy(tanh(m.body(x)), m.head, y); });
  const double fused = nn::linear_cross_entropy(tanh(model.body(x)), model.head, y).item();
  CHECK(fused == Approx(nn::cross_entropy(model(x), y).item()).epsilon(1e-12));
}

TEST_CASE("an adaptive softmax guesses with its adapters", "[nn][lora]") {
  Rng rng(2);
  nn::AdaptiveSoftmax softmax(rng, 4, 9, {3, 6}, {.div_value = 2});
  nn::add_lora(rng, softmax, {"*"}, {.rank = 2, .alpha = 20});
  const Tensor x = rng.normal({50, 4});
  const Indices before = softmax.predict(x);
  learn(softmax, 2);
  const Indices likeliest = argmax(softmax.log_prob(Variable(x)).value(), -1);
  CHECK(std::ranges::equal(softmax.predict(x).values(), likeliest.values()));
  CHECK_FALSE(std::ranges::equal(before.values(), likeliest.values()));
}

TEST_CASE("merging adds adapters to the weights, and unmerging gives these back to the bit", "[nn][lora]") {
  Model model = adapted();
  const Tensor weight = model.body.weight.value(), a = model.body.lora->a.value(),
               unmerged = model(Variable(input())).value();
  Rng rng(1);
  const Paths plain_paths = paths_of(Model(rng)), adapted_paths = paths_of(model);
  nn::merge_lora(model);
  CHECK(paths_of(model) == plain_paths);  // an ordinary model
  CHECK_FALSE(identical(model.body.weight.value(), weight));
  CHECK(difference(model(Variable(input())).value(), unmerged) < 2e-6);
  const Tensor merged = model.body.weight.value();
  nn::merge_lora(model);  // they are already
  CHECK(identical(model.body.weight.value(), merged));
  Model copy = model;
  nn::unmerge_lora(model);
  CHECK(paths_of(model) == adapted_paths);
  CHECK(identical(model.body.weight.value(), weight));
  CHECK(identical(model.body.lora->a.value(), a));
  CHECK(identical(model(Variable(input())).value(), unmerged));
  CHECK(trained(model).size() == 4);

  // A copy is merged by itself; converted meanwhile, it gets its weights back in the dtype that it has.
  CHECK(identical(copy.body.weight.value(), merged));
  convert(copy, Dtype::f64);
  nn::unmerge_lora(copy);
  CHECK(identical(copy.body.weight.value(), weight.to(Dtype::f64)));
  CHECK(difference(copy(Variable(input().to(Dtype::f64))).value().to(Dtype::f32), unmerged) < 1e-5);

  nn::merge_lora(model);
  nn::remove_lora(model);
  CHECK(identical(model.body.weight.value(), merged));
  CHECK_FALSE(model.body.lora);
  nn::add_lora(rng, model, {"body"});
  nn::remove_lora(model);
  CHECK(identical(model.body.weight.value(), merged));
}

TEST_CASE("a merged weight is rounded once", "[nn][lora]") {
  Rng rng(5);
  nn::Linear layer(rng, 30, 20);
  nn::add_lora(rng, layer, {"*"}, {.rank = 7, .alpha = 5});
  learn(layer);
  const Tensor exact =
      layer.weight.value().to(Dtype::f64) +
      matmul(layer.lora->b.value().to(Dtype::f64), layer.lora->a.value().to(Dtype::f64)) * (5.0 / 7);
  nn::merge_lora(layer);
  for (std::int64_t i = 0; i < exact.size(); ++i) {
    const auto nearest = static_cast<float>(exact.at(i));
    CHECK(layer.weight.value().at(i) == nearest);
  }
}

TEST_CASE("adapters alone are saved and loaded by name", "[nn][lora]") {
  const Folder folder;
  const auto file = folder.path() / "adapters.safetensors";
  const Model model = adapted({.rank = 2, .alpha = 0.1});
  nn::save_lora(file, model);
  CHECK(std::filesystem::file_size(file) < 1500);
  Rng rng(1);
  Model other(rng);  // the same weights
  const nn::LoraReport report = nn::load_lora(file, other);
  CHECK(report.layers == Paths{"body", "head"});
  CHECK(report.trained == 2 * (4 + 6) + 2 * (6 + 3));
  CHECK(trained(other).size() == 4);
  CHECK(other.body.lora->alpha == 0.1);
  CHECK(identical(other(Variable(input())).value(), model(Variable(input())).value()));
  const std::uint32_t id = other.body.lora->a.id();
  nn::load_lora(file, other);  // in place of the ones that are there, which an optimizer may know
  CHECK(other.body.lora->a.id() == id);

  // Merged ones are saved as well.
  Model merged = model;
  nn::merge_lora(merged);
  const Safetensors of_merged = nn::lora_weights(merged), all = nn::lora_weights(model);
  CHECK(of_merged.metadata == all.metadata);
  CHECK(identical(of_merged.tensors.at("head.lora_B.weight"), all.tensors.at("head.lora_B.weight")));
  CHECK(all.tensors.size() == 4);

  // The whole model, for going on with its training.
  Model resumed(rng);
  nn::add_lora(rng, resumed, {"*"}, {.rank = 2, .alpha = 0.1});
  nn::set_weights(resumed, nn::weights(model));
  CHECK(identical(resumed(Variable(input())).value(), model(Variable(input())).value()));
}

TEST_CASE("adapters that PEFT saved are loaded by its names", "[nn][lora]") {
  Rng rng(2);
  Safetensors content;
  content.tensors.emplace("base_model.model.body.lora_A.weight", rng.normal({2, 4}));
  content.tensors.emplace("base_model.model.body.lora_B.weight", rng.normal({6, 2}));
  Model model(rng);
  const nn::LoraFileOptions options{.prefix = "base_model.model.", .alpha = 6};
  CHECK(nn::set_lora(model, content, "peft", options).layers == Paths{"body"});
  CHECK(model.body.lora->alpha == 6);
  CHECK(identical(model.body.lora->b.value(), content.tensors.at("base_model.model.body.lora_B.weight")));
  CHECK_THROWS_WITH(nn::set_lora(model, content, "peft", {.prefix = "base_model.model."}),
                    Contains("peft") && Contains("alpha of body") && Contains("adapter_config.json"));
  CHECK(nn::lora_weights(model, options.prefix).tensors.size() == 2);
  CHECK(nn::lora_weights(model, options.prefix).tensors.begin()->first == content.tensors.begin()->first);
}

TEST_CASE("a file of adapters that does not fit is refused, and changes nothing", "[nn][lora]") {
  Rng rng(2);
  Model model(rng);
  const Safetensors good = nn::lora_weights(adapted());
  const auto throws = [&](const auto& damage, const std::string& text) {
    Safetensors content = good;
    damage(content);
    CHECK_THROWS_AS(nn::set_lora(model, content, "file"), DataError);
    CHECK_THROWS_WITH(nn::set_lora(model, content, "file"), Contains("file: ") && Contains(text));
    CHECK_FALSE(model.body.lora);
    CHECK(trained(model).size() == 3);
  };
  throws([](Safetensors& c) { c.tensors.erase("body.lora_B.weight"); },
         "of body it has lora_A.weight and no");
  throws([](Safetensors& c) { c.tensors["tail.lora_A.weight"] = zeros({2, 4}); }, "tail");
  throws([](Safetensors& c) { c.tensors["body.weight"] = zeros({2, 4}); }, "body.weight");
  throws([](Safetensors& c) { c.tensors["bodylora_A.weight"] = zeros({2, 4}); }, "bodylora_A.weight");
  throws([](Safetensors& c) { c.tensors["body.lora_A.weight"] = zeros({2, 5}); }, "(2, 5)");
  throws([](Safetensors& c) { c.tensors["body.lora_A.weight"] = zeros({3, 4}); }, "(3, 4)");
  throws([](Safetensors& c) { c.tensors["body.lora_B.weight"] = zeros({12}); }, "(12,)");
  throws([](Safetensors& c) { c.metadata["body.alpha"] = "much"; }, "'much'");
  throws([](Safetensors& c) { c.metadata["body.alpha"] = "-1"; }, "'-1'");
  throws([](Safetensors& c) { c.tensors.clear(); }, "no adapters");
}

TEST_CASE("adapters where they cannot be are refused with what to do, and nothing is changed", "[nn][lora]") {
  Rng rng(1);
  Model model(rng);
  const auto refused = [&](const Paths& patterns, const nn::LoraOptions& options, const std::string& text) {
    CHECK_THROWS_AS(nn::add_lora(rng, model, patterns, options), ArgumentError);
    CHECK_THROWS_WITH(nn::add_lora(rng, model, patterns, options), Contains(text));
    CHECK(trained(model).size() == 3);
  };
  refused({"tail", "*.weight"}, {}, "no linear layer matches tail, *.weight; the model's are body, head");
  refused({"*"}, {.rank = 0}, "rank 0");
  refused({"*"}, {.alpha = 0}, "alpha 0");
  refused({"*"}, {.alpha = NAN}, "alpha nan");
  refused({"*"}, {.dropout = 1}, "rate of 1");
  CHECK_THROWS_WITH(nn::merge_lora(model), Contains("merge_lora: the model has no adapters; add_lora"));
  CHECK_THROWS_WITH(nn::unmerge_lora(model), Contains("no adapters"));
  CHECK_THROWS_WITH(nn::remove_lora(model), Contains("no adapters"));
  CHECK_THROWS_WITH(nn::lora_weights(model), Contains("no adapters"));

  Model quantized = model;
  nn::quantize(quantized, {.keep = {"head*"}});
  CHECK_THROWS_WITH(nn::add_lora(rng, quantized, {"*"}),
                    Contains("body is quantized, its weights are of i8"));
  CHECK_FALSE(quantized.head.lora);
  nn::add_lora(rng, quantized, {"head"});

  nn::add_lora(rng, model, {"body"}, {.rank = 2});
  CHECK_THROWS_WITH(nn::add_lora(rng, model, {"*"}), Contains("body has an adapter already, of rank 2"));
  CHECK_FALSE(model.head.lora);
  nn::merge_lora(model);
  CHECK_THROWS_WITH(nn::add_lora(rng, model, {"body"}), Contains("body has an adapter already"));
  CHECK_THROWS_WITH(nn::set_lora(model, nn::lora_weights(model)), Contains("body is merged"));
}

TEST_CASE("a model with adapters is quantized without them, or once they are merged", "[nn][lora]") {
  Model model = adapted();
  const Tensor weight = model.body.weight.value(), exact = model(Variable(input())).value();
  Model merged = model;
  nn::quantize(model);
  CHECK(model.body.weight.dtype() == Dtype::i8);
  CHECK(model.body.lora->a.dtype() == Dtype::f32);
  CHECK(difference(model(Variable(input())).value(), exact) < 0.05);
  CHECK_THROWS_WITH(nn::merge_lora(model), Contains("merge_lora: body is quantized"));
  nn::merge_lora(merged);
  nn::quantize(merged);
  CHECK(difference(merged(Variable(input())).value(), exact) < 0.05);
  nn::unmerge_lora(merged);
  CHECK(identical(merged.body.weight.value(), weight));
}

TEST_CASE("an adapter drops elements of its input in training alone", "[nn][lora]") {
  Rng rng(1);
  nn::Linear layer(rng, 50, 40);
  nn::add_lora(rng, layer, {"*"}, {.rank = 4, .dropout = 0.25});
  learn(layer);
  const Variable x(ones({200, 50}));
  const Tensor whole = layer(x).value();
  const Rng::State seed = Rng(9).state();
  const auto dropped = [&](const Variable& of) {
    Rng drawn(seed);
    const nn::LoraDropout dropping(&drawn);
    return layer(of).value();
  };
  const Tensor once = dropped(x);
  {
    const nn::LoraDropout on(&rng), off(nullptr);  // they nest
    CHECK(identical(layer(x).value(), whole));
  }
  CHECK(identical(dropped(x), once));
  CHECK_FALSE(identical(once, whole));
  CHECK(identical(layer(x).value(), whole));
  // The mean stays, as what is kept is multiplied by 1 / 0.75; the weight itself reads all of x.
  CHECK(difference(mean(once, 0), mean(whole, 0)) < 0.15);
  layer.lora->b.mutable_value() = zeros({40, 4});
  CHECK(identical(dropped(x), linear(x, layer.weight, layer.bias).value()));
}

TEST_CASE("describe lists adapters until they are merged", "[nn][lora]") {
  Model model = adapted();
  CHECK_THAT(describe(model), Contains("lora_A.weight  (2, 4)") && Contains("lora_B.weight  (6, 2)"));
  nn::merge_lora(model);
  CHECK_THAT(describe(model), !Contains("lora"));
}

TEST_CASE("an adapter gives the same bits for any number of threads", "[nn][lora]") {
  Rng rng(4);
  nn::Linear layer(rng, 200, 300);
  nn::add_lora(rng, layer, {"*"}, {.rank = 8});
  learn(layer);
  const Tensor x = rng.normal({70, 200});
  check_same_bits([&] {
    Tape tape;
    return tape.backward(sum(square(layer(Variable(x)))))[layer.lora->a];
  });
}

TEST_CASE("an error in an adapter's layer names the layer", "[nn][lora]") {
  const Model model = adapted();
  CHECK_THROWS_WITH(model.head(Variable(zeros({2, 5}))), Contains("in Linear: linear"));
}
