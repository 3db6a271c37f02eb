#include <algorithm>
#include <cmath>

#include "autograd/describe.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/ops/softmax.hpp"
#include "autograd/tape.hpp"
#include "autograd/transforms.hpp"
#include "nn/dropout.hpp"
#include "nn/embedding.hpp"
#include "nn/linear.hpp"
#include "nn/losses.hpp"
#include "nn/lstm.hpp"
#include "nn/norm.hpp"
#include "nn/weights.hpp"
#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/folder.hpp"

using namespace gradus;
using gradus::test::difference;
using gradus::test::fixture;

namespace {

struct Whole {
  nn::Linear body;
  static void members(auto& self, auto&& visit) { visit("body", self.body); }
};

/// Two parameters under one path.
struct Twice {
  Parameter a{zeros({2})}, b{zeros({2})};
  static void members(auto& self, auto&& visit) {
    visit("a", self.a);
    visit("a", self.b);
  }
};

}  // namespace

TEST_CASE("cross_entropy and its gradient are PyTorch's", "[nn]") {
  const Indices targets =
      load_npy_indices(gradus::test::source_dir() + "/tests/fixtures/cross_entropy/targets.npy");
  Tape tape;
  const Variable logits = tape.watch(fixture("cross_entropy/logits"));
  const Variable loss = nn::cross_entropy(logits, targets);
  CHECK(loss.item() == Approx(fixture("cross_entropy/loss").item()).epsilon(1e-13));
  CHECK(difference(tape.backward(loss)[logits], fixture("cross_entropy/d_logits")) < 1e-13);
}

TEST_CASE("layer normalisation and its gradient are PyTorch's", "[nn]") {
  nn::LayerNorm norm(5);
  norm.weight = Parameter(fixture("layer_norm/weight"));
  norm.bias = Parameter(fixture("layer_norm/bias"));
  Tape tape;
  const Variable x = tape.watch(fixture("layer_norm/x"));
  const Variable y = norm(x);
  CHECK(difference(y.value(), fixture("layer_norm/y")) < 1e-13);
  const Gradients found = tape.backward(sum(y * Variable(fixture("layer_norm/w"))));
  CHECK(difference(found[x], fixture("layer_norm/d_x")) < 1e-13);
  CHECK(difference(found[norm.weight], fixture("layer_norm/d_weight")) < 1e-13);
  CHECK(difference(found[norm.bias], fixture("layer_norm/d_bias")) < 1e-13);

  CHECK_THROWS_WITH(norm(Variable(zeros({2, 4}))), Catch::Contains("(2, 4)") && Catch::Contains("5"));
  CHECK_THROWS_AS(norm(Variable(zeros({}))), ShapeError);
  CHECK_THROWS_AS(nn::LayerNorm(0), ArgumentError);
  CHECK_THROWS_AS(nn::LayerNorm(3, {.eps = 0}), ArgumentError);
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

TEST_CASE("a loss near 0 and its gradient keep their digits", "[nn]") {
  // log(1 + exp(-17)) and 1 / (1 + exp(17)), from 50 digits
  const double loss = 4.1399376330897474e-8, off = 4.1399375473943306e-8;
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    const double tolerance = dtype == Dtype::f32 ? 1e-6 : 1e-14;
    for (const int width : {2, 40}) {  // the others are so small that they add nothing
      Tensor x = full({1, width}, -1000, dtype);
      x = concat({Tensor::of({17, 0}, dtype).reshape({1, 2}), slice(x, 1, 2, width)}, 1);
      const Indices target({0});
      const Parameter weight(eye(width, dtype));
      Tape tape;
      const Variable logits = tape.watch(x);
      const Variable whole = nn::cross_entropy(logits, target);
      const Variable chunked = nn::linear_cross_entropy(logits, weight, Variable(), target);
      const Variable by_log_softmax = -select(select(log_softmax(logits), 0, 0), 0, 0);
      for (const Variable& y : {whole, chunked, by_log_softmax}) {
        CHECK(y.item() == Approx(loss).epsilon(tolerance));
        const Tensor slope = tape.backward(y, {.keep = true})[logits];
        CHECK(slope.at(0) == Approx(-off).epsilon(tolerance));
        CHECK(slope.at(1) == Approx(off).epsilon(tolerance));
        const Tensor recorded = grad(y, logits).value();
        CHECK(recorded.at(0) == Approx(-off).epsilon(tolerance));
        CHECK(recorded.at(1) == Approx(off).epsilon(tolerance));
      }
    }
  }
}

TEST_CASE("an infinite logit makes its loss and its gradient NaN, in every form", "[nn]") {
  const Tensor x = Tensor::of({INFINITY, 0, 1}).reshape({1, 3});
  const Indices target({1});
  const Parameter weight(eye(3));
  Tape tape;
  const Variable logits = tape.watch(x);
  for (const Variable& y :
       {nn::cross_entropy(logits, target), -select(select(log_softmax(logits), 0, 0), 0, 1)}) {
    CHECK(std::isnan(y.item()));
    const Tensor slope = tape.backward(y, {.keep = true})[logits];
    for (std::int64_t i = 0; i < 3; ++i) CHECK(std::isnan(slope.at(i)));
  }
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
  // The fans of a convolution's weight, (out, in, kernel).
  const Shape kernel{300, 50, 10};
  CHECK(deviation(nn::xavier_uniform(rng, kernel)) == Approx(std::sqrt(2.0 / 3500)).epsilon(0.01));
  CHECK(deviation(nn::kaiming_normal(rng, kernel)) == Approx(std::sqrt(2.0 / 500)).epsilon(0.01));
  CHECK(deviation(nn::kaiming_uniform(rng, kernel, {.gain = 3, .fan = nn::Fan::out})) ==
        Approx(3 / std::sqrt(3000.0)).epsilon(0.01));
  CHECK(identical(nn::identity(2, 3), Tensor::of({1, 0, 0, 0, 1, 0}).reshape({2, 3})));
  CHECK_THROWS_WITH(nn::xavier_normal(rng, {5}), Catch::Contains("two axes"));
  CHECK(nn::kaiming_normal(rng, {0, 0}).size() == 0);
  const nn::Linear linear(rng, 16, 8);
  for (const float w : linear.weight.value().values<float>()) CHECK(std::abs(w) <= 0.25f);
}

TEST_CASE("gains are PyTorch's", "[nn]") {
  using nn::Nonlinearity;
  CHECK(nn::gain(Nonlinearity::linear) == 1);
  CHECK(nn::gain(Nonlinearity::sigmoid) == 1);
  CHECK(nn::gain(Nonlinearity::tanh) == Approx(1.6666666666666667));
  CHECK(nn::gain(Nonlinearity::relu) == Approx(1.4142135623730951));
  CHECK(nn::gain(Nonlinearity::leaky_relu, 0.2) == Approx(1.3867504905630728));
  CHECK(nn::gain(Nonlinearity::selu) == 0.75);
}

TEST_CASE("truncated normal values are those of the normal distribution between the limits", "[nn]") {
  Rng rng(5);
  const Tensor x = nn::truncated_normal(rng, {100'000}, 0.5, 1.5);
  CHECK(max(abs(x)).item() <= 0.75);
  CHECK(max(x).item() > 0.74);
  CHECK(mean(x).item() == Approx(0).margin(0.01));
  // The variance of what is cut off at a: 1 - 2 a density(a) / (the share that is left).
  const double a = 1.5, left = std::erf(a / std::sqrt(2.0));
  const double variance = 1 - 2 * a * std::exp(-a * a / 2) / std::sqrt(2 * 3.14159265358979) / left;
  CHECK(stddev(x).item() == Approx(0.5 * std::sqrt(variance)).epsilon(0.01));
  CHECK_THROWS_AS(nn::truncated_normal(rng, {3}, 1, 0), ArgumentError);
  CHECK_THROWS_AS(nn::truncated_normal(rng, {3}, -1), ArgumentError);
  CHECK_THROWS_AS(nn::truncated_normal(rng, {3}, 1, HUGE_VAL), ArgumentError);
}

TEST_CASE("orthogonal values have orthonormal rows, or columns where these are fewer", "[nn]") {
  Rng rng(6);
  for (const Shape& shape : {Shape{7, 7}, Shape{3, 20}, Shape{20, 3}, Shape{4, 3, 5}, Shape{1, 1}}) {
    INFO(fmt::format("{}", shape));
    const Tensor x =
        nn::orthogonal(rng, shape, 2).to(Dtype::f64).reshape({shape[0], shape.size() / shape[0]});
    const bool wide = x.dim(1) > x.dim(0);
    const Tensor gram = wide ? matmul(x, x, {.transpose_b = true}) : matmul(x, x, {.transpose_a = true});
    CHECK(difference(gram, 4.0 * eye(gram.dim(0), Dtype::f64)) < 1e-5);
  }
  // No direction is preferred: of many rotations of the plane the mean is 0.
  Tensor total = zeros({2, 2});
  for (int i = 0; i < 2000; ++i) total = total + nn::orthogonal(rng, {2, 2});
  CHECK(max(abs(total)).item() / 2000 < 0.08);
  CHECK(nn::orthogonal(rng, {0, 3}).size() == 0);
  CHECK_THROWS_AS(nn::orthogonal(rng, {3}), ShapeError);
}

TEST_CASE("sparse values leave the same share of each column 0", "[nn]") {
  Rng rng(7);
  const Tensor x = nn::sparse(rng, {10, 40}, 0.25, 0.5);
  for (std::int64_t column = 0; column < 40; ++column) {
    int zeros = 0;
    for (std::int64_t row = 0; row < 10; ++row) zeros += x[row].at(column) == 0;
    CHECK(zeros == 3);
  }
  CHECK(std::sqrt(sum_squares(x) / 280) == Approx(0.5).epsilon(0.1));
  CHECK_FALSE(identical(x[0], x[1]));
  CHECK_THROWS_AS(nn::sparse(rng, {10, 40}, 1.5), ArgumentError);
  CHECK_THROWS_AS(nn::sparse(rng, {10}, 0.5), ArgumentError);
}

TEST_CASE("the parameters of a module are counted and described", "[nn]") {
  Rng rng(1);
  CHECK(count_parameters(nn::Linear(rng, 4, 3, {.bias = false})) == 12);
  CHECK(describe(nn::Linear(rng, 4, 3)) ==
        "Linear\n  weight  (3, 4)  12\n  bias      (3,)   3\n15 parameters\n");
  const nn::Lstm lstm(rng, 3, 7, {.layers = 2, .bidirectional = true});
  CHECK(lstm.input_width() == 3);
  CHECK(lstm.width() == 7);
}

TEST_CASE("layers refuse what does not fit, and say which", "[nn]") {
  Rng rng(1);
  CHECK_THROWS_AS(nn::Linear(rng, 3, 0), ArgumentError);
  for (const auto& [count, width] : {std::pair<std::int64_t, std::int64_t>{0, 2}, {4, 0}, {-1, 2}}) {
    CHECK_THROWS_WITH(nn::Embedding(rng, count, width),
                      Catch::Contains(fmt::format("Embedding: {} vectors of width {}", count, width)) &&
                          Catch::Contains("at least 1"));
  }
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
                    Catch::Contains("unexpected: ") && Catch::Contains("_l1"));
  CHECK(identical(shallow.layers[0].weight_ih.value(), before));
  CHECK_THROWS_WITH(nn::load_weights(file, wide), Catch::Contains("(20, 3)") && Catch::Contains("(24, 3)"));
  CHECK_THROWS_WITH(nn::load_weights(file, deep), Catch::Contains("missing: weight_ih_l2"));
  CHECK_THROWS_AS(nn::load_weights(folder.path() / "none", deep), DataError);
}

TEST_CASE("weights under another prefix are refused with what it is and what to do", "[nn]") {
  Rng rng(1);
  Whole model{nn::Linear(rng, 2, 2)};
  const Safetensors whole = nn::weights(model), part = nn::weights(model.body);
  CHECK_THROWS_WITH(
      nn::set_weights(model.body, whole, "w.safetensors"),
      Catch::Contains("w.safetensors: the parameter weight is missing, but body.weight is there") &&
          Catch::Contains("part body") && Catch::Contains("take the prefix \"body.\" off"));
  CHECK_THROWS_WITH(nn::set_weights(model, part, "w.safetensors"),
                    Catch::Contains("body.weight is missing, but weight is there") &&
                        Catch::Contains("part body") && Catch::Contains("put the prefix \"body.\" before"));
  // A name that only ends alike is none.
  Safetensors other;
  other.tensors.emplace("overweight", ones({2, 2}));
  CHECK_THROWS_WITH(nn::set_weights(model.body, other),
                    Catch::Contains("the weights: it does not fit the model") &&
                        Catch::Contains("missing: weight, bias; unexpected: overweight"));
}

TEST_CASE("weights are refused by a module that lists two parameters under one path", "[nn]") {
  Twice module;
  Safetensors content;
  content.tensors.emplace("a", ones({2}));
  CHECK_THROWS_WITH(nn::set_weights(module, content, "w.safetensors"),
                    Catch::Contains("w.safetensors: the model lists a parameter twice"));
  CHECK(module.a.value().text() == "[0, 0]");
}
