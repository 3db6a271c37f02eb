#include <cmath>
#include <vector>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/ops/softmax.hpp"
#include "autograd/tape.hpp"
#include "autograd/transforms.hpp"
#include "nn/norm.hpp"
#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/instruction_sets.hpp"

using namespace gradus;
using gradus::test::for_every_instruction_set;

namespace {

void check_relative(const Tensor& ours, const std::vector<double>& exact, double tolerance) {
  REQUIRE(ours.size() == static_cast<std::int64_t>(exact.size()));
  for (std::size_t i = 0; i < exact.size(); ++i) {
    INFO("element " << i << ": " << ours.at(static_cast<std::int64_t>(i)) << ", exactly " << exact[i]);
    CHECK(std::abs(ours.at(static_cast<std::int64_t>(i)) - exact[i]) <= tolerance * std::abs(exact[i]));
  }
}

}  // namespace

TEST_CASE("the slopes of a softmax that is nearly 1 keep their digits, along any axis", "[reduction]") {
  for_every_instruction_set([] {
    for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
      const double high = dtype == Dtype::f32 ? 17 : 40, tolerance = dtype == Dtype::f32 ? 1e-6 : 1e-14;
      // p = e^-high at each of the two others; weights of 3, 1 and 2.
      const double p = std::exp(-high) / (1 + 2 * std::exp(-high));
      const std::vector<double> exact{(1 - 2 * p) * 3 * p, -2 * p * (1 - 1.5 * p), -p * (1 - 3 * p)};
      const Tensor row = Tensor::of({high, 0, 0}, dtype), weights = Tensor::of({3, 1, 2}, dtype);
      for (const std::int64_t columns : {1, 5, 40}) {
        const Tensor x = row.reshape({3, 1}) * ones({1, columns}, dtype);
        const Variable w(weights.reshape({3, 1}) * ones({1, columns}, dtype));
        const auto f = [&](const Variable& v) { return sum(softmax(v, 0) * w); };
        Tape tape;
        const Variable v = tape.watch(x);
        const Tensor recorded = grad(f, v).value(), slopes = tape.backward(f(v))[v];
        for (const std::int64_t column : {std::int64_t{0}, columns - 1}) {
          check_relative(select(slopes, 1, column), exact, tolerance);
          check_relative(select(recorded, 1, column), exact, tolerance);
        }
      }
      Tape tape;
      const Variable v = tape.watch(row);
      check_relative(tape.backward(sum(softmax(v, 0) * Variable(weights)))[v], exact, tolerance);
    }
  });
  // The derivative of p (1 - p) at 17 by the first: p (1 - p) (1 - 2 p).
  const Variable x(Tensor::of({17, 0}));
  const auto slope = [](const Variable& v) {
    return sum(slice(grad([](const Variable& u) { return sum(slice(softmax(u, 0), 0, 0, 1)); }, v), 0, 0, 1));
  };
  const double p = 1 / (1 + std::exp(17.0));
  check_relative(grad(slope, x).value(), {-p * (1 - p) * (1 - 2 * p), p * (1 - p) * (1 - 2 * p)}, 1e-6);
}

TEST_CASE("a layer norm of rows of any size is right, with its gradient", "[nn]") {
  const Variable weights(Tensor::of({1, 2, 4}));
  const std::vector<double> values{-1.0690449676496976, -0.5345224838248488, 5.345224838248488};
  // With s the deviation: (w - mean(w) - y mean(w y)) / s.
  const std::vector<double> y{-1.0690449676496976, -0.2672612419124244, 1.3363062095621219};
  for (const double size : {1e-20, 1e-12, 1.0, 1e10, 1e18, 1e30}) {
    INFO(size);
    const nn::LayerNorm norm(3, {.eps = 1e-60});  // nothing beside any of these variances
    const double deviation = size * std::sqrt(14.0) / 3;
    Tape tape;
    const Variable x = tape.watch(Tensor::of({1 * size, 2 * size, 4 * size}));
    const Variable result = norm(x) * weights;
    check_relative(result.value(), values, 1e-6);
    const Tensor slopes = tape.backward(sum(result))[x];
    const double mean_w = 7.0 / 3, mean_wy = (y[0] + 2 * y[1] + 4 * y[2]) / 3;
    for (std::size_t i = 0; i < 3; ++i) {
      const double w = std::vector<double>{1, 2, 4}[i], exact = (w - mean_w - y[i] * mean_wy) / deviation;
      CHECK(slopes.at(static_cast<std::int64_t>(i)) == Approx(exact).epsilon(1e-5).margin(1e-6 / deviation));
    }
  }
  // Of equal numbers nothing is left, and the slopes are those of x / sqrt(eps).
  Tape tape;
  const Variable x = tape.watch(full({3}, 5));
  const Variable result = nn::LayerNorm(3)(x) * weights;
  check_relative(result.value(), {0, 0, 0}, 0);
  const double scale = 1 / std::sqrt(1e-5);
  check_relative(tape.backward(sum(result))[x], {-4.0 / 3 * scale, -1.0 / 3 * scale, 5.0 / 3 * scale}, 1e-6);
}
