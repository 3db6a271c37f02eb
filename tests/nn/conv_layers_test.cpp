#include <cmath>
#include <limits>

#include "autograd/ops/arithmetic.hpp"
#include "nn/conv.hpp"
#include "nn/linear.hpp"
#include "nn/norm.hpp"
#include "nn/pool.hpp"
#include "nn/sequential.hpp"
#include "optim/adam.hpp"
#include "tests/support/heap_count.hpp"
#include "tests/support/instruction_sets.hpp"
#include "tests/support/threads.hpp"
#include "tests/support/torch_case.hpp"

using namespace gradus;
using namespace gradus::test;
using Catch::Contains;

namespace {

using Xs = std::span<const Variable>;

/// A layer with a fixture's weights, which go in as inputs, so that their gradients are compared too.
template <class Layer>
auto with_weights(Layer layer) {
  return [layer](Xs x) {
    Layer of = layer;
    static_cast<Variable&>(of.weight) = x[1];
    static_cast<Variable&>(of.bias) = x[2];
    return of(x[0]);
  };
}

/// The loops of the formula, in double.
Tensor naive(const Tensor& x, const Tensor& weight, Conv2dOptions o) {
  const std::int64_t outs = weight.dim(0), inner = weight.dim(1), high = weight.dim(2), wide = weight.dim(3);
  const auto steps = [](std::int64_t length, std::int64_t kernel, std::int64_t s, std::int64_t p,
                        std::int64_t d) { return (length + 2 * p - d * (kernel - 1) - 1) / s + 1; };
  const std::int64_t height = steps(x.dim(2), high, o.stride.height, o.padding.height, o.dilation.height);
  const std::int64_t width = steps(x.dim(3), wide, o.stride.width, o.padding.width, o.dilation.width);
  std::vector<double> out;
  for (std::int64_t b = 0; b < x.dim(0); ++b)
    for (std::int64_t c = 0; c < outs; ++c)
      for (std::int64_t i = 0; i < height; ++i)
        for (std::int64_t j = 0; j < width; ++j) {
          double total = 0;
          for (std::int64_t k = 0; k < inner * high * wide; ++k) {
            const std::int64_t channel = c / (outs / o.groups) * inner + k / (high * wide);
            const std::int64_t at_y =
                i * o.stride.height + k / wide % high * o.dilation.height - o.padding.height;
            const std::int64_t at_x = j * o.stride.width + k % wide * o.dilation.width - o.padding.width;
            if (at_y < 0 || at_y >= x.dim(2) || at_x < 0 || at_x >= x.dim(3)) continue;
            total += weight.at(c * inner * high * wide + k) *
                     x.at(((b * x.dim(1) + channel) * x.dim(2) + at_y) * x.dim(3) + at_x);
          }
          out.push_back(total);
        }
  return Tensor::from(out, {x.dim(0), outs, height, width});
}

struct Case {
  Shape x, weight;
  Conv2dOptions options;
};
const std::vector<Case> cases{
    {{1, 1, 1, 1}, {1, 1, 1, 1}, {}},
    {{2, 3, 4, 5}, {4, 3, 1, 1}, {}},
    {{2, 3, 4, 5}, {4, 3, 1, 1}, {.stride = {2, 1}}},
    {{2, 2, 5, 6}, {3, 2, 3, 2}, {.padding = {2, 3}}},
    {{3, 4, 7, 9}, {6, 2, 3, 4}, {.stride = {3, 2}, .padding = 1, .dilation = {1, 2}, .groups = 2}},
    {{1, 2, 2, 3}, {2, 2, 2, 2}, {.padding = 5}},       // windows that see padding only
    {{2, 40, 30, 31}, {8, 40, 3, 3}, {.padding = 1}},   // several blocks of rows
    {{1, 2, 3, 20000}, {1, 2, 3, 5}, {}},               // and of parts of rows
    {{2, 3, 5, 130}, {17, 3, 2, 3}, {.padding = 1}},    // rows that are products of their own
    {{2, 130, 5, 4}, {15, 130, 3, 3}, {.padding = 1}},  // several blocks of channels
    {{2, 130, 5, 4}, {1, 130, 3, 3}, {.padding = 1}},   // to one channel
    {{7, 5, 7, 7}, {30, 5, 3, 3}, {.padding = 1}},      // images laid out together
    {{2, 3, 9, 6}, {4, 3, 3, 3}, {.stride = 3}},        // windows side by side
    {{2, 3, 9, 8}, {4, 3, 4, 2}, {.stride = {2, 3}, .padding = {1, 0}, .dilation = {1, 2}}},
    {{2, 3, 7, 8}, {4, 3, 2, 1}, {.stride = 4}},  // entries of x that no tap reads
    {{3, 4, 9, 35}, {4, 1, 3, 3}, {.padding = 1, .groups = 4}},
    {{2, 4, 9, 8}, {4, 1, 4, 4}, {.stride = 2, .padding = 1, .groups = 4}},
    {{2, 4, 9, 8}, {4, 1, 3, 2}, {.stride = {1, 2}, .padding = 1, .dilation = {2, 1}, .groups = 4}},
    {{2, 4, 9, 8}, {4, 1, 3, 3}, {.stride = 3, .padding = 1, .groups = 4}},
    {{2, 2, 3, 40}, {2, 1, 1, 1}, {.stride = 2, .groups = 2}},
    {{9, 2, 6, 5}, {3, 2, 2, 2}, {.stride = 2}},         // a batch summed in runs
    {{2, 3, 50, 1}, {2, 3, 3, 1}, {.padding = {1, 0}}},  // columns one step wide
};

}  // namespace

TEST_CASE("conv2d equals its loops, and its adjoints are adjoints", "[conv]") {
  Rng rng(1);
  for (const auto& [x_shape, weight_shape, o] : cases) {
    const Conv2dOptions& options = o;
    const Tensor x = rng.uniform(x_shape, -1, 1, Dtype::f64),
                 w = rng.uniform(weight_shape, -1, 1, Dtype::f64);
    const Tensor expected = naive(x, w, options), y = rng.uniform(expected.shape(), -1, 1, Dtype::f64);
    const Tensor bias = rng.uniform({w.dim(0)}, -1, 1, Dtype::f64),
                 x_bias = rng.uniform({x.dim(1)}, -1, 1, Dtype::f64);
    const detail::ConvLengths lengths = detail::conv_lengths(x, w, Tensor(), options);
    const double whole = sum(y * expected).item();
    for_every_instruction_set([&] {
      INFO(x.shape().text() << " by " << w.shape().text());
      CHECK(difference(conv2d(x, w, Tensor(), options), expected) < 1e-13);
      CHECK(difference(conv2d(x, w, bias, options), expected + bias.reshape({w.dim(0), 1, 1})) < 1e-13);
      CHECK(difference(conv2d(x.to(Dtype::f32), w.to(Dtype::f32), Tensor(), options).to(Dtype::f64),
                       expected) < 1e-5);
      const Tensor to_x = detail::conv_to_input(lengths, y, w, Tensor());
      CHECK(sum(x * to_x).item() == Approx(whole).epsilon(1e-12).margin(1e-10));
      CHECK(difference(detail::conv_to_input(lengths, y, w, x_bias),
                       to_x + x_bias.reshape({x.dim(1), 1, 1})) < 1e-13);
      CHECK(sum(w * detail::conv_to_weight(lengths, x, y)).item() ==
            Approx(whole).epsilon(1e-12).margin(1e-10));
    });
  }
}

TEST_CASE("convolution layers and their gradients are PyTorch's", "[nn][conv]") {
  const std::vector<std::string> names{"x", "weight", "bias"};
  Rng rng(2);
  const auto check = [&](const char* name, const auto& layer) {
    check_torch_case(name, names, with_weights(layer));
  };
  check("conv2d_plain", nn::Conv2d(rng, 3, 4, 3));
  check("conv2d_pointwise", nn::Conv2d(rng, 3, 5, 1));
  check("conv2d_strided",
        nn::Conv2d(rng, 2, 3, {3, 2}, {.stride = {2, 3}, .padding = {1, 2}, .dilation = {2, 1}}));
  check("conv2d_grouped", nn::Conv2d(rng, 4, 6, 3, {.padding = 1, .groups = 2}));
  check("conv2d_depthwise", nn::Conv2d(rng, 3, 3, 3, {.stride = 2, .padding = {0, 1}, .groups = 3}));
  check("conv2d_transposed", nn::ConvTranspose2d(rng, 3, 2, 3));
  check("conv2d_transposed_strided",
        nn::ConvTranspose2d(
            rng, 3, 2, {3, 2},
            {.stride = {2, 3}, .padding = {1, 0}, .output_padding = {1, 2}, .dilation = {1, 2}}));
  check("conv2d_transposed_grouped",
        nn::ConvTranspose2d(rng, 4, 6, 4, {.stride = 2, .padding = 1, .groups = 2}));
  check("conv1d_transposed_plain", nn::ConvTranspose1d(rng, 3, 4, 3));
  check("conv_transposed",
        nn::ConvTranspose1d(rng, 4, 6, 3,
                            {.stride = 3, .padding = 1, .output_padding = 2, .dilation = 2, .groups = 2}));
  check("conv_strided", nn::Conv1d(rng, 4, 6, 3, {.stride = 2, .padding = 2, .dilation = 2}));
  check("conv_causal", nn::Conv1d(rng, 4, 6, 3, {.dilation = 2, .causal = true}));
}

TEST_CASE("convolution layers begin as PyTorch's do", "[nn][conv]") {
  Rng rng(3);
  const auto bound = [](const Parameter& p) { return max(abs(p.value())).item(); };
  const nn::Conv2d forward(rng, 8, 40, {3, 5}, {.groups = 2});
  CHECK(forward.weight.shape() == Shape{40, 4, 3, 5});
  CHECK(bound(forward.weight) == Approx(1 / std::sqrt(60.0)).epsilon(0.01));
  CHECK(bound(forward.bias) <= 1 / std::sqrt(60.0));
  const nn::ConvTranspose2d turned(rng, 8, 40, {3, 5}, {.groups = 2});
  CHECK(turned.weight.shape() == Shape{8, 20, 3, 5});
  CHECK(bound(turned.weight) == Approx(1 / std::sqrt(300.0)).epsilon(0.01));
  CHECK_FALSE(nn::Conv1d(rng, 2, 3, 4, {.bias = false}).bias.value().defined());
  CHECK_THROWS_WITH(nn::Conv2d(rng, 3, 4, {3, 0}), Contains("Conv2d: 3 channels to 4, a kernel of 3 by 0"));
  CHECK_THROWS_WITH(nn::Conv1d(rng, 4, 6, 3, {.groups = 4}), Contains("4 groups of 4 channels to 6"));
}

TEST_CASE("pooling and its gradients are PyTorch's", "[nn][pool]") {
  const auto check = [&](const char* name, const auto& layer) {
    check_torch_case(std::string("pool_") + name, {"x"}, [&](Xs x) { return layer(x[0]); });
  };
  check("max1d", nn::MaxPool1d({.kernel = 3, .stride = 2, .padding = 1, .dilation = 2, .ceil = true}));
  check("max1d_plain", nn::MaxPool1d());
  check("max2d", nn::MaxPool2d());
  check("max2d_padded", nn::MaxPool2d({.kernel = {3, 2}, .stride = {2, 1}, .padding = 1}));
  check("max2d_dilated", nn::MaxPool2d({.kernel = 2, .stride = 3, .dilation = {2, 3}, .ceil = true}));
  check("avg1d", nn::AvgPool1d({.kernel = 3, .stride = 2, .padding = 1, .ceil = true}));
  check("avg1d_uncounted",
        nn::AvgPool1d({.kernel = 4, .stride = 3, .padding = 2, .ceil = true, .count_include_pad = false}));
  check("avg2d", nn::AvgPool2d());
  check("avg2d_padded", nn::AvgPool2d({.kernel = {3, 2}, .stride = 2, .padding = 1, .ceil = true}));
  check("avg2d_uncounted",
        nn::AvgPool2d({.kernel = 3, .stride = 2, .padding = 1, .count_include_pad = false}));
  check("avg2d_wide", nn::AvgPool2d({.kernel = {2, 20}}));
  check("adaptive_avg1d", nn::AdaptiveAvgPool1d(4));
  check("adaptive_avg2d", nn::AdaptiveAvgPool2d({3, 1}));
  check("adaptive_max1d", nn::AdaptiveMaxPool1d(3));
  check("adaptive_max2d", nn::AdaptiveMaxPool2d({2, 3}));
}

TEST_CASE("max_pool gives NaN where it meets one, and the gradient to the first of the largest", "[pool]") {
  const double nan = std::numeric_limits<double>::quiet_NaN(), low = -std::numeric_limits<double>::infinity();
  Tape tape;
  const Variable x = tape.watch(Tensor::of({1, 1, nan, 2, low, low, 3}).reshape({1, 1, 7}));
  const Variable y = max_pool1d(x);
  CHECK(y.value().at(0) == 1);
  CHECK(std::isnan(y.value().at(1)));
  CHECK(y.value().at(2) == low);
  CHECK(tape.backward(sum(y))[x].text() == "[[[1, 0, 1, 0, 1, 0, 0]]]");
}

TEST_CASE("conv2d and pooling have the same bits for any number of threads", "[conv][pool][threads]") {
  Rng rng(4);
  const Tensor x = rng.normal({5, 8, 20, 21}), weight = rng.normal({16, 8, 3, 3});
  const auto all = [&] {
    Tape tape;
    const Variable v = tape.watch(x), w = tape.watch(weight), y = conv2d(v, w, {}, {.padding = 1});
    const Variable z = max_pool2d(y) * avg_pool2d(y);
    const Gradients found = tape.backward(sum(z * z));
    return std::vector<Tensor>{y.value(), z.value(), found[v], found[w]};
  };
  test::check_same_bits(all);
}

TEST_CASE("strided, grouped and single images have the same bits for any number of threads",
          "[conv][threads]") {
  struct Shapes {
    Shape x, weight;
    Conv2dOptions options;
  };
  Rng rng(6);
  for (const auto& [x_shape, weight_shape, options] : std::vector<Shapes>{
           {{1, 32, 28, 28}, {64, 32, 3, 3}, {.padding = 1}},  // products split among threads
           {{9, 16, 15, 14}, {32, 16, 3, 3}, {.stride = 2}},   // phases
           {{6, 32, 20, 20}, {32, 1, 3, 3}, {.stride = 2, .groups = 32}},
           {{9, 40, 7, 7}, {40, 40, 3, 3}, {.padding = 1}},    // images laid out together
           {{2, 512, 3, 3}, {520, 512, 1, 1}, {.stride = 2}},  // a weight that is summed in one run
       }) {
    const Tensor x = rng.normal(x_shape), w = rng.normal(weight_shape);
    const detail::ConvLengths lengths = detail::conv_lengths(x, w, Tensor(), options);
    const Tensor y = rng.normal(lengths.y_shape());
    INFO(x_shape.text() << " by " << weight_shape.text());
    const Conv2dOptions& o = options;
    test::check_same_bits([&] {
      return std::vector<Tensor>{conv2d(x, w, Tensor(), o), detail::conv_to_input(lengths, y, w, Tensor()),
                                 detail::conv_to_weight(lengths, x, y)};
    });
  }
}

TEST_CASE("conv2d and pooling say what does not fit", "[conv][pool]") {
  const Tensor x = zeros({2, 4, 5, 6}), weight = zeros({6, 4, 3, 3}), none;
  CHECK_THROWS_WITH(conv2d(zeros({4, 5, 6}), weight, none),
                    Contains("conv2d: x of shape (4, 5, 6)") && Contains("(batch, channels, height, width)"));
  CHECK_THROWS_WITH(conv2d(x, zeros({6, 3, 3, 3}), none),
                    Contains("(2, 4, 5, 6)") && Contains("(6, 3, 3, 3)"));
  CHECK_THROWS_WITH(conv2d(x, weight, none, {.dilation = {3, 1}}),
                    Contains("5 entries") && Contains("over 7"));
  CHECK_THROWS_WITH(conv2d(x, weight, zeros({5})), Contains("a bias of shape (5,)"));
  CHECK_THROWS_WITH(conv2d(x, weight, none, {.stride = {1, 0}}), Contains("stride is 0"));
  CHECK_THROWS_AS(conv2d(x, weight.to(Dtype::f64), none), DtypeError);
  CHECK_THROWS_AS(conv2d(x, zeros({6, 4, 0, 3}), none), ShapeError);
  CHECK_THROWS_WITH(conv_transpose2d(x, zeros({4, 2, 3, 3}), none, {.output_padding = {0, 1}}),
                    Contains("conv_transpose2d: output_padding is 1"));
  CHECK(conv2d(zeros({0, 4, 5, 6}), weight, none).shape() == Shape{0, 6, 3, 4});
  CHECK_THROWS_WITH(max_pool2d(zeros({2, 3, 4})), Contains("max_pool2d: x of shape (2, 3, 4)"));
  CHECK_THROWS_WITH(max_pool1d(zeros({1, 1, 2}), {.kernel = 3}), Contains("2 entries") && Contains("over 3"));
  CHECK_THROWS_WITH(avg_pool1d(zeros({1, 1, 9}), {.kernel = 3, .padding = 2}), Contains("padding is 2"));
  CHECK_THROWS_WITH(avg_pool2d(zeros({1, 1, 9, 9}), {.kernel = {0, 1}}), Contains("the kernel is 0"));
  CHECK_THROWS_WITH(max_pool1d(zeros({1, 1, 3}), {.kernel = 2, .padding = 1, .dilation = 4}),
                    Contains("window 0 sees nothing but padding"));
  CHECK_THROWS_WITH(adaptive_avg_pool1d(Variable(zeros({1, 1, 3})), 0),
                    Contains("at conv_layers_test.cpp:") && Contains("0 windows"));
  CHECK_THROWS_AS(adaptive_max_pool2d(zeros({1, 1, 0, 3}), 1), ShapeError);
}

TEST_CASE("a steady training step of a convolutional network takes nothing from the heap", "[nn][heap]") {
  if (!counts_heap) return;
  Rng rng(5);
  nn::Sequential model(nn::Conv2d(rng, 1, 4, 3, {.padding = 1}), nn::BatchNorm2d(4), nn::GroupNorm(2, 4),
                       nn::Relu{}, nn::MaxPool2d(), nn::AvgPool2d(), nn::Flatten(), nn::Linear(rng, 16, 8),
                       nn::LayerNorm(8), nn::RmsNorm(8));
  optim::Adam optimizer({.lr = 1e-3});
  const Variable x(rng.normal({3, 1, 8, 8}));
  const auto step = [&] {
    Tape tape;
    const Variable y = model(x, &rng);
    optimizer.step(model, tape.backward(sum(y * y)));
  };
  for (int i = 0; i < 5; ++i) step();
  const std::int64_t before = heap_count();
  for (int i = 0; i < 20; ++i) step();
  CHECK(heap_count() == before);
}

TEST_CASE("with ceil an input shorter than the kernel has one window, as in PyTorch", "[pool]") {
  const Tensor x = Tensor::of({1, 5, 2}).reshape({1, 1, 3});
  const Tensor y = max_pool1d(x, {.kernel = 4, .stride = 2, .ceil = true});
  CHECK(y.shape() == Shape{1, 1, 1});
  CHECK(y.item() == 5);
  CHECK_THROWS_AS(max_pool1d(x, {.kernel = 4, .stride = 2}), ShapeError);
  CHECK_THROWS_AS(max_pool1d(x, {.kernel = 6, .stride = 2, .ceil = true}), ShapeError);
}
