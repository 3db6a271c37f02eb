#include "nn/weights.hpp"

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/conv.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/reduction.hpp"
#include "nn/conv.hpp"
#include "nn/embedding.hpp"
#include "nn/linear.hpp"
#include "nn/lstm.hpp"
#include "nn/norm.hpp"
#include "tensor/npy.hpp"
#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/weight_files.hpp"

using namespace gradus;
using Catch::Contains;
using gradus::test::difference;
using gradus::test::Folder;
using gradus::test::weight_file;

namespace {

struct LstmLm {
  nn::Embedding embed;
  nn::Lstm lstm;
  nn::Linear head;

  explicit LstmLm(std::uint64_t seed = 1) : LstmLm(Rng(seed)) {}
  explicit LstmLm(Rng rng) : embed(rng, 11, 4), lstm(rng, 4, 6, {.layers = 2}), head(rng, 6, 11) {}

  Tensor operator()(const Indices& tokens) const {  // (time, batch) to (time, batch, 11)
    return head(lstm(embed(tokens), lstm.start(tokens.dim(1))).first).value();
  }
  static void members(auto& self, auto&& visit) {
    visit("embed", self.embed);
    visit("lstm", self.lstm);
    visit("head", self.head);
  }
};

/// A convolution or a linear layer, as a module that does not count batches would hold them.
struct Pair {
  Parameter weight, bias;
  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
  }
};
struct Norm {
  Parameter weight{zeros({4})}, bias{zeros({4})}, running_mean{zeros({4})}, running_var{zeros({4})};
  static void members(auto& self, auto&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
    visit("running_mean", self.running_mean);
    visit("running_var", self.running_var);
  }
};
struct ConvNet {
  Pair first{Parameter(zeros({4, 2, 3})), Parameter(zeros({4}))},
      second{Parameter(zeros({3, 4, 3})), Parameter(zeros({3}))};
  Norm norm;
  Pair head{Parameter(zeros({5, 3})), Parameter(zeros({5}))};

  Tensor operator()(const Tensor& x) const {  // (batch, 2, time) to (batch, 5)
    const auto column = [](const Parameter& p) { return p.value().reshape({-1, 1}); };
    Tensor y = conv1d(x, first.weight.value(), first.bias.value(), {.padding = 1});
    y = (y - column(norm.running_mean)) / sqrt(column(norm.running_var) + 1e-5) * column(norm.weight) +
        column(norm.bias);
    y = mean(relu(conv1d(relu(y), second.weight.value(), second.bias.value())), -1);
    return matmul(y, transpose(head.weight.value())) + head.bias.value();
  }
  static void members(auto& self, auto&& visit) {
    visit("first", self.first);
    visit("norm", self.norm);
    visit("second", self.second);
    visit("head", self.head);
  }
};

/// The same of the library's layers.
struct LayerNet {
  nn::Conv1d first, second;
  nn::BatchNorm norm{4};
  nn::Linear head;

  explicit LayerNet(Rng rng) : first(rng, 2, 4, 3, {.padding = 1}), second(rng, 4, 3, 3), head(rng, 3, 5) {}

  Tensor operator()(const Tensor& x) const {
    const Variable y = relu(norm(first(Variable(x)), nullptr));
    return head(mean(relu(second(y)), -1)).value();
  }
  static void members(auto& self, auto&& visit) {
    visit("first", self.first);
    visit("norm", self.norm);
    visit("second", self.second);
    visit("head", self.head);
  }
};

}  // namespace

TEST_CASE("PyTorch's convolutional network loads into the library's layers, its counter too", "[weights]") {
  const Tensor x = load_npy(weight_file("conv_net_x.npy")),
               expected = load_npy(weight_file("conv_net_logits.npy"));
  const Folder folder;
  for (const char* file : {"conv_net.safetensors", "conv_net.pt"}) {
    INFO(file);
    LayerNet net{Rng(1)}, again{Rng(2)};
    const bool inside = std::string(file).ends_with(".pt");
    const nn::LoadReport report =
        nn::load_weights(weight_file(file), net, {.prefix = inside ? "model." : ""});
    CHECK(report.unexpected.empty());
    CHECK(report.loaded.size() == 11);
    CHECK(net.norm.num_batches_tracked.value().item() > 0);
    CHECK(difference(net(x), expected) < 1e-5);
    nn::save_weights(folder.path() / file, net);
    nn::load_weights(folder.path() / file, again);
    CHECK(identical(again(x), net(x)));
    CHECK(again.norm.num_batches_tracked.value().item() == net.norm.num_batches_tracked.value().item());
  }
}

TEST_CASE(
    "an LSTM language model of PyTorch's gives the same logits, from each format, and from what is written "
    "back",
    "[weights]") {
  const Folder folder;
  const Indices tokens = load_npy_indices(weight_file("lstm_lm_tokens.npy"));
  const Tensor expected = load_npy(weight_file("lstm_lm_logits.npy"));
  LstmLm model;
  CHECK(difference(model(tokens), expected) > 1e-3);
  for (const char* file : {"lstm_lm.pt", "lstm_lm.safetensors", "lstm_lm.safetensors.index.json"}) {
    INFO(file);
    LstmLm loaded;
    const nn::LoadReport report = nn::load_weights(weight_file(file), loaded);
    CHECK(report.complete());
    CHECK(report.loaded.size() == 11);
    CHECK(report.text() == "11 loaded");
    CHECK(difference(loaded(tokens), expected) < 1e-5);
    for (const char* back : {"back.pt", "back.npz", "back.safetensors"}) {
      nn::save_weights(folder.path() / back, loaded);
      LstmLm again;
      nn::load_weights(folder.path() / back, again);
      CHECK(identical(again(tokens), loaded(tokens)));
    }
  }
}

TEST_CASE(
    "a convolutional network with batch normalisation gives PyTorch's logits, its counter in nobody's way",
    "[weights]") {
  const Tensor x = load_npy(weight_file("conv_net_x.npy")),
               expected = load_npy(weight_file("conv_net_logits.npy"));
  ConvNet net;
  const nn::LoadReport report = nn::load_weights(weight_file("conv_net.safetensors"), net);
  CHECK(report.complete());
  CHECK(report.unexpected == std::vector<std::string>{"norm.num_batches_tracked"});
  CHECK(difference(net(x), expected) < 1e-5);
  // A checkpoint has the optimizer's state beside the model's.
  ConvNet other;
  CHECK_THROWS_WITH(nn::load_weights(weight_file("conv_net.pt"), other),
                    Contains("take the prefix \"model.\" off (LoadOptions::prefix)"));
  CHECK(nn::load_weights(weight_file("conv_net.pt"), other, {.prefix = "model."}).complete());
  CHECK(difference(other(x), expected) < 1e-5);
}

TEST_CASE(
    "lenient loading takes what fits and reports the rest; strict loading lists all and changes nothing",
    "[weights]") {
  StoredArrays content;
  Rng rng(3);
  const Tensor weight = rng.normal({11, 6}, 0, 1);
  content.arrays.emplace("head.weight", StoredArray(weight));
  content.arrays.emplace("head.bias", StoredArray(ones({12})));
  content.arrays.emplace("tail", StoredArray(ones({1})));
  LstmLm model;
  const Tensor before = model.head.weight.value(), bias = model.head.bias.value();
  CHECK_THROWS_WITH(nn::set_weights(model, content, "w"),
                    Contains("w: it does not fit the model, which stays as it was: missing: embed.weight, "
                             "lstm.weight_ih_l0, ") &&
                        Contains("unexpected: tail") &&
                        Contains("of another shape: head.bias ((12,) in the file, (11,) in the model)"));
  CHECK(identical(model.head.weight.value(), before));
  const nn::LoadReport report = nn::set_weights(model, content, "w", {.strict = false});
  CHECK(identical(model.head.weight.value(), weight));
  CHECK(identical(model.head.bias.value(), bias));
  CHECK(report.loaded == std::vector<std::string>{"head.weight"});
  CHECK(report.missing.size() == 9);
  CHECK(report.unexpected == std::vector<std::string>{"tail"});
  REQUIRE(report.misshapen.size() == 1);
  CHECK(report.misshapen[0].name == "head.bias");
  CHECK_FALSE(report.complete());
}

TEST_CASE("names are found under a prefix and through a function that renames them", "[weights]") {
  Rng rng(3);
  const nn::Linear saved(rng, 2, 3);
  StoredArrays content;
  content.arrays.emplace("encoder.0.kernel", StoredArray(saved.weight.value()));
  content.arrays.emplace("encoder.0.bias", StoredArray(saved.bias.value()));
  content.arrays.emplace("encoder.0.scale", StoredArray(ones({1})));
  content.arrays.emplace("decoder.kernel", StoredArray(ones({1})));
  nn::Linear loaded(rng, 2, 3);
  const auto rename = [](const std::string& name) {
    return name == "kernel" ? "weight" : name == "scale" ? "" : name;
  };
  const nn::LoadReport report =
      nn::set_weights(loaded, content, "w", {.prefix = "encoder.0.", .rename = rename});
  CHECK(report.complete());
  CHECK(report.unexpected.empty());
  CHECK(identical(loaded.weight.value(), saved.weight.value()));
  CHECK_THROWS_WITH(
      nn::set_weights(loaded, content, "w",
                      {.prefix = "encoder.0.", .rename = [](const std::string&) { return "bias"; }}),
      Contains("w: both encoder.0.bias and encoder.0.kernel are renamed to bias"));
}

TEST_CASE("a number that the dtype does not hold is refused before anything changes", "[weights]") {
  Rng rng(3);
  nn::Linear model(rng, 1, 2);
  const Tensor before = model.weight.value();
  StoredArrays content;
  content.arrays.emplace("weight", StoredArray(ones({2, 1})));
  content.arrays.emplace("bias", StoredArray(Tensor::of({1, 16777217}, Dtype::f64), NumberType::i64));
  CHECK_THROWS_WITH(nn::set_weights(model, content, "w", {.strict = false}), Contains("16777217"));
  CHECK(identical(model.weight.value(), before));
}
