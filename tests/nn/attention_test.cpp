#include "nn/attention.hpp"

#include <cmath>

#include "autograd/ops/indexing.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/rotary.hpp"
#include "tests/support/threads.hpp"
#include "tests/support/torch_case.hpp"
#include "tests/support/torch_module.hpp"

using namespace gradus;
using namespace gradus::test;
using Catch::Contains;

TEST_CASE("MultiHeadAttention and its gradients are PyTorch's", "[nn][attention]") {
  using Layer = nn::MultiHeadAttention;
  Rng rng(1);
  const auto compare = [&](const std::string& name, const nn::MultiHeadAttentionOptions& options,
                           const std::vector<std::string>& inputs, const auto& call) {
    check_torch_module("attention_layer_" + name, Layer(rng, 6, 3, options), inputs,
                       [&](const Layer& layer, const std::vector<Variable>& x) {
                         return NamedResults{{"out", call(layer, x)}};
                       });
  };
  using Xs = const std::vector<Variable>&;
  compare("self", {}, {"x"}, [](const Layer& layer, Xs x) { return layer(x[0]); });
  // Of the same input three times: by the projections one by one.
  compare("self", {}, {"x"}, [](const Layer& layer, Xs x) { return layer(x[0], x[0], x[0]); });
  compare("causal", {.bias = false}, {"x"},
          [](const Layer& layer, Xs x) { return layer(x[0], {.causal = true}); });
  compare("cross", {}, {"x", "memory"}, [](const Layer& layer, Xs x) {
    return layer(x[0], x[1], x[1], {.lengths = {7, 4}});
  });
  compare("widths", {.key_width = 5, .value_width = 7}, {"x", "keys", "values"},
          [](const Layer& layer, Xs x) { return layer(x[0], x[1], x[2]); });
}

TEST_CASE("MultiHeadAttention of grouped queries is that of repeated keys and values", "[nn][attention]") {
  Rng rng(2);
  const nn::MultiHeadAttention grouped(rng, 12, 6, {.kv_heads = 2});
  nn::MultiHeadAttention full(rng, 12, 6);
  // (heads, head width, width): each head of keys and of values three times.
  const std::vector<Tensor> parts = split(grouped.in_proj_weight.value(), {12, 4, 4});
  const auto repeated = [](const Tensor& weight) {
    return repeat_interleave(weight.reshape({2, 2, 12}), 3, 0).reshape({12, 12});
  };
  full.in_proj_weight.mutable_value() = concat({parts[0], repeated(parts[1]), repeated(parts[2])}, 0);
  full.out_proj = grouped.out_proj;
  CHECK(count_parameters(grouped) == 20 * 12 + 20 + 12 * 12 + 12);
  const Variable x(rng.normal({2, 5, 12}));
  CHECK(difference(grouped(x, {.causal = true}).value(), full(x, {.causal = true}).value()) < 1e-6);
}

TEST_CASE("MultiHeadAttention drops weights in training alone", "[nn][attention]") {
  Rng rng(3), same(4), again(4);
  const nn::MultiHeadAttention layer(rng, 8, 2, {.dropout = 0.5});
  const Variable x(rng.normal({2, 6, 8}));
  const Tensor evaluated = layer(x).value(), trained = layer(x, {}, &same).value();
  CHECK(identical(evaluated, layer(x).value()));
  CHECK(difference(evaluated, trained) > 1e-2);
  CHECK(identical(trained, layer(x, {}, &again).value()));
}

TEST_CASE("MultiHeadAttention says what does not fit", "[nn][attention]") {
  Rng rng(5);
  const auto make = [&](std::int64_t width, std::int64_t heads,
                        const nn::MultiHeadAttentionOptions& options = {}) {
    return nn::MultiHeadAttention(rng, width, heads, options);
  };
  const auto of = [](const Shape& shape) { return Variable(zeros(shape)); };
  CHECK_THROWS_WITH(make(8, 3), Contains("3 heads of a width of 8; they must divide it"));
  CHECK_THROWS_WITH(make(8, 4, {.kv_heads = 3}), Contains("3 kv_heads of 4 heads"));
  CHECK_THROWS_WITH(make(8, 4, {.key_width = 0}), Contains("keys of a width of 0, values of 8"));
  CHECK_THROWS_WITH(make(8, 4, {.dropout = 1}), Contains("a rate of 1"));
  CHECK_THROWS_WITH(make(8, 4)(of({3, 8})),
                    Contains("an input of shape (3, 8); it must be (batch, time, 8)"));
  CHECK_THROWS_WITH(make(8, 4, {.value_width = 5})(of({2, 3, 8}), of({2, 4, 8}), of({2, 4, 8})),
                    Contains("values of shape (2, 4, 8); it must be (batch, time, 5)"));
  CHECK_THROWS_WITH(make(8, 4)(of({2, 3, 8}), {.lengths = {1}}), Contains("lengths of shape (1,)"));
}

TEST_CASE("rotary positions and their gradients are those of Llama and of the paper", "[nn][attention]") {
  const auto turned = [](RotaryPairs pairs) {
    return [pairs](std::span<const Variable> x) {
      return rotary(x[0], rotary_angles(7, 8, {.dtype = x[0].dtype()}), {.pairs = pairs});
    };
  };
  check_torch_case("rotary_halves", {"x"}, turned(RotaryPairs::halves));
  check_torch_case("rotary_interleaved", {"x"}, turned(RotaryPairs::interleaved));
}

TEST_CASE("rotary positions leave products that depend on distances alone", "[nn][attention]") {
  Rng rng(6);
  const Dtype f64 = Dtype::f64;
  // One vector at all positions.
  const Tensor q = broadcast_to(rng.normal({1, 1, 1, 10}, 0, 1, f64), {1, 1, 30, 10});
  const Tensor k = broadcast_to(rng.normal({1, 1, 1, 10}, 0, 1, f64), {1, 1, 30, 10});
  for (const RotaryPairs pairs : {RotaryPairs::halves, RotaryPairs::interleaved}) {
    const auto products = [&](std::int64_t first) {
      const RotaryAngles angles = rotary_angles(30, 8, {.dtype = f64}, first);  // the last two stay
      return matmul(rotary(Variable(q), angles, {pairs}).value(),
                    rotary(Variable(k), angles, {pairs}).value(), {.transpose_b = true});
    };
    const Tensor here = products(0);
    CHECK(difference(products(1000), here) < 1e-11);
    CHECK(here.at(0) == Approx(here.at(31)).epsilon(1e-12));
    CHECK(std::abs(here.at(0) - here.at(1)) > 1e-3);
  }
}

TEST_CASE("rotary angles are of the positions and frequencies that are given", "[nn][attention]") {
  const RotaryOptions exact{.base = 100, .dtype = Dtype::f64};
  const RotaryAngles by_ids = rotary_angles(Indices({0, 3, 5, 2}, {2, 2}), 4, exact);
  CHECK(by_ids.cos.shape() == Shape{2, 2, 2});
  CHECK(by_ids.cos.at(5) == Approx(std::cos(0.5)).epsilon(1e-15));  // position 5, pair 1: 100^(-1/2)
  CHECK(by_ids.sin.at(2) == Approx(std::sin(3.)).epsilon(1e-15));
  const RotaryAngles given = rotary_angles(3, 4, {.frequencies = Tensor::of({0.5, 0.25})}, 4);
  CHECK(given.sin.at(5) == Approx(std::sin(1.5)).epsilon(1e-6));
  // Entries of a batch at positions of their own, with time in front of the heads.
  Rng rng(7);
  const Tensor x = rng.normal({2, 2, 3, 4}, 0, 1, Dtype::f64);  // (batch, time, heads, width)
  const Tensor both = rotary(Variable(x), by_ids, {.time_first = true}).value();
  for (std::int64_t b = 0; b < 2; ++b) {
    const RotaryAngles one{by_ids.cos[b], by_ids.sin[b]};
    const Variable alone(transpose(x.rows(b, b + 1), 1, 2));
    CHECK(identical(transpose(rotary(alone, one).value(), 1, 2), both.rows(b, b + 1)));
  }
}

TEST_CASE("rotary positions have the same bits for any number of threads and say what does not fit",
          "[nn][attention][threads]") {
  Rng rng(8);
  const Tensor x = rng.normal({2, 4, 200, 64});
  const RotaryAngles angles = rotary_angles(200, 64);
  test::check_same_bits([&] { return rotary(Variable(x), angles).value(); });
  const auto of = [](const Shape& shape) { return Variable(zeros(shape)); };
  CHECK_THROWS_WITH(rotary(of({2, 3, 4}), angles),
                    Contains("x of shape (2, 3, 4); it must be (batch, heads"));
  CHECK_THROWS_WITH(rotary(of({2, 4, 100, 64}), angles),
                    Contains("angles of shapes (200, 32) and (200, 32)") && Contains("a time of 100"));
  CHECK_THROWS_WITH(rotary(of({2, 4, 200, 62}), angles), Contains("at most 31 pairs"));
  CHECK_THROWS_WITH(rotary(Variable(x.to(Dtype::f64)), angles), Contains("x is f64, its angles f32"));
  CHECK_THROWS_WITH(rotary(Variable(x), {}), Contains("undefined; rotary_angles makes them"));
  CHECK_THROWS_WITH(rotary_angles(3, 5), Contains("a width of 5; it must be a positive even number"));
  CHECK_THROWS_WITH(rotary_angles(3, 4, {.frequencies = ones({3})}), Contains("shape (3,) for 2 pairs"));
  CHECK_THROWS_WITH(rotary_angles(3, 4, {.base = 0}), Contains("a base of 0"));
}

TEST_CASE("sinusoidal positions are those of the paper", "[nn][attention]") {
  const Tensor positions = sinusoidal_positions(50, 5, 10000, Dtype::f64);
  CHECK(positions.shape() == Shape{50, 5});
  for (const std::int64_t p : {0, 1, 49}) {
    for (std::int64_t i = 0; i < 5; ++i) {
      const double angle = static_cast<double>(p) / std::pow(10000, static_cast<double>(i - i % 2) / 5);
      CHECK(positions.at(p * 5 + i) == Approx(i % 2 == 0 ? std::sin(angle) : std::cos(angle)).margin(1e-14));
    }
  }
  CHECK_THROWS_WITH(sinusoidal_positions(3, 0), Contains("3 positions of width 0"));
}
