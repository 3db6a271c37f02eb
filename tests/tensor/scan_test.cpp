#include "tensor/ops/scan.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include "tensor/kernels/kernels.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/guarded.hpp"
#include "tests/support/instruction_sets.hpp"
#include "tests/support/threads.hpp"

using namespace gradus;
using namespace gradus::test;
using Catch::Contains;

namespace {

/// The same in long double, step by step.
Tensor plain_scan(const Tensor& a, const Tensor& b, const Tensor& start) {
  const std::int64_t cols = a.dim(0) == 0 ? 0 : a.size() / a.dim(0);
  Tensor out = zeros(a.shape(), Dtype::f64);
  double* const to = out.mutable_data<double>();
  for (std::int64_t c = 0; c < cols; ++c) {
    long double h = start.defined() ? static_cast<long double>(start.at(c)) : 0;
    for (std::int64_t at = c; at < a.size(); at += cols) {
      h = static_cast<long double>(a.at(at)) * h + static_cast<long double>(b.at(at));
      to[at] = static_cast<double>(h);
    }
  }
  return out;
}
struct PlainGradients {
  Tensor a, b, start;
};
PlainGradients plain_gradients(const Tensor& a, const Tensor& b, const Tensor& start, const Tensor& g) {
  const Tensor h = plain_scan(a, b, start);
  const std::int64_t cols = a.size() / a.dim(0);
  PlainGradients out{zeros(a.shape(), Dtype::f64), zeros(a.shape(), Dtype::f64),
                     zeros(a.shape().erased(0), Dtype::f64)};
  double *const d_a = out.a.mutable_data<double>(), *const d_b = out.b.mutable_data<double>(),
                *const d_start = out.start.mutable_data<double>();
  for (std::int64_t c = 0; c < cols; ++c) {
    long double ahead = 0;
    for (std::int64_t at = a.size() - cols + c; at >= 0; at -= cols) {
      const long double s = static_cast<long double>(g.at(at)) + ahead;
      const double before = at >= cols ? h.at(at - cols) : start.defined() ? start.at(c) : 0;
      d_a[at] = static_cast<double>(s * static_cast<long double>(before));
      d_b[at] = static_cast<double>(s);
      ahead = static_cast<long double>(a.at(at)) * s;
    }
    d_start[c] = static_cast<double>(ahead);
  }
  return out;
}

/// Short and long ones; the last ones are cut in parts of the time.
const std::vector<Shape> shapes{{1},      {7},        {1, 1},   {1, 5},     {3, 2, 3},   {17, 33},
                                {5, 300}, {40, 2, 9}, {200, 1}, {1700, 77}, {140'000, 1}};

constexpr bool wanted[]{true, true, true};

}  // namespace

TEST_CASE("a linear scan and its gradients are those of a loop in higher precision", "[scan]") {
  for_every_instruction_set([] {
    for (const Shape& shape : shapes) {
      for (const Dtype dtype : {Dtype::f64, Dtype::f32}) {
        for (const bool started : {false, true}) {
          if (!started && shape.size() > 100'000) continue;  // they take long
          INFO(shape << " in " << name_of(dtype) << ", with a start: " << started);
          Rng rng(3);
          const Tensor a = rng.uniform(shape, -0.2, 1, dtype), b = rng.normal(shape, 0, 1, dtype),
                       g = rng.normal(shape, 0, 1, dtype),
                       start = started ? rng.normal(shape.erased(0), 0, 1, dtype) : Tensor();
          const double allowed = dtype == Dtype::f64 ? 1e-14 : 2e-6;
          const Tensor h = linear_scan(a, b, start);
          CHECK(h.dtype() == dtype);
          CHECK(difference(h, plain_scan(a, b, start)) < allowed);
          std::vector<Tensor> found(3);
          detail::linear_scan_gradients(a, start, h, g, wanted, found);
          const PlainGradients expected = plain_gradients(a, b, start, g);
          CHECK(difference(found[0], expected.a) < allowed);
          CHECK(difference(found[1], expected.b) < allowed);
          CHECK(difference(found[2], expected.start) < allowed);
        }
      }
    }
  });
}

TEST_CASE("kernels of scans touch no element beyond their columns", "[scan]") {
  const auto check = []<class T>(T) {
    const auto& kernel = kernels::selected<T>();
    for (std::int64_t cols = 1; cols <= 70; ++cols) {
      const kernels::ScanBlock block{3, cols, cols};
      Guarded<T> a(3 * cols), b(3 * cols), h(3 * cols), d_a(3 * cols), d_b(3 * cols), before(cols),
          product(cols), total(cols);
      std::fill_n(a.data(), 3 * cols, T(0.5));
      std::fill_n(b.data(), 3 * cols, T(1));
      std::fill_n(before.data(), cols, T(2));
      kernel.scan_forward(block, a.data(), b.data(), before.data(), h.data());
      CHECK(h.data()[3 * cols - 1] == T(2));
      kernel.scan_summary(block, a.data(), b.data(), product.data(), total.data());
      CHECK(product.data()[cols - 1] * before.data()[cols - 1] + total.data()[cols - 1] == T(2));
      kernel.scan_backward_summary(block, a.data(), b.data(), product.data(), total.data());
      const T expected = product.data()[cols - 1] * before.data()[cols - 1] + total.data()[cols - 1];
      kernel.scan_backward(block, a.data(), b.data(), h.data(), before.data(), before.data(), d_a.data(),
                           d_b.data());
      CHECK(before.data()[cols - 1] == expected);
      kernel.scan_backward(block, a.data(), b.data(), h.data(), product.data(), before.data(), nullptr,
                           d_b.data());
      kernel.scan_backward(block, a.data(), b.data(), h.data(), product.data(), before.data(), d_a.data(),
                           nullptr);
    }
  };
  for_every_instruction_set([&] {
    check(1.0F);
    check(1.0);
  });
}

TEST_CASE("a linear scan has the same bits for any number of threads", "[scan][threads]") {
  Rng rng(5);
  for (const Shape& shape : {Shape{1700, 77}, Shape{140'000, 1}, Shape{90, 2000}}) {
    const Tensor a = rng.uniform(shape, 0, 1), b = rng.normal(shape), g = rng.normal(shape);
    check_same_bits([&] {
      std::vector<Tensor> out(3);
      const Tensor h = linear_scan(a, b);
      detail::linear_scan_gradients(a, {}, h, g, wanted, out);
      out.push_back(h);
      return out;
    });
  }
}

TEST_CASE("factors whose product leaves the dtype do no harm where the states are in range", "[scan]") {
  // 0 until the last steps, with factors that grow beyond bounds.
  const std::int64_t time = 140'000;
  const Tensor a = full({time, 1}, 2);
  Tensor b = zeros({time, 1}), g = zeros({time, 1});
  b.mutable_data<float>()[time - 3] = 1;
  g.mutable_data<float>()[2] = 1;
  const Tensor h = linear_scan(a, b);
  CHECK(all_finite(h));
  CHECK(h.at(-1) == 4);
  std::vector<Tensor> out(3);
  detail::linear_scan_gradients(a, {}, h, g, wanted, out);
  CHECK(out[1].at(0) == 4);
  CHECK(out[2].at(0) == 8);
  CHECK(all_finite(out[0]));
}

TEST_CASE("a linear scan without steps or columns is empty, and NaN goes on to what comes after it",
          "[scan]") {
  CHECK(linear_scan(zeros({0, 3}), zeros({0, 3}), ones(3)).shape() == Shape{0, 3});
  CHECK(linear_scan(zeros({4, 0}), zeros({4, 0})).shape() == Shape{4, 0});
  std::vector<Tensor> out(3);
  detail::linear_scan_gradients(zeros({0, 3}), ones(3), zeros({0, 3}), zeros({0, 3}), wanted, out);
  CHECK(out[2].text() == "[0, 0, 0]");
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Tensor h = linear_scan(Tensor::of({0.5, nan, 0.5}), Tensor::of({1, 1, 1}));
  CHECK(h.at(0) == 1);
  CHECK(std::isnan(h.at(1)));
  CHECK(std::isnan(h.at(2)));
}

TEST_CASE("a linear scan says what does not fit", "[scan]") {
  CHECK_THROWS_WITH(linear_scan(ones({2, 3}), ones({3, 2})), Contains("(2, 3)") && Contains("(3, 2)"));
  CHECK_THROWS_WITH(linear_scan(Tensor::scalar(1), Tensor::scalar(1)), Contains("(time, ...)"));
  CHECK_THROWS_WITH(linear_scan(ones({2, 3}), ones({2, 3}), ones(2)),
                    Contains("a start of shape (2,)") && Contains("it must be (3,)"));
  CHECK_THROWS_WITH(linear_scan(ones({2}), ones({2}, Dtype::f64)), Contains("terms of f64"));
  CHECK_THROWS_WITH(linear_scan(ones({2, 3}), ones({2, 3}), ones(3, Dtype::f64)), Contains("a start of f64"));
}
