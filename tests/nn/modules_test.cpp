#include <memory>
#include <optional>
#include <thread>
#include <variant>

#include "autograd/describe.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/movement.hpp"
#include "nn/conv.hpp"
#include "nn/dropout.hpp"
#include "nn/embedding.hpp"
#include "nn/mlp.hpp"
#include "nn/norm.hpp"
#include "nn/pool.hpp"
#include "nn/sequential.hpp"
#include "nn/weights.hpp"
#include "optim/sgd.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/torch_case.hpp"

using namespace gradus;
using namespace gradus::test;
using Catch::Contains;

namespace {

/// A part of each kind.
struct Parts {
  std::array<Parameter, 2> pair{Parameter(zeros({1})), Parameter(zeros({2}))};
  std::vector<nn::Linear> list;
  std::optional<nn::Linear> maybe, missing;
  std::unique_ptr<nn::Linear> owned, null;
  std::variant<std::monostate, nn::Linear, nn::LayerNorm> either;
  std::vector<std::optional<Parameter>> nested{Parameter(zeros({3})), std::nullopt};

  explicit Parts(Rng& rng)
      : list{nn::Linear(rng, 1, 1, {.bias = false})},
        maybe(nn::Linear(rng, 1, 2, {.bias = false})),
        owned(std::make_unique<nn::Linear>(rng, 2, 2, nn::LinearOptions{.bias = false})) {}

  static void members(auto& self, auto&& visit) {
    visit("pair", self.pair);
    visit("list", self.list);
    visit("maybe", self.maybe);
    visit("missing", self.missing);
    visit("owned", self.owned);
    visit("null", self.null);
    visit("either", self.either);
    visit("nested", self.nested);
  }
};

/// A layer with a running mean of its own.
struct Centred {
  Buffer mean{zeros({2})};
  Parameter scale{ones({2})};
  Variable operator()(const Variable& x, Rng* rng) const {
    if (rng != nullptr) mean.update(0.5 * mean.value() + 0.5 * gradus::mean(x.value(), 0));
    return (x - mean.value()) * scale;
  }
  static void members(auto& self, auto&& visit) {
    visit("mean", self.mean);
    visit("scale", self.scale);
  }
};

std::vector<std::string> paths(const auto& module) {
  std::vector<std::string> out;
  for_each_parameter(module, [&](const std::string& path, const Parameter&) { out.push_back(path); });
  return out;
}

auto conv_network(Rng& rng) {
  return nn::Sequential(nn::Conv2d(rng, 1, 4, 3, {.stride = 2, .padding = 1}), nn::BatchNorm2d(4), nn::Relu{},
                        nn::MaxPool2d(), nn::Flatten(), nn::Linear(rng, 16, 3));
}

}  // namespace

TEST_CASE("parts may stand in arrays, vectors, optionals, unique_ptrs and variants", "[nn][members]") {
  Rng rng(1);
  Parts parts(rng);
  using Strings = std::vector<std::string>;
  CHECK(paths(parts) ==
        Strings{"pair.0", "pair.1", "list.0.weight", "maybe.weight", "owned.weight", "nested.0"});
  parts.either = nn::LayerNorm(3);
  CHECK(paths(parts) == Strings{"pair.0", "pair.1", "list.0.weight", "maybe.weight", "owned.weight",
                                "either.weight", "either.bias", "nested.0"});
  parts.either = nn::Linear(rng, 1, 1, {.bias = false});
  parts.maybe.reset();
  CHECK(count_parameters(parts) == 1 + 2 + 1 + 4 + 1 + 3);
  convert(parts, Dtype::f64);
  CHECK(std::get<1>(parts.either).weight.dtype() == Dtype::f64);
  CHECK(parts.owned->weight.dtype() == Dtype::f64);
  CHECK_THROWS_WITH(
      [&] {
        const InModule here(parts);
        return (*parts.owned)(Variable(zeros({1, 3}, Dtype::f64)));
      }(),
      Contains("in Parts.owned: "));
}

TEST_CASE("buffers are saved, loaded, copied, converted and counted, and no optimizer changes them",
          "[nn][buffer]") {
  Rng rng(2);
  Centred layer;
  const Variable x(Tensor::of({1, 2, 3, 6}).reshape({2, 2}));
  Tape tape;
  const Variable y = layer(x, &rng);
  CHECK(layer.mean.value().text() == "[1, 2]");
  CHECK(layer(x, nullptr).value().text() == "[[0, 0], [2, 4]]");
  optim::Sgd({.lr = 1, .weight_decay = 0.5}).step(layer, tape.backward(sum(y)));
  CHECK(layer.mean.value().text() == "[1, 2]");
  CHECK(layer.scale.value().text() != "[1, 1]");
  CHECK(count_parameters(layer) == 2);
  CHECK(count_buffers(layer) == 2);

  const Centred copy = layer;
  layer(x, &rng);
  CHECK(copy.mean.value().text() == "[1, 2]");
  CHECK(layer.mean.value().text() == "[1.5, 3]");
  const Folder folder;
  nn::save_weights(folder.path() / "w", layer);
  Centred loaded;
  nn::load_weights(folder.path() / "w", loaded);
  CHECK(loaded.mean.value().text() == "[1.5, 3]");
  Safetensors content = nn::weights(layer);
  content.tensors.erase("mean");
  CHECK_THROWS_WITH(nn::set_weights(loaded, content), Contains("missing: mean"));
  content.tensors.emplace("mean", zeros({3}));
  CHECK_THROWS_WITH(nn::set_weights(loaded, content), Contains("mean ((3,) in the file, (2,) in the model)"));
  convert(loaded, Dtype::f64);
  CHECK(loaded.mean.value().dtype() == Dtype::f64);

  nn::BatchNorm norm(2);
  convert(norm, Dtype::f64);
  CHECK(norm.running_var.value().dtype() == Dtype::f64);
  convert(norm, Dtype::f32);
  CHECK(norm.num_batches_tracked.value().dtype() == Dtype::f64);
}

TEST_CASE("a module with buffers keeps its parameters' identities when a vector grows", "[nn][buffer]") {
  std::vector<nn::BatchNorm> norms;
  norms.emplace_back(2);
  const std::uint32_t id = norms[0].weight.id();
  for (int i = 0; i < 20; ++i) norms.emplace_back(2);
  CHECK(norms[0].weight.id() == id);
}

TEST_CASE("threads may train one model with buffers at once", "[nn][buffer][threads]") {
  const nn::BatchNorm norm(3);
  const auto train = [&] {
    Rng rng(3);
    for (int i = 0; i < 50; ++i) norm(Variable(rng.normal({4, 3})), &rng);
  };
  std::thread other(train);
  train();
  other.join();
  CHECK(norm.running_mean.value().shape() == Shape{3});
  CHECK(norm.num_batches_tracked.value().item() == 100);  // none is lost
}

TEST_CASE("describe prints the tree with shapes, numbers and buffers", "[nn][members]") {
  Rng rng(4);
  const nn::Sequential model(nn::Linear(rng, 3, 20), nn::BatchNorm1d(20), nn::Relu{},
                             nn::Residual(nn::Linear(rng, 20, 20, {.bias = false})));
  CHECK(describe(model) ==
        "Sequential\n"
        "  0: Linear\n"
        "    weight                (20, 3)   60\n"
        "    bias                    (20,)   20\n"
        "  1: BatchNorm\n"
        "    weight                  (20,)   20\n"
        "    bias                    (20,)   20\n"
        "    running_mean            (20,)   20  buffer\n"
        "    running_var             (20,)   20  buffer\n"
        "    num_batches_tracked        ()    1  buffer\n"
        "  2: Relu\n"
        "  3: Residual\n"
        "    inner: Linear\n"
        "      weight             (20, 20)  400\n"
        "520 parameters, 41 numbers in buffers\n");
  Parts parts(rng);
  CHECK_THAT(describe(parts), Contains("  list.0: Linear\n    weight") && Contains("  owned: Linear\n") &&
                                  !Contains("missing") && !Contains("null") && Contains("  nested.0 "));
  CHECK(describe(nn::LayerNorm(5)) == "LayerNorm\n  weight  (5,)  5\n  bias    (5,)  5\n10 parameters\n");
}

TEST_CASE("a convolutional network of PyTorch's Sequential loads by its names and gives its numbers",
          "[nn][sequential]") {
  Rng rng(5);
  auto model = conv_network(rng);
  convert(model, Dtype::f64);
  Safetensors content;
  for (const auto& entry : nn::weights(model).tensors)
    content.tensors.emplace(entry.first,
                            fixture("network_conv/" + entry.first).reshape(entry.second.shape()));
  CHECK(content.tensors.size() == 9);
  nn::set_weights(model, content);
  const Variable x(fixture("network_conv/x"));
  Tape tape;
  const Variable logits = model(x, &rng);
  CHECK(difference(logits.value(), fixture("network_conv/logits")) < 1e-12);
  const Gradients found = tape.backward(sum(logits * fixture("network_conv/w")));
  for_each_parameter(model, [&](const std::string& path, const Parameter& p) {
    INFO(path);
    CHECK(difference(found[p], fixture("network_conv/d_" + path)) < 1e-12);
  });
  CHECK(difference(model(x, nullptr).value(), fixture("network_conv/logits_eval")) < 1e-12);
}

TEST_CASE("Sequential passes a generator to the layers that take one, and takes what its first layer takes",
          "[nn][sequential]") {
  Rng rng(6);
  const nn::Sequential inner(nn::Dropout{0.5}, nn::Tanh{});
  const nn::Sequential model(nn::Embedding(rng, 5, 4), inner, nn::Residual(nn::Dropout{0.5}));
  static_assert(decltype(inner)::needs_rng && decltype(model)::needs_rng);
  const Indices ids({0, 1, 2});
  CHECK(identical(model(ids, nullptr).value(), model(ids, nullptr).value()));
  CHECK_FALSE(identical(model(ids, &rng).value(), model(ids, &rng).value()));
  const nn::Sequential plain(nn::Linear(rng, 3, 2), nn::Softmax{});
  static_assert(!decltype(plain)::needs_rng);
  const Variable x(rng.normal({4, 3}));
  CHECK(identical(plain(x).value(), plain(x, &rng).value()));
  CHECK_THROWS_WITH(plain(Variable(zeros({4, 2}))), Contains("in Sequential<Linear, Softmax>.0: "));
}

TEST_CASE("activations are the functions of their names", "[nn][sequential]") {
  Rng rng(7);
  const Variable x(rng.normal({3, 4}, 0, 2));
  const auto check = [&](const auto& layer, const Variable& expected) {
    CHECK(identical(layer(x).value(), expected.value()));
    CHECK(count_parameters(layer) == 0);
  };
  check(nn::Identity{}, x);
  check(nn::Relu{}, relu(x));
  check(nn::LeakyRelu(0.2), leaky_relu(x, 0.2));
  check(nn::LeakyRelu(), leaky_relu(x));
  check(nn::Elu(0.5), elu(x, 0.5));
  check(nn::Selu{}, selu(x));
  check(nn::Gelu(), gelu(x));
  check(nn::Gelu(GeluForm::tanh), gelu(x, GeluForm::tanh));
  check(nn::Silu{}, silu(x));
  check(nn::Mish{}, mish(x));
  check(nn::Sigmoid{}, sigmoid(x));
  check(nn::LogSigmoid{}, log_sigmoid(x));
  check(nn::Tanh{}, tanh(x));
  check(nn::Softplus({.beta = 2}), softplus(x, {.beta = 2}));
  check(nn::Hardtanh(-2, 1), hardtanh(x, -2, 1));
  check(nn::Softmax(0), softmax(x, 0));
  check(nn::LogSoftmax(), log_softmax(x));
  const Variable image(rng.normal({2, 3, 4, 5}));
  CHECK(nn::Flatten()(image).shape() == Shape{2, 60});
  CHECK(nn::Flatten(0, 1)(image).shape() == Shape{6, 4, 5});
}

TEST_CASE("Residual, Highway and Mlp compute what they say", "[nn][sequential]") {
  Rng rng(8);
  const Variable x(rng.normal({2, 3}));
  const nn::Linear line(rng, 3, 3);
  CHECK(identical(nn::Residual(line)(x).value(), (x + line(x)).value()));

  const nn::Highway highway(rng, 3, nn::Tanh{}, {.gate_bias = -2});
  CHECK(highway.gate.bias.value().text() == "[-2, -2, -2]");
  const Variable t = sigmoid(highway.gate(x));
  CHECK(difference(highway(x).value(), (t * tanh(highway.change(x)) + (1 - t) * x).value()) < 1e-6);

  const nn::Mlp mlp(rng, {3, 5, 4, 2});
  CHECK(paths(mlp) == std::vector<std::string>{"layers.0.weight", "layers.0.bias", "layers.1.weight",
                                               "layers.1.bias", "layers.2.weight", "layers.2.bias"});
  const auto& l = mlp.layers;
  CHECK(identical(mlp(x).value(), l[2](relu(l[1](relu(l[0](x))))).value()));
  const nn::Mlp dropping(rng, {3, 50, 2}, nn::Gelu(), {.bias = false, .dropout = 0.5});
  CHECK(count_parameters(dropping) == 250);
  CHECK_FALSE(identical(dropping(x, &rng).value(), dropping(x, nullptr).value()));
  CHECK_THROWS_WITH(dropping(x), Contains("call model(x, &rng) to train"));
  CHECK_THROWS_WITH(nn::Sequential(dropping, nn::Relu{})(x), Contains("call model(x, &rng) to train"));
  CHECK_THROWS_WITH(nn::Residual(nn::Sequential(dropping, nn::Relu{}))(x),
                    Contains("call model(x, &rng) to train"));
  CHECK_THROWS_WITH(nn::Mlp(rng, {3}), Contains("1 widths; there must be at least 2"));
  CHECK_THROWS_WITH(nn::Mlp(rng, {3, 2}, nn::Relu{}, {.dropout = 1}), Contains("a rate of dropout of 1"));
}
