#include "tensor/random.hpp"

#include <cmath>
#include <set>

#include "tensor/ops.hpp"
#include "tensor/support/parallel.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/instruction_sets.hpp"

using namespace gradus;

TEST_CASE("the numbers are those of Philox 4x32-10", "[random]") {
  // The known answers that Random123 publishes for a counter and a key of zeros, and of ones.
  CHECK(Rng(0, 0).next_u64() == 0xE169C58D6627E8D5u);
  const std::uint64_t all = ~std::uint64_t{0};
  CHECK(Rng(Rng::State{all, all, all}).next_u64() == 0x41C83B0E408F276Du);
}

TEST_CASE("the state is three integers, and copies go on alike", "[random]") {
  Rng a(5, 9);
  a.uniform({10}, 0, 1);
  Rng b(a.state());
  CHECK(b.state().counter == 10);
  CHECK(a.next_u64() == b.next_u64());
  // Element i of a tensor is the draw that i scalar draws later would give.
  Rng one(7), many(7);
  const Tensor x = many.uniform({50}, 0, 1, Dtype::f64);
  for (std::int64_t i = 0; i < 50; ++i) CHECK(one.uniform() == x.at(i));
}

TEST_CASE("forks are independent of their parent and of each other", "[random]") {
  const Rng parent(3);
  std::set<std::uint64_t> first{Rng(parent).next_u64()};
  for (std::uint64_t name = 0; name < 1000; ++name) first.insert(parent.fork(name).next_u64());
  CHECK(first.size() == 1001);
  CHECK(parent.fork(4).next_u64() == Rng(3).fork(4).next_u64());
}

TEST_CASE("draws have the moments of their distributions", "[random]") {
  Rng rng(11);
  const Tensor u = rng.uniform({1'000'000}, -1, 3, Dtype::f64);
  CHECK(mean(u).item() == Approx(1).epsilon(0).margin(0.005));
  CHECK(mean(square(u - 1)).item() == Approx(16.0 / 12).epsilon(0).margin(0.005));
  const Tensor n = rng.normal({1'000'000}, 2, 3, Dtype::f64);
  CHECK(mean(n).item() == Approx(2).epsilon(0).margin(0.015));
  CHECK(mean(square(n - 2)).item() == Approx(9).epsilon(0).margin(0.05));
  CHECK(mean(square(square((n - 2) / 3.0))).item() == Approx(3).epsilon(0).margin(0.05));  // kurtosis
  const Tensor b = rng.bernoulli({1'000'000}, 0.3, 2);
  CHECK(mean(b).item() == Approx(0.6).epsilon(0).margin(0.005));
  std::array<int, 7> counts{};
  for (int i = 0; i < 70'000; ++i) ++counts[rng.below(7)];
  for (const int count : counts) CHECK(count == Approx(10'000).epsilon(0).margin(500));
  CHECK_THROWS_AS(rng.below(0), ArgumentError);
}

TEST_CASE("random tensors have the same bits for any number of threads", "[random][threads]") {
  set_threads(1);
  const Tensor alone = Rng(13).normal({300, 400});
  for (const int count : {2, 3, 8}) {
    set_threads(count);
    CHECK(identical(Rng(13).normal({300, 400}), alone));
  }
  set_threads(0);
}

TEST_CASE("tensors hold the numbers that single draws give", "[random]") {
  // The places pass 2^32, and the last register is filled in part.
  const Rng::State state{0x123456789ABCDEFu, 0xFEDCBA987654321u, (std::uint64_t{1} << 32) - 500};
  test::for_every_instruction_set([&] {
    Rng single(state), one(state), other(state);
    const Tensor uniform = one.uniform({1003}, 0, 1, Dtype::f64);
    const Tensor kept = other.bernoulli({1003}, 0.3, 2, Dtype::f64);
    bool same = true;
    for (std::int64_t i = 0; i < uniform.size(); ++i) {
      const double drawn = single.uniform();
      same = same && uniform.at(i) == drawn && kept.at(i) == (drawn < 0.3 ? 2 : 0);
    }
    CHECK(same);
    CHECK(one.uniform() == single.uniform());
  });
}

TEST_CASE("uniform numbers stay below the upper bound and above the lower one, in both dtypes", "[random]") {
  for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
    for (const auto& [low, high] :
         {std::pair{0.0, 1.0}, {1000.0, 1001.0}, {1.0, 1.0 + 0x1p-20}, {-1e308, 1e308}}) {
      if (dtype == Dtype::f32 && high > 1e38) continue;
      const Tensor x = Rng(7).uniform({1 << 20}, low, high, dtype);
      INFO(name_of(dtype) << " " << low << " " << high);
      CHECK(max(x).item() < high);
      CHECK(min(x).item() >= low);
      CHECK(max(x).item() > min(x).item());
    }
  }
  CHECK(identical(Rng(7).uniform({3}, 2, 2), full({3}, 2)));
}

TEST_CASE("distributions refuse parameters out of range", "[random]") {
  Rng rng(1);
  CHECK_THROWS_WITH(rng.uniform({2}, 1, 0), Catch::Contains("from 1 to 0"));
  CHECK_THROWS_AS(rng.uniform({2}, NAN, 1), ArgumentError);
  CHECK_THROWS_AS(rng.uniform({2}, 0, INFINITY), ArgumentError);
  CHECK_THROWS_WITH(rng.normal({2}, 0, -1), Catch::Contains("deviation -1"));
  CHECK_THROWS_AS(rng.normal({2}, NAN, 1), ArgumentError);
  CHECK_THROWS_WITH(rng.normal({2}, 0, 1e38), Catch::Contains("deviation 1e+38") && Catch::Contains("f32"));
  CHECK_THROWS_AS(rng.normal({2}, 1e39, 0), ArgumentError);
  CHECK_THROWS_AS(rng.normal({2}, 1e308, 1e308, Dtype::f64), ArgumentError);
  CHECK(all_finite(Rng(2).normal({1000}, -1e38, 2e37)));
  CHECK(all_finite(Rng(2).normal({1000}, 0, 1e39, Dtype::f64)));
  CHECK_THROWS_WITH(rng.bernoulli({2}, 2), Catch::Contains("probability of 2"));
  CHECK_THROWS_AS(rng.bernoulli({2}, NAN), ArgumentError);
  CHECK(rng.state() == Rng(1).state());
}
