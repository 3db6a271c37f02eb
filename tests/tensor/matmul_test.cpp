#include <array>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/matmul.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "tensor/kernels/gemm.hpp"
#include "tensor/kernels/instruction_set.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "tensor/support/parallel.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/guarded.hpp"
#include "tests/support/instruction_sets.hpp"
#include "tests/support/threads.hpp"

using namespace gradus;
using Catch::Contains;
using gradus::test::difference;

namespace {

/// The three loops, in double.
Tensor naive(const Tensor& a, const Tensor& b, bool ta, bool tb) {
  const std::int64_t m = a.dim(ta ? 1 : 0), k = a.dim(ta ? 0 : 1), n = b.dim(tb ? 0 : 1);
  std::vector<double> out(static_cast<std::size_t>(m * n));
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t p = 0; p < k; ++p) {
      const double left = a.at(ta ? p * m + i : i * k + p);
      for (std::int64_t j = 0; j < n; ++j)
        out[static_cast<std::size_t>(i * n + j)] += left * b.at(tb ? j * k + p : p * n + j);
    }
  }
  return Tensor::from(out, {m, n});
}

}  // namespace

TEST_CASE("products of all sizes, transposed or not, equal three loops on every instruction set",
          "[matmul]") {
  Rng rng(7);
  const std::vector<std::array<std::int64_t, 3>> sizes{
      {1, 1, 1},
      {1, 17, 5},
      {2, 3, 4},
      {5, 6, 7},
      {6, 16, 32},
      {7, 33, 65},
      {13, 100, 1},
      {64, 64, 64},
      {20, 50, 81},
      {3, 300, 2},
      {100, 20, 130},
      {1, 513, 300},
      {2, 150, 300},
      {3, 77, 333},
      {8, 90, 300},
      {65, 7, 257},
      {31, 401, 15},
      // large enough to be packed: tiles of several heights, several blocks of rows, columns and depth
      {17, 900, 40},
      {22, 800, 33},
      {24, 700, 70},
      {27, 500, 48},
      {90, 401, 33},
      {300, 20, 100},
      {150, 401, 70},
      {60, 401, 300},
      {60, 512, 128},
      {15, 20, 2100},
      {130, 1100, 40},
      {33, 2060, 36},
      {40, 30, 1100}};
  for (const char* name : kernels::available_instruction_sets()) {
    kernels::use_instruction_set(name);
    for (const auto& [m, k, n] : sizes) {
      for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
        for (const bool ta : {false, true}) {
          for (const bool tb : {false, true}) {
            INFO(name << " " << m << "x" << k << "x" << n << " " << name_of(dtype) << " " << ta << tb);
            const Tensor a = rng.uniform(ta ? Shape{k, m} : Shape{m, k}, -1, 1, dtype);
            const Tensor b = rng.uniform(tb ? Shape{n, k} : Shape{k, n}, -1, 1, dtype);
            const Tensor expected = naive(a, b, ta, tb);
            // Each of k products and sums of numbers up to 1 may be off by half a unit in the last place.
            const double tolerance = static_cast<double>(k) * (dtype == Dtype::f32 ? 0x1p-23 : 0x1p-52);
            const MatmulOptions options{.transpose_a = ta, .transpose_b = tb};
            const Tensor c = matmul(a, b, options);
            CHECK(difference(c.to(Dtype::f64), expected) <= tolerance);
            Tensor sum = c;
            add_matmul(sum, a, b, options);
            CHECK(difference(sum.to(Dtype::f64), expected * 2) <= tolerance);
          }
        }
      }
    }
  }
}

TEST_CASE("products read nothing behind their sides", "[matmul]") {
  const std::int64_t m = 60, k = 401;
  const auto check = [&]<class T>(T, std::int64_t n, bool ta, bool tb) {
    test::Guarded<T> a(m * k), b(k * n), bias(n), c(m * n);
    for (std::int64_t i = 0; i < m * k; ++i) a.data()[i] = static_cast<T>(i % 7 - 3);
    for (std::int64_t i = 0; i < k * n; ++i) b.data()[i] = static_cast<T>(i % 5 - 2);
    for (std::int64_t i = 0; i < n; ++i) bias.data()[i] = static_cast<T>(i);
    kernels::gemm(kernels::Gemm<T>{.m = m,
                                   .n = n,
                                   .k = k,
                                   .a = a.data(),
                                   .lda = ta ? m : k,
                                   .a_transposed = ta,
                                   .b = b.data(),
                                   .ldb = tb ? k : n,
                                   .b_transposed = tb,
                                   .c = c.data(),
                                   .ldc = n,
                                   .bias = bias.data()});
    double last = static_cast<double>(n - 1);
    for (std::int64_t p = 0; p < k; ++p) {
      last += static_cast<double>(a.data()[ta ? p * m + m - 1 : (m - 1) * k + p]) *
              static_cast<double>(b.data()[tb ? (n - 1) * k + p : p * n + n - 1]);
    }
    CHECK(static_cast<double>(c.data()[m * n - 1]) == last);  // whole numbers, so exactly
  };
  set_threads(1);
  test::for_every_instruction_set([&] {
    for (std::int64_t n = 1; n <= 100; n += n < 70 ? 1 : 7) {
      for (const int transposes : {0, 1, 2, 3}) {
        check(float{}, n, (transposes & 1) != 0, (transposes & 2) != 0);
        check(double{}, n, (transposes & 1) != 0, (transposes & 2) != 0);
      }
    }
  });
  set_threads(0);
}

TEST_CASE("a product has the same bits for any number of threads", "[matmul][threads]") {
  Rng rng(8);
  for (const auto& [m, k, n] : std::vector<std::array<std::int64_t, 3>>{
           {200, 300, 250}, {3, 500, 4000}, {900, 64, 7}, {400, 900, 200}}) {
    const Tensor a = rng.normal({m, k}), b = rng.normal({k, n}), w = rng.normal({n, k}),
                 bias = rng.normal({n});
    set_threads(1);
    const Tensor product = matmul(a, b), affine = linear(a, w, bias);
    for (const int count : {2, 3, 8}) {
      set_threads(count);
      INFO(count << " threads");
      CHECK(identical(matmul(a, b), product));
      CHECK(identical(linear(a, w, bias), affine));
    }
  }
  set_threads(0);
}

TEST_CASE("a row of a product does not depend on how many rows there are", "[matmul]") {
  // So that a batch of one gives what a batch of many gave: scoring a text step by step or in chunks.
  Rng rng(9);
  const Tensor a = rng.normal({37, 200}), b = rng.normal({200, 300});
  const Tensor whole = matmul(a, b);
  for (const std::int64_t i : {0, 5, 36}) {
    INFO("row " << i);
    CHECK(difference(matmul(a.rows(i, i + 1), b)[0], whole[i]) < 1e-5);
  }
}

TEMPLATE_TEST_CASE("alpha, beta and a bias come with a product of several blocks of depth", "[matmul]", float,
                   double) {
  using T = TestType;
  constexpr Dtype dtype = std::is_same_v<T, float> ? Dtype::f32 : Dtype::f64;
  constexpr std::int64_t m = 37, k = 1100, n = 75;  // of tiles: whole ones, and parts at both sides
  Rng rng(11);
  const Tensor a = rng.uniform({m, k}, -1, 1, dtype), b = rng.uniform({k, n}, -1, 1, dtype);
  const Tensor before = rng.uniform({m, n}, -1, 1, dtype), bias = rng.uniform({n}, -1, 1, dtype);
  const Tensor product = naive(a, b, false, false);
  const double tolerance = static_cast<double>(k) * (dtype == Dtype::f32 ? 0x1p-23 : 0x1p-52);
  gradus::test::for_every_instruction_set([&] {
    for (const double alpha : {1.0, -0.5}) {
      for (const double beta : {0.0, 1.0, 0.25}) {
        for (const bool with_bias : {false, true}) {
          INFO("alpha " << alpha << " beta " << beta << " bias " << with_bias);
          Tensor c = before;
          kernels::gemm(kernels::Gemm<T>{.m = m,
                                         .n = n,
                                         .k = k,
                                         .a = a.data<T>(),
                                         .lda = k,
                                         .b = b.data<T>(),
                                         .ldb = n,
                                         .c = c.mutable_data<T>(),
                                         .ldc = n,
                                         .alpha = static_cast<T>(alpha),
                                         .beta = static_cast<T>(beta),
                                         .bias = with_bias ? bias.data<T>() : nullptr});
          double worst = 0;
          for (std::int64_t i = 0; i < m * n; ++i) {
            const double expected =
                alpha * product.at(i) + beta * before.at(i) + (with_bias ? bias.at(i % n) : 0);
            worst = std::max(worst, std::abs(c.at(i) - expected));
          }
          CHECK(worst <= tolerance);
        }
      }
    }
  });
}

TEST_CASE("NaN and infinity go through a product, zeros do not hide them", "[matmul]") {
  for (const char* name : kernels::available_instruction_sets()) {
    kernels::use_instruction_set(name);
    Tensor a = zeros({9, 40});
    a.mutable_data<float>()[3 * 40 + 7] = std::numeric_limits<float>::quiet_NaN();
    Tensor b = zeros({40, 21});
    b.mutable_data<float>()[0] = std::numeric_limits<float>::infinity();
    const Tensor c = matmul(a, b);
    for (std::int64_t j = 0; j < 21; ++j) CHECK(std::isnan(c.at(3 * 21 + j)));
    CHECK(std::isnan(c.at(0)));  // 0 * infinity
    CHECK(c.at(1) == 0);
  }
}

TEST_CASE("a packed product equals an unpacked one", "[matmul]") {
  Rng rng(10);
  for (const char* name : kernels::available_instruction_sets()) {
    kernels::use_instruction_set(name);
    for (const auto& [m, k, n] :
         std::vector<std::array<std::int64_t, 3>>{{1, 7, 5}, {20, 200, 800}, {33, 65, 17}}) {
      for (const bool transposed : {false, true}) {
        INFO(name << " " << m << "x" << k << "x" << n << (transposed ? " transposed" : ""));
        const Tensor a = rng.normal({m, k}, 0, 1, Dtype::f64);
        const Tensor b = rng.normal(transposed ? Shape{n, k} : Shape{k, n}, 0, 1, Dtype::f64);
        const kernels::PackedMatrix<double> packed(b.data<double>(), transposed ? k : n, transposed, k, n);
        Tensor c = ones({m, n}, Dtype::f64);
        kernels::gemm_packed(m, a.data<double>(), k, packed, c.mutable_data<double>(), n, 1.0);
        CHECK(difference(c - 1, naive(a, b, false, transposed)) < 1e-13);
      }
    }
  }
  // Of no depth: beta C.
  const kernels::PackedMatrix<double> shallow(nullptr, 2, false, 0, 2);
  Tensor scaled = Tensor::of({1, 2, 3, 4}, Dtype::f64).reshape({2, 2});
  kernels::gemm_packed<double>(2, nullptr, 0, shallow, scaled.mutable_data<double>(), 2, 3.0);
  CHECK(scaled.text() == "[[3, 6], [9, 12]]");
  // A packed matrix is multiplied by the kernels that it was packed for.
  kernels::use_instruction_set(kernels::available_instruction_sets().front());
  const Tensor a = rng.normal({30, 40}, 0, 1, Dtype::f64), b = rng.normal({40, 50}, 0, 1, Dtype::f64);
  const kernels::PackedMatrix<double> packed(b.data<double>(), 50, false, 40, 50);
  kernels::use_instruction_set(kernels::available_instruction_sets().back());
  Tensor c = zeros({30, 50}, Dtype::f64);
  kernels::gemm_packed(30, a.data<double>(), 40, packed, c.mutable_data<double>(), 50, 0.0);
  CHECK(difference(c, naive(a, b, false, false)) < 1e-13);
  CHECK_THROWS_AS(kernels::use_instruction_set("abacus"), ArgumentError);
}

TEST_CASE("matmul follows NumPy for vectors, batches and empty axes", "[matmul]") {
  CHECK(matmul(zeros({3}), zeros({3})).shape() == Shape{});
  CHECK(matmul(zeros({3}), zeros({3, 4})).shape() == Shape{4});
  CHECK(matmul(zeros({2, 3}), zeros({3})).shape() == Shape{2});
  CHECK(matmul(zeros({5, 1, 2, 3}), zeros({4, 3, 6})).shape() == Shape{5, 4, 2, 6});
  CHECK(matmul(ones({2, 0}), ones({0, 3})).text() == "[[0, 0, 0], [0, 0, 0]]");
  CHECK(matmul(ones({0, 2}), ones({2, 3})).shape() == Shape{0, 3});
  CHECK_THROWS_WITH(matmul(zeros({2, 3}), zeros({2, 3})), Contains("matmul") && Contains("(2, 3)"));
  CHECK_THROWS_AS(matmul(zeros({}), zeros({3})), ShapeError);
  CHECK_THROWS_AS(matmul(zeros({2, 2, 3}), zeros({3, 3, 4})), ShapeError);
  CHECK_THROWS_AS(matmul(zeros({2, 3}), zeros({3, 2}, Dtype::f64)), DtypeError);
  CHECK_THROWS_WITH(linear(zeros({2, 3}), zeros({4, 2}), Tensor()), Contains("linear"));
}

TEST_CASE("a batch by one matrix is one product, with the bits of it flattened", "[matmul]") {
  Rng rng(11);
  const Tensor a = rng.normal({5, 4, 30}), b = rng.normal({30, 20}), flat = a.reshape({20, 30});
  const Tensor one = matmul(flat, b).reshape({5, 4, 20});
  CHECK(identical(matmul(a, b), one));
  CHECK(identical(matmul(a, b.reshape({1, 30, 20})), one));
  CHECK(identical(matmul(a.reshape({5, 1, 4, 30}), b.reshape({1, 1, 30, 20})), one.reshape({5, 1, 4, 20})));
  CHECK(identical(matmul(a, transpose(b), {.transpose_b = true}), one));
  // So is its gradient: the sum over the batch is inside of the product.
  Tape tape;
  const Variable x = tape.watch(a), w = tape.watch(b);
  const Tensor g = rng.normal({5, 4, 20});
  const Gradients gradients = tape.backward(sum(matmul(x, w) * Variable(g)));
  CHECK(identical(gradients[w], matmul(flat, g.reshape({20, 20}), {.transpose_a = true})));
}

TEST_CASE("batches that broadcast equal products one by one", "[matmul]") {
  Rng rng(12);
  const Tensor a = rng.normal({3, 1, 4, 5}, 0, 1, Dtype::f64), b = rng.normal({2, 5, 6}, 0, 1, Dtype::f64);
  const Tensor c = matmul(a, b);
  REQUIRE(c.shape() == Shape{3, 2, 4, 6});
  for (std::int64_t i = 0; i < 3; ++i) {
    for (std::int64_t j = 0; j < 2; ++j)
      CHECK(difference(c[i][j], naive(a[i][0], b[j], false, false)) < 1e-13);
  }
  const Tensor t = matmul(transpose(a), b, {.transpose_a = true});
  CHECK(difference(t, c) < 1e-13);
  CHECK(matmul(zeros({0, 4, 5}), zeros({5, 6})).shape() == Shape{0, 4, 6});
  CHECK(matmul(zeros({0, 1, 4, 5}), zeros({2, 5, 6})).shape() == Shape{0, 2, 4, 6});
  CHECK(identical(matmul(zeros({2, 4, 0}), zeros({0, 6})), zeros({2, 4, 6})));
  CHECK(matmul(zeros({2, 4, 5}), zeros({5, 0})).shape() == Shape{2, 4, 0});
  CHECK(linear(zeros({2, 3}), zeros({0, 3}), zeros({0})).shape() == Shape{2, 0});
  CHECK(linear(zeros({2, 0}), zeros({3, 0}), ones({3})).text() == "[[1, 1, 1], [1, 1, 1]]");
}

TEST_CASE("a batch of small products has the same bits for any number of threads", "[matmul][threads]") {
  Rng rng(13);
  const Tensor a = rng.normal({60, 20, 30}), b = rng.normal({60, 30, 25});
  test::check_same_bits([&] { return matmul(a, b); });
}

TEST_CASE("errors of products of Variables name the user's place", "[matmul]") {
  const Variable a(zeros({2, 3}));
  CHECK_THROWS_WITH(matmul(a, a), Contains("at matmul_test.cpp:") && Contains("matmul: (2, 3) by (2, 3)"));
  CHECK_THROWS_WITH(matmul(a, Variable(zeros({}))), Contains("at matmul_test.cpp:"));
  CHECK_THROWS_WITH(linear(a, a, Variable()) + linear(a, Variable(zeros({4, 2})), Variable()),
                    Contains("at matmul_test.cpp:") && Contains("linear: x (2, 3), weight (4, 2)"));
}

TEST_CASE("a product is added to a sum of its shape and dtype alone", "[matmul]") {
  const Tensor a = Tensor::of({1, 2, 3, 4}).reshape({2, 2}), b = Tensor::of({1, 0, 1, 1}).reshape({2, 2});
  Tensor sum = full({2, 2}, 100);
  add_matmul(sum, a, b);
  CHECK(sum.text() == "[[103, 102], [107, 104]]");
  CHECK_THROWS_WITH(add_matmul(sum, a, ones({2})),
                    Contains("add_matmul: (2, 2) by (2,): matrices are needed"));
  CHECK_THROWS_WITH(add_matmul(sum, ones({2}), a), Contains("add_matmul: (2,) by (2, 2)"));
  CHECK_THROWS_WITH(add_matmul(sum, a, ones({2, 3})),
                    Contains("add_matmul: a product of shape (2, 3) into a sum of shape (2, 2)"));
  CHECK_THROWS_AS(add_matmul(sum, ones({5, 2, 2}), a), ShapeError);
  CHECK_THROWS_AS(add_matmul(sum, a.to(Dtype::f64), b), DtypeError);
  CHECK(sum.text() == "[[103, 102], [107, 104]]");
}
