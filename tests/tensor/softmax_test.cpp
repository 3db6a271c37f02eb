#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "autograd/ops/softmax.hpp"
#include "autograd/tape.hpp"
#include "tensor/kernels/softmax.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "tensor/support/parallel.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/instruction_sets.hpp"
#include "tests/support/torch_case.hpp"

using namespace gradus;
using namespace gradus::test;
using Catch::Contains;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

}  // namespace

TEST_CASE("the gradient of softmax is refused when its shape is not the result's", "[reduction]") {
  CHECK_THROWS_WITH(softmax_backward(ones({2}), ones({2, 3})), Contains("(2,)") && Contains("(2, 3)"));
  CHECK_THROWS_AS(log_softmax_backward(ones({3, 2}), ones({2, 3})), ShapeError);
}

TEST_CASE("log_softmax keeps the digits of a logarithm near 0, along any axis", "[reduction]") {
  const Tensor row = Tensor::of({37.4, 0}, Dtype::f64);
  const double exact = -5.719872877313073e-17;  // -log(1 + exp(-37.4)), from 50 digits
  CHECK(log_softmax(row, 0).at(0) == Approx(exact).epsilon(1e-12));
  CHECK(log_softmax(row.reshape({2, 1}), 0).at(0) == Approx(exact).epsilon(1e-12));
  const Tensor columns = concat({row.reshape({2, 1}), row.reshape({2, 1})}, 1);  // (2, 2)
  for (std::int64_t c = 0; c < 2; ++c) CHECK(log_softmax(columns, 0).at(c) == Approx(exact).epsilon(1e-12));
  CHECK(log_softmax(Tensor::of({17, 0, -1000}), 0).at(0) == Approx(-4.139937633e-8).epsilon(1e-6));
}

TEST_CASE("softmax along any axis adds up to 1, and shifts", "[reduction]") {
  for_every_instruction_set([] {
    Rng rng(11);
    for (const Shape& shape : {Shape{100}, Shape{3, 100}, Shape{100, 19}, Shape{2, 5, 3}, Shape{200, 70}}) {
      for (int axis = 0; axis < shape.rank(); ++axis) {
        const Tensor x = rng.uniform(shape, -900, 900, Dtype::f64);
        const Tensor y = softmax(x, axis), log_y = log_softmax(x, axis);
        const Tensor total = sum(y, axis);
        CHECK(difference(total, ones_like(total)) < 1e-13);
        CHECK(difference(exp(log_y), y) < 1e-13);
        CHECK(difference(x - logsumexp(x, axis, true), log_y) < 1e-13);
      }
    }
  });
}

TEST_CASE("long rows of f32 have the softmax of f64, whatever the order of their numbers", "[reduction]") {
  for_every_instruction_set([] {
    Rng rng(12);
    for (const std::int64_t cols : {1, 15, 1000, 1024, 2048, 2049, 10'007}) {
      const Tensor x = rng.normal({5, cols}) * 3;
      Tensor rising = zeros({5, cols});
      for (std::int64_t i = 0; i < 5 * cols; ++i)
        rising.mutable_data<float>()[i] = 0.01F * static_cast<float>(i);
      // Of rows that rise, each block has a larger number than the one before.
      for (const Tensor& row : {x, rising, rising * -100}) {
        const Tensor exact = row.to(Dtype::f64);
        const Tensor log_sum = logsumexp(row, 1).to(Dtype::f64), right = logsumexp(exact, 1);
        CHECK(max(abs(log_sum - right) / (abs(right) + 1)).item() < 2e-7);
        const Tensor y = log_softmax(row, 1).to(Dtype::f64), log_y = log_softmax(exact, 1);
        // Two roundings, of numbers no larger than the result or the logarithm of the total, which is
        // below 20.
        CHECK(max(abs(y - log_y) / (abs(log_y) + 20)).item() < 2e-7);
      }
    }
  });
}

TEST_CASE("infinities and NaN in any block of a long row are as in a short one", "[reduction]") {
  for_every_instruction_set([] {
    const std::int64_t cols = 5003;
    for (const std::int64_t at : {0, 1500, 5002}) {
      const auto with = [&](float value) {
        Tensor x = Rng(13).normal({3, cols});
        x.mutable_data<float>()[cols + at] = value;
        return x;
      };
      CHECK(logsumexp(with(std::numeric_limits<float>::infinity()), 1).at(1) == infinity);
      CHECK(std::isnan(log_softmax(with(std::numeric_limits<float>::infinity()), 1).at(cols)));
      CHECK(std::isnan(logsumexp(with(std::numeric_limits<float>::quiet_NaN()), 1).at(1)));
      CHECK(std::isnan(log_softmax(with(std::numeric_limits<float>::quiet_NaN()), 1).at(cols)));
      // The row before is written beside this one's sum, however that is found.
      CHECK(log_softmax(with(std::numeric_limits<float>::infinity()), 1).at(5) ==
            log_softmax(with(0), 1).at(5));
      const Tensor y = log_softmax(with(-std::numeric_limits<float>::infinity()), 1);
      CHECK(y.at(cols + at) == -infinity);
      CHECK(sum(exp(y), 1).at(1) == Approx(1).epsilon(1e-6));
    }
    // A first block of -infinity, and nothing else.
    Tensor masked = Rng(14).normal({2, cols});
    std::fill_n(masked.mutable_data<float>(), 3000, -std::numeric_limits<float>::infinity());
    std::fill_n(masked.mutable_data<float>() + cols, cols, -std::numeric_limits<float>::infinity());
    CHECK(sum(exp(log_softmax(masked, 1)), 1).at(0) == Approx(1).epsilon(1e-6));
    CHECK(logsumexp(masked, 1).at(1) == -infinity);
  });
}

TEST_CASE("a sum of very many exponentials keeps its last digits", "[reduction]") {
  for_every_instruction_set([] {
    Tensor peak = full({1, 50'000}, -10.3);
    peak.mutable_data<float>()[7] = 0;
    for (const Tensor& x : {peak, Rng(16).uniform({1, 1'000'000}, 0, 5), full({1, 3'000'000}, 0.5)}) {
      const double exact = logsumexp(x.to(Dtype::f64), 1).item();
      CHECK(logsumexp(x, 1).item() == Approx(exact).epsilon(0).margin(2e-6));
      CHECK(log_softmax(x, 1).at(7) == Approx(x.at(7) - exact).epsilon(0).margin(2e-6));
      CHECK(softmax(x, 1).at(7) == Approx(std::exp(x.at(7) - exact)).epsilon(2e-6));
    }
  });
}

TEMPLATE_TEST_CASE("log_softmax past the caches and in place is that of each row alone",
                   "[reduction][threads]", float, double) {
  const std::int64_t rows = 601, cols = 10'007;  // few rows stand at a whole batch
  const Tensor x = Rng(15).normal({rows, cols}, 0, 1, sizeof(TestType) == 4 ? Dtype::f32 : Dtype::f64);
  for_every_instruction_set([&] {
    const Tensor y = log_softmax(x, 1);
    Tensor in_place = x;
    TestType* const data = in_place.mutable_data<TestType>();
    kernels::softmax(kernels::Softmax::log_probability, data, rows, cols, 1, data);
    for (const std::int64_t r : {0, 1, 2, 300, 599, 600}) {
      const Tensor alone = log_softmax(slice(x, 0, r, r + 1), 1);
      const TestType* const row = alone.data<TestType>();
      CHECK(std::equal(row, row + cols, y.data<TestType>() + r * cols));
      CHECK(std::equal(row, row + cols, data + r * cols));
    }
  });
}
