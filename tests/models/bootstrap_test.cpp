#include <cmath>

#include "models/bootstrap.hpp"
#include "tensor/random.hpp"
#include "tensor/support/error.hpp"
#include "tests/support/catch.hpp"

// The paired bootstrap against what is known of means.

using namespace gradus;
using namespace gradus::models;

TEST_CASE("the interval of a bootstrap is that of the normal distribution for many sentences",
          "[models][evaluation]") {
  Rng rng(1);
  const std::size_t n = 2000;
  std::vector<double> a, b, sizes(n, 1);
  double sum = 0, squares = 0;
  for (std::size_t i = 0; i < n; ++i) {
    b.push_back(rng.uniform() * 10);
    a.push_back(b.back() + 0.1 + rng.normal({1}, 0, 1).item());
    sum += a.back() - b.back();
    squares += (a.back() - b.back()) * (a.back() - b.back());
  }
  const double mean = sum / n, deviation = std::sqrt((squares / n - mean * mean) / n);
  const Difference d = paired_bootstrap(a, b, sizes, {.resamples = 4000});
  CHECK(d.mean == Approx(mean));
  CHECK(d.low == Approx(mean - 1.96 * deviation).margin(0.1 * deviation));
  CHECK(d.high == Approx(mean + 1.96 * deviation).margin(0.1 * deviation));
  // Two-sided, of a normal distribution.
  CHECK(d.p_value == Approx(std::erfc(mean / deviation / std::sqrt(2.0))).margin(0.01));
}

TEST_CASE("a bootstrap weighs sentences by their sizes, and is the same for the same seed",
          "[models][evaluation]") {
  const std::vector<double> a{1, 2, 30}, b{1, 1, 10}, sizes{1, 3, 6};
  const Difference d = paired_bootstrap(a, b, sizes, {.resamples = 200, .seed = 3});
  CHECK(d.mean == Approx(2.1));
  // One sentence is drawn again and again at the ends: 0 / 1 and 20 / 6 a word.
  CHECK(d.low >= 0);
  CHECK(d.high <= 20.0 / 6 + 1e-12);
  const Difference same = paired_bootstrap(a, b, sizes, {.resamples = 200, .seed = 3});
  CHECK(d.low == same.low);
  CHECK(d.p_value == same.p_value);
  const Difference reverse = paired_bootstrap(b, a, sizes, {.resamples = 200, .seed = 3});
  CHECK(reverse.low == -d.high);
  CHECK(paired_bootstrap(a, a, sizes).p_value == 1);
  CHECK_THROWS_AS(paired_bootstrap(a, std::vector<double>{1}, sizes), ArgumentError);
  CHECK_THROWS_AS(paired_bootstrap({}, {}, {}), ArgumentError);
  CHECK_THROWS_AS(paired_bootstrap(a, b, std::vector<double>{0, 0, 0}), ArgumentError);
  CHECK_THROWS_AS(paired_bootstrap(a, b, sizes, {.resamples = 0}), ArgumentError);
}
