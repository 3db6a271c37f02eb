#include <algorithm>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "nn/dropout.hpp"
#include "nn/embedding.hpp"
#include "nn/gru.hpp"
#include "nn/linear.hpp"
#include "nn/losses.hpp"
#include "nn/lstm.hpp"
#include "nn/rnn.hpp"
#include "nn/weights.hpp"
#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/folder.hpp"

using namespace gradus;
using gradus::test::difference;
using gradus::test::fixture;

namespace {

double tolerance(Dtype dtype) {
  return dtype == Dtype::f64 ? 1e-12 : 1e-5;
}

/// Gives the layer the fixture's weights.
template <class Layer>
void load(Layer& layer, const std::string& name, Dtype dtype) {
  for_each_parameter(layer, [&](const std::string& path, Parameter& parameter) {
    INFO(path);
    const Tensor value = fixture(name + "/" + path).to(dtype);
    REQUIRE(value.shape() == parameter.shape());
    parameter.mutable_value() = value;
  });
}

template <class Layer>
void check_weight_gradients(const Layer& layer, const std::string& name, const Gradients& gradients,
                            Dtype dtype) {
  int count = 0;
  for_each_parameter(layer, [&](const std::string& path, const Parameter& parameter) {
    INFO(path);
    CHECK(difference(gradients[parameter].to(Dtype::f64), fixture(name + "/d_" + path)) < tolerance(dtype));
    ++count;
  });
  CHECK(count == 4 * static_cast<int>(layer.layers.size()));
}

/// For a layer, Rnn or Gru, whose state is h alone.
template <class Layer>
void check_layer(Layer layer, const std::string& name, Dtype dtype) {
  INFO(name << " in " << name_of(dtype));
  const auto value = [&](const std::string& part) { return fixture(name + "/" + part).to(dtype); };
  load(layer, name, dtype);
  Tape tape;
  const Variable x = tape.watch(value("x")), h0 = tape.watch(value("h0"));
  const auto [out, last] = layer(x, {h0});
  CHECK(difference(out.value().to(Dtype::f64), fixture(name + "/out")) < tolerance(dtype));
  CHECK(difference(last.h.value().to(Dtype::f64), fixture(name + "/hn")) < tolerance(dtype));
  const Variable loss = sum(out * Variable(value("w_out"))) + sum(last.h * Variable(value("w_h")));
  const Gradients gradients = tape.backward(loss);
  CHECK(difference(gradients[x].to(Dtype::f64), fixture(name + "/d_x")) < tolerance(dtype));
  CHECK(difference(gradients[h0].to(Dtype::f64), fixture(name + "/d_h0")) < tolerance(dtype));
  check_weight_gradients(layer, name, gradients, dtype);
}

void check_lstm(const std::string& name, nn::RecurrentOptions options, Dtype dtype) {
  INFO(name << " in " << name_of(dtype));
  const auto value = [&](const std::string& part) { return fixture(name + "/" + part).to(dtype); };
  Rng rng(1);
  nn::Lstm lstm(rng, 4, 6, options);
  load(lstm, name, dtype);
  Tape tape;
  const Variable x = tape.watch(value("x")), h0 = tape.watch(value("h0")), c0 = tape.watch(value("c0"));
  const auto [out, last] = lstm(x, {h0, c0});
  CHECK(difference(out.value().to(Dtype::f64), fixture(name + "/out")) < tolerance(dtype));
  CHECK(difference(last.h.value().to(Dtype::f64), fixture(name + "/hn")) < tolerance(dtype));
  CHECK(difference(last.c.value().to(Dtype::f64), fixture(name + "/cn")) < tolerance(dtype));
  const Variable loss = sum(out * Variable(value("w_out"))) + sum(last.h * Variable(value("w_h"))) +
                        sum(last.c * Variable(value("w_c")));
  const Gradients gradients = tape.backward(loss);
  CHECK(difference(gradients[x].to(Dtype::f64), fixture(name + "/d_x")) < tolerance(dtype));
  CHECK(difference(gradients[h0].to(Dtype::f64), fixture(name + "/d_h0")) < tolerance(dtype));
  CHECK(difference(gradients[c0].to(Dtype::f64), fixture(name + "/d_c0")) < tolerance(dtype));
  check_weight_gradients(lstm, name, gradients, dtype);
}

}  // namespace

TEST_CASE("Rnn's outputs and gradients are PyTorch's", "[nn]") {
  for (const Dtype dtype : {Dtype::f64, Dtype::f32}) {
    Rng rng(1);
    check_layer(nn::Rnn(rng, 4, 6), "rnn_tanh_1", dtype);
    check_layer(nn::Rnn(rng, 4, 6, {.layers = 2}, nn::Activation::relu), "rnn_relu_2", dtype);
  }
}

TEST_CASE("Gru's outputs and gradients are PyTorch's", "[nn]") {
  for (const Dtype dtype : {Dtype::f64, Dtype::f32}) {
    Rng rng(1);
    check_layer(nn::Gru(rng, 4, 6), "gru_1", dtype);
    check_layer(nn::Gru(rng, 4, 6, {.layers = 2}), "gru_2", dtype);
  }
}

TEST_CASE("Lstm's outputs and gradients are PyTorch's", "[nn]") {
  for (const Dtype dtype : {Dtype::f64, Dtype::f32}) {
    check_lstm("lstm_1", {}, dtype);
    check_lstm("lstm_2", {.layers = 2}, dtype);
  }
}

namespace {

/// f(inputs), then the gradient of the sum of its squares with respect to each input.
template <class F>
std::vector<Tensor> value_and_gradients(const F& f, const std::vector<Tensor>& inputs) {
  Tape tape;
  std::vector<Variable> xs;
  for (const Tensor& x : inputs) xs.push_back(tape.watch(x));
  const Variable y = f(xs);
  const Gradients gradients = tape.backward(sum(y * y));
  std::vector<Tensor> out{y.value()};
  for (const Variable& x : xs) out.push_back(gradients[x]);
  return out;
}

/// The fused layers beside plain ops, over (time, batch, 5) to `width` units, gradients too.
void check_fused(std::int64_t steps, std::int64_t batch, std::int64_t width, double bound) {
  INFO(steps << " steps, batch " << batch << ", width " << width);
  Rng rng(5);
  const auto draw = [&](const Shape& shape) { return rng.uniform(shape, -bound, bound, Dtype::f64); };
  const auto check = [&](std::int64_t gates, bool has_c, const auto& fused, const auto& by_ops) {
    std::vector<Tensor> inputs{draw({steps, batch, 5}), draw({batch, width})};
    if (has_c) inputs.push_back(draw({batch, width}));
    inputs.insert(inputs.end(), {draw({gates * width, 5}), draw({gates * width, width}),
                                 draw({gates * width}), draw({gates * width})});
    const std::vector<Tensor> a = value_and_gradients(fused, inputs), b = value_and_gradients(by_ops, inputs);
    CHECK(difference(a[0], b[0]) < 1e-13);
    for (std::size_t i = 1; i < a.size(); ++i) {
      INFO("gradient of input " << i - 1);
      const double size = std::max(max(abs(b[i])).item(), 1.0);
      CHECK(difference(a[i], b[i]) < 1e-13 * size);
    }
  };
  using Inputs = const std::vector<Variable>&;
  check(
      4, true, [](Inputs x) { return nn::lstm_sequence(x[0], x[1], x[2], x[3], x[4], x[5], x[6]); },
      [](Inputs x) { return nn::lstm_sequence_by_ops(x[0], x[1], x[2], x[3], x[4], x[5], x[6]); });
  check(
      3, false, [](Inputs x) { return nn::gru_sequence(x[0], x[1], x[2], x[3], x[4], x[5]); },
      [](Inputs x) { return nn::gru_sequence_by_ops(x[0], x[1], x[2], x[3], x[4], x[5]); });
  for (const nn::Activation f : {nn::Activation::tanh, nn::Activation::relu}) {
    check(
        1, false, [f](Inputs x) { return nn::rnn_sequence(f, x[0], x[1], x[2], x[3], x[4], x[5]); },
        [f](Inputs x) { return nn::rnn_sequence_by_ops(f, x[0], x[1], x[2], x[3], x[4], x[5]); });
  }
}

}  // namespace

TEST_CASE("a fused sequence equals the same in plain ops", "[nn]") {
  check_fused(7, 3, 9, 1);
  check_fused(1, 2, 9, 1);       // a lone step, whose weights are not packed
  check_fused(3, 40, 150, 0.1);  // shared among threads
}

TEST_CASE("a recurrent layer over a table of embeddings equals it over the embeddings", "[nn]") {
  Rng rng(6);
  const nn::Embedding many(rng, 20, 4);  // more than ids, so that they are gathered first
  nn::Embedding few(rng, 5, 4);
  const nn::Lstm lstm(rng, 4, 3, {.layers = 2});
  const nn::Rnn rnn(rng, 4, 3);
  const Indices ids({0, 4, 1, 1, 0, 3, 2, 2}, {4, 2});
  CHECK(nn::projects_table(few, ids));
  CHECK_FALSE(nn::projects_table(many, ids));
  const auto gradients = [&](const auto& layer, bool table) {
    Tape tape;
    const Variable h = (table ? layer(few, ids, layer.start(2)) : layer(few(ids), layer.start(2))).first;
    const Gradients grads = tape.backward(sum(h * h));
    return std::vector<Tensor>{h.value(), grads[few.weight], grads[layer.layers[0].weight_ih],
                               grads[layer.layers[0].weight_hh], grads[layer.layers[0].bias_hh]};
  };
  const auto compare = [&](const auto& layer) {
    const std::vector<Tensor> a = gradients(layer, true), b = gradients(layer, false);
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(difference(a[i], b[i]) < 1e-6);
  };
  compare(lstm);
  compare(rnn);
  compare(nn::Gru(rng, 4, 3));
  CHECK_THROWS_AS(lstm(many, Indices({1, 2}, {2}), lstm.start(2)), ShapeError);
  CHECK_THROWS_AS(lstm(few, Indices({1, 2, 0, 0, 1, 3}, {6}), lstm.start(2)), ShapeError);
}

TEST_CASE("cross_entropy and its gradient are PyTorch's", "[nn]") {
  const Indices targets =
      load_npy_indices(gradus::test::source_dir() + "/tests/fixtures/cross_entropy/targets.npy");
  Tape tape;
  const Variable logits = tape.watch(fixture("cross_entropy/logits"));
  const Variable loss = nn::cross_entropy(logits, targets);
  CHECK(loss.item() == Approx(fixture("cross_entropy/loss").item()).epsilon(1e-13));
  CHECK(difference(tape.backward(loss)[logits], fixture("cross_entropy/d_logits")) < 1e-13);
}

TEST_CASE("linear_cross_entropy is linear and cross_entropy, whole or in chunks", "[nn]") {
  Rng rng(7);
  const std::int64_t rows = 150, width = 9, classes = 40;
  const Parameter x(rng.normal({rows, width}, 0, 1, Dtype::f64)),
      weight(rng.normal({classes, width}, 0, 1, Dtype::f64)), bias(rng.normal({classes}, 0, 1, Dtype::f64));
  std::vector<std::int32_t> ids;
  for (std::int64_t i = 0; i < rows; ++i)
    ids.push_back(i % 7 == 0 ? -100 : static_cast<std::int32_t>(i) % 40);
  const Indices targets(std::move(ids));
  for (const Reduction reduction : {Reduction::mean, Reduction::sum}) {
    Tape plain;
    const Variable expected =
        nn::cross_entropy(linear(x, weight, bias), targets, CrossEntropyOptions{.reduction = reduction});
    const Gradients wanted = plain.backward(3 * expected);
    for (const std::int64_t bytes : {std::int64_t{1}, std::int64_t{1} << 25}) {
      Tape tape;
      const Variable loss =
          nn::linear_cross_entropy(x, weight, bias, targets, {.reduction = reduction, .chunk_bytes = bytes});
      CHECK(loss.item() == Approx(expected.item()).epsilon(1e-13));
      const Gradients found = tape.backward(3 * loss);
      for (const Parameter* p : {&x, &weight, &bias}) CHECK(difference(found[*p], wanted[*p]) < 1e-12);
    }
    CHECK(nn::linear_cross_entropy(x, weight, bias, targets, {.reduction = reduction}).item() ==
          Approx(expected.item()).epsilon(1e-13));
  }
}

TEST_CASE("linear_cross_entropy says what does not fit", "[nn]") {
  const Variable x(zeros({2, 3})), weight(zeros({4, 3})), none;
  const Indices targets({0, 3});
  CHECK_THROWS_WITH(nn::linear_cross_entropy(x, Variable(zeros({4, 2})), none, targets),
                    Catch::Contains("linear") && Catch::Contains("(4, 2)") && Catch::Contains("nn_test.cpp"));
  CHECK_THROWS_WITH(nn::linear_cross_entropy(x, weight, none, Indices({0, 4})), Catch::Contains("target 4"));
  CHECK_THROWS_AS(nn::linear_cross_entropy(x, weight, none, Indices({0})), ShapeError);
  CHECK_THROWS_AS(nn::linear_cross_entropy(x, weight, Variable(zeros({3})), targets), ShapeError);
  CHECK_THROWS_AS(nn::linear_cross_entropy(Variable(zeros({2, 3}, Dtype::f64)), weight, none, targets),
                  DtypeError);
  CHECK_THROWS_AS(nn::linear_cross_entropy(x, weight, none, targets, {.chunk_bytes = 0}), ArgumentError);
  CHECK_THROWS_WITH(nn::linear_cross_entropy(x, weight, none, Indices({-100, -100})),
                    Catch::Contains("none counts"));
}

TEST_CASE("cross_entropy of huge logits does not overflow, and names a bad target", "[nn]") {
  const Variable logits(Tensor::of({1000, -1000, 999}, Dtype::f32));
  const auto loss = [&](std::int32_t target) {
    return nn::cross_entropy(logits, Indices(std::vector<std::int32_t>{target}, {})).item();
  };
  CHECK(loss(0) == Approx(std::log(1 + std::exp(-1.0))).epsilon(1e-5));
  CHECK(loss(1) == Approx(2000.3132).epsilon(1e-6));
  CHECK_THROWS_WITH(loss(3), Catch::Contains("target 3") && Catch::Contains("nn_test.cpp"));
  CHECK_THROWS_AS(nn::cross_entropy(logits, Indices({0, 1})), ShapeError);
}

TEST_CASE("dropout keeps the mean, zeroes the rate and does nothing without a generator", "[nn]") {
  const Variable x(ones({200, 500}));
  Rng rng(3);
  const Tensor y = nn::dropout(x, 0.3, &rng).value();
  std::int64_t zero = 0;
  for (const float v : y.values<float>()) {
    zero += v == 0;
    if (v != 0) REQUIRE(v == Approx(1 / 0.7f));
  }
  CHECK(static_cast<double>(zero) / 1e5 == Approx(0.3).epsilon(0).margin(0.01));
  CHECK(mean(y).item() == Approx(1).epsilon(0).margin(0.01));
  CHECK(identical(nn::dropout(x, 0.3, nullptr).value(), x.value()));
  CHECK_THROWS_AS(nn::dropout(x, 1.0, &rng), ArgumentError);
}

TEST_CASE("initialisers have the bounds and deviations of their papers", "[nn]") {
  Rng rng(4);
  const auto deviation = [](const Tensor& x) {
    return std::sqrt(sum_squares(x) / static_cast<double>(x.size()));
  };
  const Shape shape{300, 500};
  CHECK(deviation(nn::xavier_uniform(rng, shape)) == Approx(std::sqrt(2.0 / 800)).epsilon(0.01));
  CHECK(deviation(nn::xavier_normal(rng, shape)) == Approx(std::sqrt(2.0 / 800)).epsilon(0.01));
  CHECK(deviation(nn::kaiming_uniform(rng, shape)) == Approx(std::sqrt(2.0 / 500)).epsilon(0.01));
  CHECK(deviation(nn::kaiming_normal(rng, shape)) == Approx(std::sqrt(2.0 / 500)).epsilon(0.01));
  CHECK(deviation(nn::uniform(rng, shape, 0.3)) == Approx(0.3 / std::sqrt(3.0)).epsilon(0.01));
  const nn::Linear linear(rng, 16, 8);
  for (const float w : linear.weight.value().values<float>()) CHECK(std::abs(w) <= 0.25f);
}

TEST_CASE("parameters have PyTorch's names, and all are counted", "[nn]") {
  Rng rng(1);
  nn::Lstm lstm(rng, 3, 5, {.layers = 2});
  std::vector<std::string> names;
  for_each_parameter(lstm, [&](const std::string& path, Parameter&) { names.push_back(path); });
  CHECK(names == std::vector<std::string>{"weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0",
                                          "weight_ih_l1", "weight_hh_l1", "bias_ih_l1", "bias_hh_l1"});
  CHECK(count_parameters(lstm) == 20 * 3 + 20 * 5 + 40 + 20 * 5 + 20 * 5 + 40);
  CHECK(count_parameters(nn::Linear(rng, 4, 3, {.bias = false})) == 12);
  CHECK(describe(nn::Linear(rng, 4, 3)) == "weight (3, 4)\nbias (3,)\n15 parameters\n");
}

TEST_CASE("layers refuse what does not fit, and say which", "[nn]") {
  Rng rng(1);
  const nn::Lstm lstm(rng, 3, 5);
  const nn::Rnn rnn(rng, 3, 5);
  const Variable x(zeros({2, 4, 3}));
  CHECK_THROWS_WITH(lstm(Variable(zeros({2, 4, 2})), lstm.start(4)),
                    Catch::Contains("Lstm") && Catch::Contains("(time, batch, 3)"));
  CHECK_THROWS_WITH(lstm(x, lstm.start(3)), Catch::Contains("Lstm") && Catch::Contains("(1, 4, 5)"));
  CHECK_THROWS_WITH(rnn(Variable(zeros({0, 4, 3})), rnn.start(4)), Catch::Contains("Rnn"));
  CHECK_THROWS_AS(nn::Lstm(rng, 0, 5), ArgumentError);
  CHECK_THROWS_AS(nn::Lstm(rng, 3, 5, {.layers = 0}), ArgumentError);
  CHECK_THROWS_AS(nn::Linear(rng, 3, 0), ArgumentError);
  CHECK_THROWS_WITH(nn::Embedding(rng, 4, 2)(Indices({0, 4})), Catch::Contains("id 4"));
  CHECK_THROWS_WITH(nn::Linear(rng, 3, 2)(Variable(zeros({2, 4}))), Catch::Contains("linear"));
}

TEST_CASE("a module's weights go out to a safetensors file and come back, all or none", "[nn]") {
  const gradus::test::Folder folder;
  const auto file = folder.path() / "weights.safetensors";
  Rng rng(6);
  const nn::Lstm saved(rng, 3, 5, {.layers = 2});
  nn::save_weights(file, saved);
  nn::Lstm loaded(rng, 3, 5, {.layers = 2});
  const std::uint32_t id = loaded.layers[0].weight_ih.id();
  nn::load_weights(file, loaded);
  CHECK(loaded.layers[0].weight_ih.id() == id);
  CHECK(identical(loaded.layers[1].bias_hh.value(), saved.layers[1].bias_hh.value()));
  nn::Lstm precise(rng, 3, 5, {.layers = 2});
  convert(precise, Dtype::f64);
  nn::load_weights(file, precise);
  CHECK(precise.layers[0].weight_ih.dtype() == Dtype::f64);
  CHECK(precise.layers[0].weight_ih.value().at(3) == saved.layers[0].weight_ih.value().at(3));
  nn::save_weights(file, precise);
  CHECK(load_safetensors(file).tensors.at("weight_ih_l0").dtype() == Dtype::f64);

  nn::Lstm shallow(rng, 3, 5), wide(rng, 3, 6, {.layers = 2}), deep(rng, 3, 5, {.layers = 3});
  const Tensor before = shallow.layers[0].weight_ih.value();
  CHECK_THROWS_WITH(nn::load_weights(file, shallow),
                    Catch::Contains("no parameter") && Catch::Contains("_l1"));
  CHECK(identical(shallow.layers[0].weight_ih.value(), before));
  CHECK_THROWS_WITH(nn::load_weights(file, wide), Catch::Contains("(20, 3)") && Catch::Contains("(24, 3)"));
  CHECK_THROWS_WITH(nn::load_weights(file, deep), Catch::Contains("weight_ih_l2 is missing"));
  CHECK_THROWS_AS(nn::load_weights(folder.path() / "none", deep), DataError);
}
