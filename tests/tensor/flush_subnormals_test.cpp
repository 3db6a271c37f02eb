#include "tensor/flush_subnormals.hpp"

#include <cfloat>
#include <cmath>
#include <future>
#include <stdexcept>
#include <thread>
#include <vector>

#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "tensor/support/parallel.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/threads.hpp"

using namespace gradus;

namespace {

/// Many times the smallest normal number of a dtype, as many that several threads share them.
Tensor smallest_normal(Dtype dtype) {
  const double x = dtype == Dtype::f32 ? double{FLT_MIN} : DBL_MIN;
  return full({1 << 20}, x, dtype);
}

/// Whether all elements are x, and not another number that differs in its sign.
bool all_are(const Tensor& values, double x) {
  const Tensor as_f64 = values.to(Dtype::f64);
  for (std::int64_t i = 0; i < values.size(); ++i) {
    if (as_f64.at(i) != x || std::signbit(as_f64.at(i)) != std::signbit(x)) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("subnormal numbers count as 0 while they are flushed, on all threads", "[subnormals][threads]") {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    const Tensor normal = smallest_normal(dtype);
    const Tensor subnormal = normal * 0.25;
    const double least = dtype == Dtype::f32 ? double{FLT_MIN} : DBL_MIN, quarter = least / 4;
    CHECK(all_are(subnormal, quarter));
    const int before = threads();
    for (const int count : {1, 2, 3, 8}) {
      set_threads(count);
      INFO(count << " threads");
      std::vector<Tensor> zeros, negative;
      Tensor kept;
      {
        const FlushSubnormals flush;
        zeros.push_back(normal * 0.25);      // as results,
        negative.push_back(normal * -0.25);  // which keep their sign,
        zeros.push_back(subnormal * 4.0);    // and as operands
        kept = normal * 1.0;
        {
          const FlushSubnormals again;
          zeros.push_back(normal * 0.25);
        }
        zeros.push_back(normal * 0.25);
      }
      // Looked at here, as in the scope a subnormal number that is left would compare equal to 0.
      for (const Tensor& one : zeros) CHECK(all_are(one, 0.0));
      for (const Tensor& one : negative) CHECK(all_are(one, -0.0));
      CHECK(all_are(kept, least));
      CHECK(all_are(normal * 0.25, quarter));
    }
    set_threads(before);
  }
}

TEST_CASE("subnormal numbers are back when what flushed them throws", "[subnormals]") {
  const Tensor normal = smallest_normal(Dtype::f64);
  try {
    const FlushSubnormals flush;
    throw std::runtime_error("");
  } catch (const std::runtime_error&) {
  }
  CHECK(all_are(normal * 0.5, DBL_MIN / 2));
}

TEST_CASE("another thread's subnormal numbers stay", "[subnormals][threads]") {
  std::promise<void> flushing;
  bool stay = false;
  std::thread other([&] {
    flushing.get_future().wait();
    stay = all_are(smallest_normal(Dtype::f64) * 0.5, DBL_MIN / 2);
  });
  Tensor flushed;
  {
    const FlushSubnormals flush;
    flushed = smallest_normal(Dtype::f64) * 0.5;
    flushing.set_value();
    other.join();
  }
  CHECK(stay);
  CHECK(all_are(flushed, 0.0));
}

TEST_CASE("numbers are those without subnormal ones, but for less than a normal one", "[subnormals]") {
  Rng rng(1);
  const Tensor x = rng.normal({300, 40}, 0, 60);  // whose softmax is subnormal here and there
  const auto shares = [&] {
    const Tensor y = softmax(x, -1);
    return y * (y - sum(y * y, -1).reshape({300, 1}));
  };
  const Tensor exact = shares();
  const auto flushed = [&] {
    const FlushSubnormals flush;
    return shares();
  };
  test::check_same_bits(flushed);
  const Tensor found = flushed();
  std::int64_t fewer = 0;
  for (std::int64_t i = 0; i < found.size(); ++i) {
    const double a = found.at(i), b = exact.at(i);
    CHECK(std::abs(a - b) <= 4 * FLT_MIN + 1e-6 * std::abs(b));
    CHECK((a == 0 || std::abs(a) >= FLT_MIN));
    if (a == 0 && b != 0) ++fewer;
  }
  CHECK(fewer > 0);
}
