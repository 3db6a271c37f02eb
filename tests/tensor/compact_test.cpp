#include "tensor/compact.hpp"

#include <cmath>
#include <limits>
#include <sstream>

#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/instruction_sets.hpp"
#include "tests/support/threads.hpp"

using namespace gradus;
using Catch::Matchers::Contains;
using gradus::test::difference;

namespace {

/// The largest number of each row of a matrix.
std::vector<double> largest_of_rows(const Tensor& x) {
  std::vector<double> out;
  for (std::int64_t r = 0; r < x.dim(0); ++r) out.push_back(max(abs(x[r]), {0}).item());
  return out;
}

}  // namespace

TEST_CASE("a weight of 8 bits is within half a step of the exact one", "[compact]") {
  Rng rng(1);
  for (const std::int64_t cols : {1, 5, 64, 100}) {
    const Tensor w = rng.normal({7, cols}, 0, 1);
    const Tensor rounded = w.to(Dtype::i8).to(Dtype::f32);
    const std::vector<double> most = largest_of_rows(w);
    bool all_equal = true;
    for (std::int64_t i = 0; i < w.size(); ++i) {
      const double step = most[static_cast<std::size_t>(i / cols)] / 127;
      CHECK(std::abs(w.at(i) - rounded.at(i)) <= 0.5001 * step);
      all_equal &= w.at(i) == rounded.at(i);
      // A whole number of steps.
      CHECK(std::abs(rounded.at(i) / step - std::round(rounded.at(i) / step)) < 1e-4);
    }
    CHECK((!all_equal || cols == 1));
  }
  const Tensor zero = zeros({2, 3});
  CHECK(identical(zero.to(Dtype::i8).to(Dtype::f32), zero));
}

TEST_CASE("a weight of bf16 is the nearest one", "[compact]") {
  // 1 + 2^-8 lies between 1 and 1 + 2^-7, and goes to the even one, 1; 1 + 3 2^-8 to 1 + 2^-6.
  const Tensor x = Tensor::of({1 + 0x1p-8, 1 + 0x3p-8, 1 + 0x1.1p-8, -3.140625, 0, 0x1p-130}).reshape({2, 3});
  const Tensor expected = Tensor::of({1, 1 + 0x1p-6, 1 + 0x1p-7, -3.140625, 0, 0x1p-130}).reshape({2, 3});
  CHECK(identical(x.to(Dtype::bf16).to(Dtype::f32), expected));
  const double infinity = std::numeric_limits<double>::infinity();
  const Tensor special = Tensor::of({infinity, -infinity, std::nan("")}).reshape({1, 3}).to(Dtype::bf16);
  const Tensor back = special.to(Dtype::f64);
  CHECK(back.at(0) == infinity);
  CHECK(back.at(1) == -infinity);
  CHECK(std::isnan(back.at(2)));
}

TEST_CASE("products by compact weights are those by what they stand for", "[compact]") {
  test::for_every_instruction_set([] {
    Rng rng(2);
    for (const Dtype dtype : {Dtype::i8, Dtype::bf16}) {
      for (const auto& [rows, cols] : {std::pair{1, 1}, {3, 64}, {70, 65}, {300, 130}, {17, 7}}) {
        const Tensor w = rng.normal({rows, cols}, 0, 1).to(dtype), bias = rng.normal({rows}, 0, 1);
        const Tensor wide = w.to(Dtype::f64);
        for (const std::int64_t m : {1, 2, 3, 4, 7, 8, 9, 40}) {
          INFO(name_of(dtype) << " (" << rows << ", " << cols << "), " << m << " rows");
          const Tensor x = rng.normal({m, cols}, 0, 1);
          const Tensor expected = linear(x.to(Dtype::f64), wide, bias.to(Dtype::f64));
          CHECK(difference(linear(x, w, bias).to(Dtype::f64), expected) < 1e-4);
          CHECK(difference(linear(x, w, Tensor()).to(Dtype::f64), expected - bias.to(Dtype::f64)) < 1e-4);
        }
        CHECK(identical(gather_rows(w, Indices({rows - 1, 0}, {2})),
                        gather_rows(w.to(Dtype::f32), Indices({rows - 1, 0}, {2}))));
        CHECK(identical(slice(w, 0, rows / 2, rows), slice(w.to(Dtype::f32), 0, rows / 2, rows)));
        CHECK(identical(slice(w, 1, -1, cols), slice(w.to(Dtype::f32), 1, -1, cols)));
      }
    }
  });
}

TEST_CASE("a row of a few has the same product as alone", "[compact]") {
  test::for_every_instruction_set([] {
    Rng rng(3);
    const Tensor exact = rng.normal({300, 150}, 0, 1), x = rng.normal({8, 150}, 0, 1);
    for (const Dtype dtype : {Dtype::f32, Dtype::i8, Dtype::bf16}) {
      const Tensor w = exact.to(dtype);
      for (const std::int64_t m : {2, 3, 5, 8}) {
        const Tensor few = linear(x.rows(0, m), w, Tensor());
        for (std::int64_t i = 0; i < m; ++i) {
          INFO(name_of(dtype) << ", row " << i << " of " << m);
          CHECK(identical(linear(x[i], w, Tensor()), few[i]));
        }
      }
    }
  });
}

TEST_CASE("products by compact weights have the same bits for any number of threads", "[compact]") {
  Rng rng(4);
  const Tensor exact = rng.normal({1000, 300}, 0, 1), x = rng.normal({3, 300}, 0, 1),
               many = rng.normal({50, 300}, 0, 1);
  test::check_same_bits([&] {
    std::vector<Tensor> out;
    for (const Dtype dtype : {Dtype::f32, Dtype::i8, Dtype::bf16}) {
      const Tensor w = exact.to(dtype);
      out.insert(out.end(), {linear(x[0], w, Tensor()), linear(x, w, Tensor()), linear(many, w, Tensor())});
    }
    return out;
  });
}

TEST_CASE("compact weights say what they are, and what they cannot", "[compact]") {
  const Tensor w = Tensor::of({1, -0.5, 0.25, 0}).reshape({2, 2}).to(Dtype::bf16);
  CHECK(w.dtype() == Dtype::bf16);
  CHECK(w.shape() == Shape{2, 2});
  CHECK(stored_bytes(w) == 2 * 64 * 2 + 2 * 4);
  CHECK(w.text() == "[[1, -0.5], [0.25, 0]]");
  std::ostringstream printed;
  printed << w;
  CHECK_THAT(printed.str(), Contains("bf16") && Contains("0.25"));
  const Tensor copy = w;
  CHECK(identical(copy.to(Dtype::f32), w.to(Dtype::f32)));

  CHECK_THROWS_WITH(w + w, Contains("a tensor of bf16 where numbers are needed"));
  CHECK_THROWS_AS(w.at(0), DtypeError);
  CHECK_THROWS_AS(w.data<float>(), DtypeError);
  CHECK_THROWS_AS(linear(w, w, Tensor()), DtypeError);
  CHECK_THROWS_AS(linear(ones({1, 2}, Dtype::f64), w, Tensor()), DtypeError);
  CHECK_THROWS_AS(matmul(ones({1, 2}), w), DtypeError);
  CHECK_THROWS_AS(linear(ones({1, 2}), w[0].reshape({1, 2}), Tensor()), DtypeError);  // a part of it
  CHECK_THROWS_WITH(ones({3}).to(Dtype::i8), Contains("only a matrix becomes compact"));
  CHECK_THROWS_AS(zeros({0, 3}).to(Dtype::i8), ShapeError);
  CHECK_THROWS_AS(full({1, 2}, std::nan("")).to(Dtype::i8), NumericError);
}
