#include "autograd/ops/conv.hpp"

#include <limits>

#include "tensor/random.hpp"
#include "tests/support/threads.hpp"
#include "tests/support/torch_case.hpp"

using namespace gradus;
using namespace gradus::test;
using Catch::Contains;

namespace {

/// The loops of the formula, in double.
Tensor naive(const Tensor& x, const Tensor& weight, const Tensor& bias, Conv1dOptions o) {
  const std::int64_t batch = x.dim(0), channels = x.dim(1), length = x.dim(2);
  const std::int64_t outs = weight.dim(0), inner = weight.dim(1), width = weight.dim(2);
  const std::int64_t reach = o.dilation * (width - 1) + 1, left = o.causal ? reach - 1 : o.padding;
  const std::int64_t steps = (length + left + o.padding - reach) / o.stride + 1;
  std::vector<double> out;
  for (std::int64_t b = 0; b < batch; ++b) {
    for (std::int64_t c = 0; c < outs; ++c) {
      const std::int64_t first = c / (outs / o.groups) * inner;
      for (std::int64_t t = 0; t < steps; ++t) {
        double total = bias.defined() ? bias.at(c) : 0;
        for (std::int64_t i = 0; i < inner; ++i) {
          for (std::int64_t k = 0; k < width; ++k) {
            const std::int64_t at = t * o.stride + k * o.dilation - left;
            if (at >= 0 && at < length)
              total +=
                  weight.at((c * inner + i) * width + k) * x.at((b * channels + first + i) * length + at);
          }
        }
        out.push_back(total);
      }
    }
  }
  return Tensor::from(out, {batch, outs, steps});
}

struct Case {
  Shape x, weight;
  Conv1dOptions options;
};
const std::vector<Case> cases{
    {{1, 1, 1}, {1, 1, 1}, {}},
    {{2, 3, 7}, {4, 3, 1}, {}},
    {{2, 3, 7}, {4, 3, 1}, {.padding = 2}},
    {{2, 3, 7}, {4, 3, 1}, {.stride = 2}},
    {{2, 3, 7}, {4, 3, 3}, {}},
    {{3, 2, 9}, {5, 2, 4}, {.stride = 3, .padding = 2, .dilation = 2}},
    {{2, 6, 8}, {9, 2, 3}, {.padding = 1, .groups = 3}},
    {{2, 4, 8}, {4, 1, 3}, {.groups = 4, .causal = true}},
    {{2, 2, 8}, {3, 2, 3}, {.dilation = 4, .causal = true}},
    {{2, 2, 2}, {3, 2, 5}, {.stride = 2, .dilation = 3, .causal = true}},  // reaches far before x
    {{1, 2, 3}, {2, 2, 2}, {.padding = 9}},                                // steps that see padding only
    {{1, 12, 9000}, {2, 12, 3}, {.padding = 1}},                           // several blocks of steps
    {{1, 3, 9000}, {3, 1, 11}, {.padding = 1, .groups = 3}},
    {{3, 4, 30}, {4, 1, 3}, {.stride = 2, .groups = 4}},
    {{3, 4, 30}, {2, 4, 2}, {.dilation = 20}},  // taps far apart
    {{5, 3, 5}, {20, 3, 3}, {}},                // a few steps, of several entries together
    {{19, 2, 6}, {3, 2, 2}, {.padding = 1}},    // a batch summed in runs
    {{2, 64, 700}, {40, 64, 5}, {.stride = 2, .causal = true}},
};

}  // namespace

TEST_CASE("conv1d equals its loops", "[conv]") {
  Rng rng(1);
  for (const auto& [x_shape, weight_shape, options] : cases) {
    INFO(x_shape.text() << " by " << weight_shape.text());
    const double terms = static_cast<double>(weight_shape[1] * weight_shape[2] + 1);
    for (const Dtype dtype : {Dtype::f64, Dtype::f32}) {
      const Tensor x = rng.uniform(x_shape, -1, 1, dtype), weight = rng.uniform(weight_shape, -1, 1, dtype);
      const Tensor bias = rng.uniform({weight_shape[0]}, -1, 1, dtype);
      const double tolerance = terms * (dtype == Dtype::f32 ? 0x1p-23 : 0x1p-52);
      CHECK(difference(conv1d(x, weight, bias, options).to(Dtype::f64), naive(x, weight, bias, options)) <=
            tolerance);
      CHECK(difference(conv1d(x, weight, Tensor(), options).to(Dtype::f64),
                       naive(x, weight, Tensor(), options)) <= tolerance);
    }
  }
}

TEST_CASE("conv_transpose1d and the gradient of the weight are adjoints of conv1d", "[conv]") {
  Rng rng(2);
  for (const auto& [x_shape, weight_shape, options] : cases) {
    INFO(x_shape.text() << " by " << weight_shape.text());
    const Tensor x = rng.uniform(x_shape, -1, 1, Dtype::f64),
                 w = rng.uniform(weight_shape, -1, 1, Dtype::f64);
    const detail::ConvLengths lengths = detail::conv_lengths(x, w, Tensor(), options);
    const Tensor y = rng.uniform(lengths.y_shape(), -1, 1, Dtype::f64);
    const double expected = sum(y * naive(x, w, Tensor(), options)).item();
    const double by_x = sum(x * detail::conv_to_input(lengths, y, w, Tensor())).item();
    const double by_weight = sum(w * detail::conv_to_weight(lengths, x, y)).item();
    CHECK(by_x == Approx(expected).epsilon(1e-12).margin(1e-10));
    CHECK(by_weight == Approx(expected).epsilon(1e-12).margin(1e-10));
    if (options.causal) continue;
    // The length that its stride lost is given back.
    const std::int64_t reach = options.dilation * (weight_shape[2] - 1) + 1;
    const std::int64_t lost = (x_shape[2] + 2 * options.padding - reach) % options.stride;
    CHECK(identical(conv_transpose1d(y, w, Tensor(),
                                     {.stride = options.stride,
                                      .padding = options.padding,
                                      .output_padding = lost,
                                      .dilation = options.dilation,
                                      .groups = options.groups}),
                    detail::conv_to_input(lengths, y, w, Tensor())));
  }
}

TEST_CASE("convolutions' values and gradients are PyTorch's", "[conv]") {
  using Xs = std::span<const Variable>;
  const std::vector<std::string> names{"x", "weight", "bias"};
  const auto check = [&](const char* name, Conv1dOptions options) {
    check_torch_case(name, names, [&](Xs x) { return conv1d(x[0], x[1], x[2], options); });
  };
  check("conv_plain", {});
  check("conv_strided", {.stride = 2, .padding = 2, .dilation = 2});
  check("conv_grouped", {.padding = 1, .groups = 2});
  check("conv_causal", {.dilation = 2, .causal = true});
  check_torch_case("conv_transposed", names, [](Xs x) {
    return conv_transpose1d(x[0], x[1], x[2],
                            {.stride = 3, .padding = 1, .output_padding = 2, .dilation = 2, .groups = 2});
  });
}

TEST_CASE("a causal convolution sees nothing of what follows", "[conv]") {
  Rng rng(3);
  const Tensor x = rng.normal({1, 3, 12}), weight = rng.normal({2, 3, 3});
  const Conv1dOptions options{.dilation = 2, .causal = true};
  const Tensor whole = conv1d(x, weight, Tensor(), options);
  CHECK(whole.shape() == Shape{1, 2, 12});
  for (const std::int64_t length : {0, 1, 3, 7}) {
    CHECK(difference(conv1d(slice(x, 2, 0, length), weight, Tensor(), options), slice(whole, 2, 0, length)) <
          1e-5);
  }
}

TEST_CASE("NaN and infinity stay where a convolution meets them", "[conv]") {
  Tensor x = zeros({1, 1, 6});
  x.mutable_data<float>()[2] = std::numeric_limits<float>::quiet_NaN();
  const Tensor y = conv1d(x, ones({1, 1, 2}), Tensor());
  for (std::int64_t t = 0; t < 5; ++t) CHECK(std::isnan(y.at(t)) == (t == 1 || t == 2));
  x.mutable_data<float>()[2] = std::numeric_limits<float>::infinity();
  CHECK(conv1d(x, ones({1, 1, 2}), Tensor()).at(1) == std::numeric_limits<double>::infinity());
}

TEST_CASE("convolutions of nothing are fine", "[conv]") {
  CHECK(conv1d(zeros({0, 2, 5}), zeros({3, 2, 2}), zeros({3})).shape() == Shape{0, 3, 4});
  CHECK(conv1d(zeros({1, 2, 0}), zeros({3, 2, 2}), zeros({3}), {.causal = true}).shape() == Shape{1, 3, 0});
  CHECK(conv1d(zeros({1, 0, 3}), zeros({2, 0, 2}), ones({2})).text() == "[[[1, 1], [1, 1]]]");
  CHECK(conv1d(zeros({1, 2, 3}), zeros({0, 2, 2}), zeros({0})).shape() == Shape{1, 0, 2});
  CHECK(conv_transpose1d(zeros({1, 0, 2}), zeros({0, 1, 2}), ones({1})).text() == "[[[1, 1, 1]]]");
}

TEST_CASE("errors of convolutions say what does not fit", "[conv]") {
  const Tensor x = zeros({2, 4, 5}), weight = zeros({6, 4, 3}), bias = zeros({6}), none;
  CHECK_THROWS_WITH(conv1d(zeros({4, 5}), weight, bias), Contains("conv1d: x of shape (4, 5)"));
  CHECK_THROWS_WITH(conv1d(x, zeros({6, 3, 3}), bias), Contains("(2, 4, 5)") && Contains("(6, 3, 3)"));
  CHECK_THROWS_WITH(conv1d(x, zeros({6, 2, 3}), none, {.groups = 4}), Contains("4 groups"));
  CHECK_THROWS_WITH(conv1d(x, zeros({5, 2, 3}), none, {.groups = 2}), Contains("2 groups"));
  CHECK_THROWS_WITH(conv1d(x, weight, zeros({5})), Contains("a bias of shape (5,)"));
  CHECK_THROWS_WITH(conv1d(x, weight, none, {.dilation = 3}), Contains("5 entries") && Contains("over 7"));
  CHECK_THROWS_AS(conv1d(x, zeros({6, 4, 0}), none), ShapeError);
  CHECK_THROWS_AS(conv1d(x, weight.to(Dtype::f64), bias), DtypeError);
  CHECK_THROWS_AS(conv1d(x, weight, bias.to(Dtype::f64)), DtypeError);
  CHECK_THROWS_WITH(conv1d(x, weight, none, {.stride = 0}), Contains("stride is 0"));
  CHECK_THROWS_WITH(conv1d(x, weight, none, {.padding = -1}), Contains("padding is -1"));
  CHECK_THROWS_WITH(conv1d(x, weight, none, {.padding = 1, .causal = true}), Contains("causal"));
  CHECK_THROWS_AS(conv1d(x, weight, none, {.groups = 0}), ArgumentError);
  CHECK_THROWS_WITH(conv_transpose1d(x, zeros({3, 2, 3}), none), Contains("conv_transpose1d"));
  CHECK_THROWS_WITH(conv_transpose1d(x, zeros({4, 2, 3}), none, {.output_padding = 1}),
                    Contains("output_padding is 1"));
  CHECK_THROWS_WITH(conv_transpose1d(x, zeros({4, 2, 3}), none, {.padding = 4}), Contains("length -1"));
  CHECK_THROWS_WITH(conv1d(Variable(x), Variable(zeros({6, 3, 3}))),
                    Contains("at conv_test.cpp:") && Contains("conv1d"));
}

TEST_CASE("convolutions and their gradients have the same bits for any number of threads",
          "[conv][threads]") {
  Rng rng(4);
  for (const auto& [x_shape, weight_shape] :
       std::vector<std::pair<Shape, Shape>>{{{11, 8, 60}, {16, 8, 3}}, {{3, 64, 300}, {64, 64, 3}}}) {
    const Tensor x = rng.normal(x_shape), weight = rng.normal(weight_shape),
                 bias = rng.normal({weight_shape[0]});
    const Conv1dOptions options{.padding = 1};
    const detail::ConvLengths lengths = detail::conv_lengths(x, weight, bias, options);
    const Tensor y = rng.normal(lengths.y_shape());
    const auto all = [&] {
      return std::vector<Tensor>{conv1d(x, weight, bias, options),
                                 detail::conv_to_input(lengths, y, weight, Tensor()),
                                 detail::conv_to_weight(lengths, x, y)};
    };
    test::check_same_bits(all);
  }
}
