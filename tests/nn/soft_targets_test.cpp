// cross_entropy of targets that are distributions, and of smoothed ones, whose kernels they share.

#include <cmath>
#include <limits>
#include <vector>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/cross_entropy.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/indexing.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/ops/softmax.hpp"
#include "autograd/tape.hpp"
#include "nn/losses.hpp"
#include "tensor/random.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/threads.hpp"

using namespace gradus;
using namespace gradus::test;
using nn::Reduction;

namespace {

constexpr double infinite = std::numeric_limits<double>::infinity();

/// The losses of rows, and the gradient of their sum times w: both in f64.
template <class Loss>
std::vector<Tensor> with_slope(const Tensor& logits, const Tensor& w, const Loss& loss) {
  Tape tape;
  const Variable x = tape.watch(logits), losses = loss(x);
  const Tensor value = losses.value();
  const Gradients gradients = tape.backward(sum(losses * Variable(w)));
  return {value.to(Dtype::f64), gradients[x].to(Dtype::f64)};
}

/// The loss of one row of logits beside a target, and the gradient of the logits.
std::vector<Tensor> of_row(const Tensor& logits, const Tensor& target) {
  return with_slope(logits, Tensor::scalar(1, logits.dtype()),
                    [&](const Variable& x) { return nn::soft_cross_entropy(x, target, Reduction::none); });
}

}  // namespace

TEST_CASE("losses of distributions and of smoothed targets are those op by op, in rows of any length",
          "[nn][losses]") {
  Rng rng(1);
  for (const std::int64_t classes : {1, 2, 15, 16, 17, 64, 1023, 1025, 5000}) {
    const Tensor x = rng.normal({3, 2, classes}, 0, 3, Dtype::f64), w = rng.normal({3, 2}, 0, 1, Dtype::f64);
    const Tensor target = softmax(rng.normal({3, 2, classes}, 0, 2, Dtype::f64));
    const Tensor weight = rng.uniform({classes}, 0.5, 2, Dtype::f64);
    const auto last = static_cast<std::int32_t>(classes - 1);
    const Indices ids({0, last, -1, last / 2, 0, last}, {3, 2}),
        of_any({0, last, 0, last / 2, 0, last}, {3, 2});
    const Tensor counts = Tensor::of({1, 1, 0, 1, 1, 1}, Dtype::f64).reshape({3, 2});
    const auto by_ops = [&](const Variable& v) { return -sum(Variable(target) * log_softmax(v), -1); };
    const auto smoothed_by_ops = [&](const Variable& v) {
      const Variable weighed = log_softmax(v) * Variable(weight);
      return -(0.9 * pick(weighed, -1, of_any) + 0.1 * mean(weighed, -1)) * Variable(counts);
    };
    const std::vector<Tensor> expected = with_slope(x, w, by_ops),
                              expected_smoothed = with_slope(x, w, smoothed_by_ops);
    for (const Dtype dtype : {Dtype::f64, Dtype::f32}) {
      INFO(classes << " classes in " << name_of(dtype));
      const double allowed = dtype == Dtype::f64 ? 1e-12 : 1e-5;
      const std::vector<Tensor> found = with_slope(x.to(dtype), w.to(dtype), [&](const Variable& v) {
        return nn::soft_cross_entropy(v, target.to(dtype), Reduction::none);
      });
      const std::vector<Tensor> smoothed = with_slope(x.to(dtype), w.to(dtype), [&](const Variable& v) {
        return cross_entropy(v, ids,
                             {.reduction = Reduction::none,
                              .label_smoothing = 0.1,
                              .ignore_index = -1,
                              .weight = weight.to(dtype)});
      });
      for (std::size_t i = 0; i < 2; ++i) {
        CHECK(difference(found[i], expected[i]) < allowed);
        CHECK(difference(smoothed[i], expected_smoothed[i]) < allowed);
      }
    }
  }
}

TEST_CASE("a class of target 0 costs nothing, and one that cannot be is infinitely bad", "[nn][losses]") {
  const Tensor x = Tensor::of({1, -infinite, 2}, Dtype::f64);
  const std::vector<Tensor> fine = of_row(x, Tensor::of({0.25, 0, 0.75}, Dtype::f64));
  const double total = std::log(std::exp(1) + std::exp(2));
  CHECK(fine[0].item() == Approx(0.25 * (total - 1) + 0.75 * (total - 2)).epsilon(1e-14));
  CHECK(fine[1].at(1) == 0);
  CHECK(of_row(x, Tensor::of({0.25, 0.25, 0.5}, Dtype::f64))[0].item() == infinite);
  // Without targets a row counts nothing, whatever its logits are.
  const std::vector<Tensor> nothing =
      of_row(Tensor::of({NAN, infinite, -infinite}, Dtype::f64), zeros({3}, Dtype::f64));
  CHECK(nothing[0].item() == 0);
  CHECK(identical(nothing[1], zeros({3}, Dtype::f64)));
  CHECK(std::isnan(of_row(Tensor::of({NAN, 1, 2}, Dtype::f64), Tensor::of({0, 1, 0}, Dtype::f64))[0].item()));
  CHECK(std::isnan(of_row(Tensor::of({infinite, 1}, Dtype::f64), Tensor::of({0, 1}, Dtype::f64))[1].at(1)));
}

TEST_CASE("the gradient of a distribution's logits keeps its digits beside a probability near 1",
          "[nn][losses]") {
  // The other class's probability is e, to first order, and so its gradient is e less its target.
  const double e = std::exp(-40.0);
  for (const Dtype dtype : {Dtype::f64, Dtype::f32}) {
    const Tensor x = Tensor::of({40, 0}, dtype);
    const std::vector<Tensor> sure = of_row(x, Tensor::of({1, 0}, dtype));
    CHECK(sure[0].item() == Approx(e).epsilon(1e-6));
    CHECK(sure[1].at(0) == Approx(-e).epsilon(1e-6));
    CHECK(sure[1].at(1) == Approx(e).epsilon(1e-6));
    // Half of what smoothing takes from the target is given to the other class.
    Tape tape;
    const Variable v = tape.watch(x);
    const Gradients gradients = tape.backward(
        cross_entropy(v, Indices(std::vector<std::int32_t>{0}, {}), {.label_smoothing = 0x1p-20}));
    CHECK(gradients[v].at(1) == Approx(e - 0x1p-21).epsilon(1e-6));
  }
}

TEST_CASE("a target's gradient is the cost of its class, also where it is 0", "[nn][losses]") {
  Tape tape;
  const Variable t = tape.watch(Tensor::of({1, 0, 0}, Dtype::f64));
  const Tensor x = Tensor::of({1, 2, 3}, Dtype::f64);
  const Gradients gradients = tape.backward(nn::soft_cross_entropy(Variable(x), t) * 2.0);
  CHECK(difference(gradients[t], log_softmax(x) * -2.0) < 1e-14);
}

TEST_CASE("losses of distributions have the same bits for any number of threads", "[nn][losses][threads]") {
  Rng rng(2);
  const Tensor x = rng.normal({40, 3000}), target = softmax(rng.normal({40, 3000}));
  std::vector<std::int32_t> ids;
  for (std::int32_t i = 0; i < 40; ++i) ids.push_back(i * 70);
  check_same_bits([&] {
    return with_slope(x, ones({40}), [&](const Variable& v) {
      return nn::soft_cross_entropy(v, target, Reduction::none) +
             cross_entropy(v, Indices(ids), {.reduction = Reduction::none, .label_smoothing = 0.1});
    });
  });
}
