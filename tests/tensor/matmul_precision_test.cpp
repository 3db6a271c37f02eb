#include <bit>
#include <cfloat>
#include <cmath>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "tensor/kernels/bf16.hpp"
#include "tensor/kernels/gemm.hpp"
#include "tensor/kernels/instruction_set.hpp"
#include "tensor/matmul_precision.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/threads.hpp"

using namespace gradus;
using Catch::Contains;

namespace {

constexpr MatmulPrecision rounding[] = {MatmulPrecision::high, MatmulPrecision::medium};

const char* name_of(MatmulPrecision precision) {
  return precision == MatmulPrecision::exact  ? "exact"
         : precision == MatmulPrecision::high ? "high"
                                              : "medium";
}

/// What multiplies bfloat16 while it lives.
struct UseBf16 {
  explicit UseBf16(const std::string& name) { kernels::use_bf16(name.c_str()); }
  ~UseBf16() { kernels::use_bf16(nullptr); }
  UseBf16(const UseBf16&) = delete;
  UseBf16& operator=(const UseBf16&) = delete;
};

/// Numbers of all sizes, with infinities, NaN and subnormal ones between them.
Tensor extreme(Rng& rng, const Shape& shape) {
  Tensor out = rng.normal(shape);
  float* const x = out.mutable_data<float>();
  for (std::int64_t i = 0; i < out.size(); ++i) {
    const std::uint64_t kind = rng.below(24);
    if (kind < 6) x[i] = std::ldexp(x[i], static_cast<int>(rng.below(260)) - 140);
    if (kind == 6) x[i] = 0;
    if (kind == 7) x[i] = FLT_MIN / 3;
    if (kind == 8) x[i] = FLT_MAX;
    if (kind == 9 && rng.below(10) == 0) x[i] = std::numeric_limits<float>::infinity();
    if (kind == 10 && rng.below(10) == 0) x[i] = std::numeric_limits<float>::quiet_NaN();
  }
  return out;
}

/// Numbers whose products are around the least of f32 that is not subnormal.
Tensor tiny(Rng& rng, const Shape& shape) {
  Tensor out = rng.normal(shape);
  float* const x = out.mutable_data<float>();
  for (std::int64_t i = 0; i < out.size(); ++i) x[i] = std::ldexp(x[i], -60 - static_cast<int>(rng.below(8)));
  return out;
}

enum class Numbers { ordinary, extreme, tiny };
Tensor random(Rng& rng, Numbers numbers, const Shape& shape) {
  return numbers == Numbers::extreme ? extreme(rng, shape)
         : numbers == Numbers::tiny  ? tiny(rng, shape)
                                     : rng.normal(shape);
}

struct Sizes {
  std::int64_t m, n, k;
};

bool is_available(const std::string& name) {
  for (const char* by : kernels::available_bf16()) {
    if (by == name) return true;
  }
  return false;
}
/// The processor's instructions that multiply bfloat16; says which it has not.
std::vector<std::string> instructions() {
  std::vector<std::string> out;
  for (const char* by : {"avx512_bf16", "amx_bf16"}) {
    if (is_available(by)) {
      out.emplace_back(by);
    } else {
      WARN("this processor has no " << by << ", so its bits are not compared with the emulation's");
    }
  }
  return out;
}
std::string emulation_of(const std::string& instruction) {
  return "emulated " + instruction;
}

/// C = 0.5 op(A) op(B) + beta C + bias by a name of those that multiply bfloat16.
std::vector<float> product(const std::string& by, MatmulPrecision precision, const Sizes& s, const Tensor& a,
                           const Tensor& b, bool ta, bool tb, float alpha, float beta, const Tensor& bias) {
  const UseBf16 use(by);
  std::vector<float> c(static_cast<std::size_t>(s.m * s.n), 0.25F);
  kernels::gemm(kernels::Gemm<float>{.m = s.m,
                                     .n = s.n,
                                     .k = s.k,
                                     .a = a.data<float>(),
                                     .lda = ta ? s.m : s.k,
                                     .a_transposed = ta,
                                     .b = b.data<float>(),
                                     .ldb = tb ? s.k : s.n,
                                     .b_transposed = tb,
                                     .c = c.data(),
                                     .ldc = s.n,
                                     .alpha = alpha,
                                     .beta = beta,
                                     .bias = bias.defined() ? bias.data<float>() : nullptr,
                                     .precision = precision});
  return c;
}

/// A B by a matrix packed for what multiplies.
std::vector<float> packed_product(const std::string& by, MatmulPrecision precision, const Tensor& a,
                                  const Tensor& b, bool transposed) {
  const UseBf16 use(by);
  const std::int64_t m = a.dim(0), k = a.dim(1), n = b.dim(transposed ? 0 : 1);
  const kernels::PackedMatrix<float> packed(b.data<float>(), transposed ? k : n, transposed, k, n, precision);
  std::vector<float> c(static_cast<std::size_t>(m * n));
  kernels::gemm_packed(m, a.data<float>(), k, packed, c.data(), n, 0.0F);
  return c;
}

/// How many differ in their bits; any NaN is as good as another.
std::size_t differing(const std::vector<float>& x, const std::vector<float>& y) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const bool same = std::isnan(x[i])
                          ? std::isnan(y[i])
                          : std::bit_cast<std::uint32_t>(x[i]) == std::bit_cast<std::uint32_t>(y[i]);
    count += same ? 0 : 1;
  }
  return count;
}

/// The root of the mean square error over that of the exact product.
double relative_error(const Tensor& found, const Tensor& a, const Tensor& b, MatmulOptions options = {}) {
  const Tensor exact = matmul(a.to(Dtype::f64), b.to(Dtype::f64), options);
  return std::sqrt(mean(square(found.to(Dtype::f64) - exact)).item() / mean(square(exact)).item());
}

/// The nearest number of 8 bits.
Tensor in_bf16(const Tensor& x) {
  return x.to(Dtype::bf16).to(Dtype::f32);
}

}  // namespace

TEST_CASE("products of bfloat16 have the bits of the emulation on every instruction", "[matmul][precision]") {
  Rng rng(1);
  const Sizes sizes[] = {{30, 300, 64},  {90, 90, 90},  {129, 33, 150}, {14, 1000, 41}, {200, 61, 47},
                         {15, 17, 2500}, {640, 33, 33}, {9, 70, 1201},  {9, 1090, 97},  {300, 16, 385}};
  for (const std::string& by : instructions()) {
    for (const MatmulPrecision precision : rounding) {
      for (const Sizes& s : sizes) {
        for (int layout = 0; layout < 4; ++layout) {
          const bool ta = layout % 2 == 1, tb = layout >= 2;
          const auto numbers = static_cast<Numbers>(rng.below(3));
          const Tensor a = random(rng, numbers, ta ? Shape{s.k, s.m} : Shape{s.m, s.k});
          const Tensor b = random(rng, numbers, tb ? Shape{s.n, s.k} : Shape{s.k, s.n});
          const float alpha = layout == 1 ? 0.5F : 1.0F, beta = layout == 2   ? 1.0F
                                                                : layout == 3 ? -0.3F
                                                                              : 0.0F;
          const Tensor bias = layout == 0 ? Tensor() : rng.normal({s.n});
          INFO(by << " " << name_of(precision) << " " << s.m << "x" << s.k << "x" << s.n << " layout "
                  << layout << ", numbers " << static_cast<int>(numbers));
          const auto expected = product(emulation_of(by), precision, s, a, b, ta, tb, alpha, beta, bias);
          CHECK(differing(product(by, precision, s, a, b, ta, tb, alpha, beta, bias), expected) == 0);
        }
      }
    }
  }
}

TEST_CASE("products by a packed matrix have the bits of the emulation at every size", "[matmul][precision]") {
  Rng rng(7);
  for (const std::string& by : instructions()) {
    for (const MatmulPrecision precision : rounding) {
      for (const std::int64_t m : {0, 1, 16, 17, 33}) {
        for (const std::int64_t n : {0, 1, 16, 17, 32, 49}) {
          for (const std::int64_t k : {0, 1, 2, 31, 32, 33, 65}) {
            const bool transposed = (m + n + k) % 2 == 1;
            INFO(by << " " << name_of(precision) << " " << m << "x" << k << "x" << n);
            const auto numbers = static_cast<Numbers>(rng.below(3));
            const Tensor a = random(rng, numbers, {m, k}),
                         b = random(rng, numbers, transposed ? Shape{n, k} : Shape{k, n});
            CHECK(differing(packed_product(by, precision, a, b, transposed),
                            packed_product(emulation_of(by), precision, a, b, transposed)) == 0);
          }
        }
      }
    }
  }
}

TEST_CASE(
    "a sum just below the least number that is not subnormal is flushed before it is rounded up to that",
    "[matmul][precision]") {
  // The least number, and what a product takes away from it, in parts of 2^-25. One part is half of what 24
  // bits resolve there. All are of bfloat16 exactly, and in the lower halves of words, which both
  // instructions sum.
  const float parts[] = {3, 2, 1.5F, 1, 0.75F}, expected[] = {0, 0, 0, FLT_MIN, FLT_MIN};
  Tensor a = zeros({5, 3}), b = zeros({3, 1});
  for (std::int64_t i = 0; i < 5; ++i) {
    a.mutable_data<float>()[3 * i] = std::ldexp(1.0F, -63);
    a.mutable_data<float>()[3 * i + 2] = std::ldexp(-parts[i], -75);
  }
  b.mutable_data<float>()[0] = std::ldexp(1.0F, -63);
  b.mutable_data<float>()[2] = std::ldexp(1.0F, -76);
  for (const std::string by : kernels::available_bf16()) {
    INFO(by);
    const std::vector<float> found = packed_product(by, MatmulPrecision::medium, a, b, false);
    CHECK(found == std::vector<float>(std::begin(expected), std::end(expected)));
  }
}

TEST_CASE("a product of medium precision is that of rounded numbers, one of high precision is close to exact",
          "[matmul][precision]") {
  Rng rng(2);
  for (const char* by : kernels::available_bf16()) {
    const UseBf16 use(by);
    for (const std::int64_t k : {31, 100, 640, 3001}) {
      INFO(by << " " << k);
      const Tensor a = rng.normal({70, k}), b = rng.normal({k, 270});
      const MatmulPrecisionScope scope(MatmulPrecision::medium);
      const Tensor medium = matmul(a, b);
      // Sums of k numbers of f32, whose roundings add up at random.
      const double sums = 1.2e-7 * std::sqrt(static_cast<double>(k));
      CHECK(relative_error(medium, in_bf16(a), in_bf16(b)) < sums);
      const double error = relative_error(medium, a, b);
      CHECK(error > 1e-3);
      CHECK(error < 3.5e-3);
      const MatmulPrecisionScope more(MatmulPrecision::high);
      const Tensor high = matmul(a, b);
      CHECK(relative_error(high, a, b) < 6e-6 + sums);
      CHECK(relative_error(high, a, b) > 1e-6);  // the products were of parts
    }
  }
}

TEST_CASE("a scope of precision is of its thread, nests and ends", "[matmul][precision]") {
  const UseBf16 use("emulated avx512_bf16");
  Rng rng(3);
  const Tensor a = rng.normal({64, 100}), b = rng.normal({100, 90});
  const Tensor exact = matmul(a, b);
  CHECK(matmul_precision() == MatmulPrecision::exact);
  {
    const MatmulPrecisionScope medium(MatmulPrecision::medium);
    CHECK(matmul_precision() == MatmulPrecision::medium);
    const Tensor rounded = matmul(a, b);
    CHECK_FALSE(identical(rounded, exact));
    {
      const MatmulPrecisionScope inner(MatmulPrecision::exact);
      CHECK(identical(matmul(a, b), exact));
    }
    CHECK(identical(matmul(a, b), rounded));
    Tensor elsewhere;
    std::thread([&] { elsewhere = matmul(a, b); }).join();
    CHECK(identical(elsewhere, exact));
    // f64 is exact under any precision, and so is what is too small to be worth rounding.
    CHECK(relative_error(matmul(a.to(Dtype::f64), b.to(Dtype::f64)), a, b) < 1e-15);
    const Tensor corner = a.rows(0, 5);
    CHECK(relative_error(matmul(corner, b), corner, b) < 1e-6);
  }
  CHECK(matmul_precision() == MatmulPrecision::exact);
  CHECK(identical(matmul(a, b), exact));
}

TEST_CASE("linear, matmul of batches, add_matmul and einsum have the precision of the scope",
          "[matmul][precision]") {
  const UseBf16 use("emulated avx512_bf16");
  const MatmulPrecisionScope scope(MatmulPrecision::medium);
  Rng rng(4);
  const auto rounded = [](double error) { return error > 1e-3 && error < 3.5e-3; };
  const Tensor x = rng.normal({70, 90}), weight = rng.normal({100, 90});
  CHECK(rounded(relative_error(linear(x, weight, Tensor()), x, weight, {.transpose_b = true})));
  CHECK(rounded(relative_error(einsum("ij,kj->ik", {x, weight}), x, weight, {.transpose_b = true})));
  // More of them than threads, each below the size that is split.
  const Tensor many = rng.normal({5, 90, 80}), others = rng.normal({5, 80, 95});
  CHECK(rounded(relative_error(matmul(many, others), many, others)));
  Tensor sum = zeros({5, 90, 95});
  add_matmul(sum, many, others);
  CHECK(rounded(relative_error(sum, many, others)));
}

TEST_CASE("products of every precision have the same bits for any number of threads",
          "[matmul][precision][threads]") {
  Rng rng(5);
  const Tensor a = rng.normal({150, 301}), b = rng.normal({301, 400}), w = rng.normal({333, 301});
  const Tensor many = rng.normal({6, 100, 90}), others = rng.normal({6, 90, 95});
  for (const char* by : kernels::available_bf16()) {
    const UseBf16 use(by);
    for (const MatmulPrecision precision : rounding) {
      INFO(by << " " << name_of(precision));
      const MatmulPrecisionScope scope(precision);
      test::check_same_bits([&] {
        return std::vector{matmul(a, b), linear(a, w, Tensor()), matmul(many, others)};
      });
    }
  }
}

TEST_CASE("a product by a matrix packed for bfloat16 equals one that is not packed", "[matmul][precision]") {
  Rng rng(6);
  for (const char* by : kernels::available_bf16()) {
    const UseBf16 use(by);
    for (const MatmulPrecision precision : rounding) {
      for (const bool transposed : {false, true}) {
        const std::int64_t m = 40, k = 131, n = 170;
        INFO(by << " " << name_of(precision) << (transposed ? " transposed" : ""));
        const Tensor a = rng.normal({m, k}), b = rng.normal(transposed ? Shape{n, k} : Shape{k, n});
        const kernels::PackedMatrix<float> packed(b.data<float>(), transposed ? k : n, transposed, k, n,
                                                  precision);
        Tensor c = zeros({m, n});
        kernels::gemm_packed(m, a.data<float>(), k, packed, c.mutable_data<float>(), n, 0.0F);
        const MatmulPrecisionScope scope(precision);
        CHECK(identical(c, matmul(a, b, {.transpose_b = transposed})));
      }
    }
  }
}

TEST_CASE("products of high precision are rounded by default only where AMX makes them faster",
          "[matmul][precision]") {
  Rng rng(8);
  const Tensor a = rng.normal({64, 100}), b = rng.normal({100, 90});
  const Tensor exact = matmul(a, b);
  const MatmulPrecisionScope scope(MatmulPrecision::high);
  const bool rounds = is_available("amx_bf16") && std::string(kernels::instruction_set()) == "avx512";
  CHECK(identical(matmul(a, b), exact) == !rounds);
}

TEST_CASE("what multiplies bfloat16 is chosen by name, and an unknown one is refused",
          "[matmul][precision]") {
  CHECK(is_available("emulated avx512_bf16"));
  CHECK(is_available("emulated amx_bf16"));
  CHECK_THROWS_WITH(kernels::use_bf16("abacus"), Contains("does not multiply bfloat16 by 'abacus'"));
}
