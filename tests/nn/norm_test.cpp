#include "nn/norm.hpp"

#include <cmath>
#include <functional>
#include <limits>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/movement.hpp"
#include "tests/support/threads.hpp"
#include "tests/support/torch_case.hpp"

using namespace gradus;
using namespace gradus::test;
using Catch::Contains;

namespace {

using Xs = std::span<const Variable>;

/// A BatchNorm of four channels with a fixture's weights.
nn::BatchNorm batch_norm_of(const std::string& name, const nn::BatchNormOptions& options, Dtype dtype) {
  nn::BatchNorm norm(4, options);
  convert(norm, dtype);
  if (options.affine) {
    norm.weight = Parameter(fixture(name + "/weight").to(dtype));
    norm.bias = Parameter(fixture(name + "/bias").to(dtype));
  }
  return norm;
}

}  // namespace

TEST_CASE("normalisations and their gradients are PyTorch's", "[nn][norm]") {
  const std::vector<std::string> affine{"x", "weight", "bias"}, weighted{"x", "weight"};
  // The options alone: PyTorch's weights go in as inputs.
  const auto layer = [](Shape shape, double eps) {
    return [=](Xs x) { return layer_norm(x[0], shape, x[1], x[2], eps); };
  };
  const auto group = [](std::int64_t groups) {
    return [=](Xs x) { return group_norm(x[0], groups, x[1], x[2]); };
  };
  check_torch_case("norm_layer_two_axes", affine, layer({3, 5}, 1e-3));
  check_torch_case("norm_layer_wide", affine, layer({70}, 1e-5));
  check_torch_case("norm_layer_far", affine, layer({9}, 1e-5));
  check_torch_case("norm_layer_plain", {"x"}, [](Xs x) { return nn::LayerNorm(7, {.affine = false})(x[0]); });
  check_torch_case("norm_rms", weighted,
                   [](Xs x) {
                     nn::RmsNorm norm(6);
                     static_cast<Variable&>(norm.weight) = x[1];
                     return norm(x[0]);
                   },
                   {.f64 = 1e-12, .f32 = 1e-5});
  check_torch_case("norm_rms_two_axes", weighted, [](Xs x) { return rms_norm(x[0], {3, 4}, x[1], 1e-2); });
  check_torch_case("norm_group", affine, group(3));
  check_torch_case("norm_group_image", affine, group(1));
  check_torch_case("norm_group_instance", affine, group(4));
  check_torch_case("norm_group_vector", affine, group(2));
}

TEST_CASE("BatchNorm, its gradients and its running statistics are PyTorch's", "[nn][norm]") {
  const std::vector<std::pair<const char*, nn::BatchNormOptions>> cases{
      {"norm_batch_rows", {}},
      {"norm_batch_sequence", {.momentum = 0.3}},
      {"norm_batch_image", {.eps = 1e-3, .momentum = std::nullopt}},
      {"norm_batch_plain", {.affine = false}}};
  for (const auto& [name, options] : cases) {
    for (const Dtype dtype : {Dtype::f64, Dtype::f32}) {
      const double allowed = dtype == Dtype::f64 ? 1e-12 : 1e-5;
      const nn::BatchNorm norm = batch_norm_of(name, options, dtype);
      const auto expected = [name = std::string(name)](const std::string& what, const std::string& step) {
        return fixture(name + "/" + what + "_" + step);
      };
      const auto off = [](const Tensor& x, const Tensor& y) { return difference(x.to(Dtype::f64), y); };
      Rng rng(1);
      for (const std::string step : {"1", "2", "eval"}) {
        INFO(name << ", step " << step << ", " << name_of(dtype));
        Tape tape;
        const Variable x = tape.watch(expected("x", step).to(dtype));
        const Variable y = norm(x, step == "eval" ? nullptr : &rng);
        CHECK(off(y.value(), expected("out", step)) < allowed);
        const Gradients found = tape.backward(sum(y * expected("w", step).to(dtype)));
        CHECK(off(found[x], expected("d_x", step)) < allowed);
        if (options.affine) {
          CHECK(off(found[norm.weight], expected("d_weight", step)) < allowed);
          CHECK(off(found[norm.bias], expected("d_bias", step)) < allowed);
        }
        CHECK(off(norm.running_mean.value(), expected("running_mean", step)) < allowed);
        CHECK(off(norm.running_var.value(), expected("running_var", step)) < allowed);
        CHECK(norm.num_batches_tracked.value().item() == expected("num_batches_tracked", step).item());
      }
    }
  }
}

TEST_CASE("BatchNorm without running statistics evaluates by those of its batch", "[nn][norm]") {
  Rng rng(2);
  const nn::BatchNorm norm(3, {.running = false});
  const Variable x(rng.normal({4, 3, 5}));
  CHECK(identical(norm(x, nullptr).value(), norm(x, &rng).value()));
  CHECK(count_buffers(norm) == 0);
  CHECK(count_buffers(nn::BatchNorm(3)) == 7);
}

TEST_CASE("normalisations over long runs keep their digits far from 0", "[nn][norm]") {
  // Mean 1000, variance 1: in f32 the sums of the squares themselves would have lost all digits.
  Rng rng(3);
  const Tensor x = rng.normal({3, 5000}, 1000, 1);
  const Tensor exact = layer_norm(Variable(x.to(Dtype::f64)), {5000}).value();
  CHECK(difference(layer_norm(Variable(x), {5000}).value().to(Dtype::f64), exact) < 1e-4);
  const Tensor columns = x.reshape({15, 1, 1000});
  CHECK(difference(batch_norm(Variable(columns)).y.value().to(Dtype::f64),
                   batch_norm(Variable(columns.to(Dtype::f64))).y.value()) < 1e-4);
}

TEST_CASE("normalisations and their gradients are right where variances leave f32's range", "[nn][norm]") {
  Rng rng(4);
  const Tensor x = rng.normal({2, 4, 6}, 0, 1, Dtype::f64), w = rng.normal({2, 4, 6}, 0, 1, Dtype::f64);
  const std::vector<std::function<Variable(const Variable&)>> norms{
      [](const Variable& v) { return layer_norm(v, {6}, {}, {}, 1e-30); },
      [](const Variable& v) { return rms_norm(v, {6}, {}, 1e-30); },
      [](const Variable& v) { return group_norm(v, 2, {}, {}, 1e-30); },
      [](const Variable& v) { return batch_norm(v, {}, {}, 1e-30).y; }};
  for (std::size_t i = 0; i < norms.size(); ++i) {
    for (const double scale : {1e-13, 1e25, 3e37}) {
      INFO("norm " << i << " of what is about " << scale);
      const auto run = [&](const Tensor& of, Dtype dtype) {
        Tape tape;
        const Variable v = tape.watch(of.to(dtype));
        const Variable y = norms[i](v);
        return std::pair{y.value().to(Dtype::f64), tape.backward(sum(y * w.to(dtype)))[v].to(Dtype::f64)};
      };
      const auto [y, dx] = run(x * scale, Dtype::f32);
      const auto [exact, exact_dx] = run((x * scale).to(Dtype::f32).to(Dtype::f64), Dtype::f64);
      CHECK(difference(y, exact) < 1e-5);
      CHECK(difference(dx * scale, exact_dx * scale) < 1e-4);
    }
  }
}

TEST_CASE("a NaN stays in what is normalised with it", "[nn][norm]") {
  Tensor x = Rng(5).normal({2, 3, 4});
  x.mutable_data<float>()[1] = std::numeric_limits<float>::quiet_NaN();
  const Tensor rows = layer_norm(Variable(x), {4}).value(),
               rms = rms_norm(Variable(x), {4}, {}, 1e-5).value();
  const Tensor channels = batch_norm(Variable(x)).y.value();
  for (std::int64_t i = 0; i < x.size(); ++i) {
    INFO("element " << i);
    CHECK(std::isnan(rows.at(i)) == (i < 4));
    CHECK(std::isnan(rms.at(i)) == (i < 4));
    CHECK(std::isnan(channels.at(i)) == (i < 4 || (i >= 12 && i < 16)));
  }
}

TEST_CASE("normalisations have the same bits for any number of threads", "[nn][norm][threads]") {
  Rng rng(6);
  const Tensor x = rng.normal({64, 16, 150}), weight = rng.normal({16}), wide = rng.normal({150});
  const auto all = [&] {
    std::vector<Tensor> out;
    const auto add = [&](const Tensor& weights,
                         const std::function<Variable(const Variable&, const Variable&)>& f) {
      Tape tape;
      const Variable v = tape.watch(x), w = tape.watch(weights), y = f(v, w);
      const Gradients found = tape.backward(sum(y * y * y));
      out.insert(out.end(), {y.value(), found[v], found[w]});
    };
    add(wide, [](const Variable& v, const Variable& w) { return layer_norm(v, {150}, w, w); });
    add(weight, [](const Variable& v, const Variable& w) { return group_norm(v, 4, w, w); });
    add(weight, [](const Variable& v, const Variable& w) { return batch_norm(v, w, w).y; });
    return out;
  };
  test::check_same_bits(all);
}

TEST_CASE("normalisations say what does not fit", "[nn][norm]") {
  Rng rng(7);
  const auto of = [](const Shape& shape) { return Variable(zeros(shape)); };
  CHECK_THROWS_WITH(nn::LayerNorm({3, 4})(of({2, 4})),
                    Contains("layer_norm: x of shape (2, 4); its last axes must be (3, 4)"));
  CHECK_THROWS_WITH(layer_norm(of({2, 4}), 4, of({3})),
                    Contains("at norm_test.cpp:") && Contains("weight of shape (3,); it must be (4,)"));
  CHECK_THROWS_WITH(layer_norm(of({2, 4}), 4, of({4}), Variable(zeros({4}, Dtype::f64))),
                    Contains("x is f32, the bias f64"));
  CHECK_THROWS_WITH(nn::RmsNorm(3, {.eps = 0.0}), Contains("RmsNorm: eps is 0"));
  CHECK_THROWS_WITH(nn::GroupNorm(3, 4), Contains("GroupNorm: 3 groups of 4 channels"));
  CHECK_THROWS_WITH(nn::GroupNorm(2, 4)(of({2, 6, 3})),
                    Contains("an input of shape (2, 6, 3); it must be (batch, 4, ...)"));
  CHECK_THROWS_WITH(group_norm(of({2, 6}), 4), Contains("6 channels, which 4 groups do not divide"));
  CHECK_THROWS_AS(nn::BatchNorm(0), ArgumentError);
  CHECK_THROWS_WITH(nn::BatchNorm(2, {.momentum = 1.5}), Contains("a momentum of 1.5"));
  CHECK_THROWS_WITH(nn::BatchNorm(2)(of({2}), &rng), Contains("(batch, 2, ...)"));
  CHECK_THROWS_WITH(nn::BatchNorm(2)(of({1, 2}), &rng),
                    Contains("1 elements a channel; training takes at least 2"));
  CHECK(nn::BatchNorm(2)(of({1, 2}), nullptr).shape() == Shape{1, 2});
  CHECK_THROWS_WITH(batch_norm(of({3, 2}), {zeros({3}), zeros({2})}, {}, {}),
                    Contains("a mean of shape (3,); it must be (2,)"));
  CHECK_THROWS_WITH(batch_norm(of({0, 2, 3})), Contains("no elements to take statistics of"));
  CHECK_THROWS_WITH(batch_norm(of({3, 2}), {}, {}, -1), Contains("eps is -1"));
}

TEST_CASE("a batch norm of columns says the caller's shape", "[nn][norm]") {
  CHECK_THROWS_WITH(batch_norm(Variable(zeros({8, 4})), Variable(zeros({5}))),
                    Contains("(8, 4)") && Contains("(5,)"));
  CHECK_THROWS_WITH(layer_norm(Variable(zeros({2, 3})), {}), Contains("no axes") && Contains("(2, 3)"));
}
