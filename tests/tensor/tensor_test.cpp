#include "tensor/tensor.hpp"

#include <barrier>
#include <limits>
#include <set>
#include <thread>
#include <type_traits>

#include "tensor/indices.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "tensor/rows.hpp"
#include "tensor/support/parallel.hpp"
#include "tests/support/catch.hpp"

using namespace gradus;
using Catch::Contains;

// `x[0] = y` would assign to what x[0] gives alone.
static_assert(std::is_assignable_v<Tensor&, Tensor> && !std::is_assignable_v<Tensor, Tensor>);

TEST_CASE("a tensor is a value: writing to a copy leaves the other as it was", "[tensor]") {
  Tensor a = Tensor::of({1, 2, 3});
  Tensor b = a;
  CHECK(a.data<float>() == b.data<float>());
  b.mutable_data<float>()[0] = 9;
  CHECK(a.at(0) == 1);
  CHECK(b.at(0) == 9);
  CHECK(a.unique());
  // The only owner writes in place.
  const float* before = b.data<float>();
  b.mutable_data<float>()[1] = 8;
  CHECK(b.data<float>() == before);
}

TEST_CASE("a tensor larger than the caches is copied whole, and so is one that begins anywhere in it",
          "[tensor][threads]") {
  constexpr std::int64_t size = (std::int64_t{33} << 20) / 4 + 7;
  Tensor x = Tensor::uninitialized({size}, Dtype::f32);
  float* const numbers = x.mutable_data<float>();
  for (std::int64_t i = 0; i < size; ++i) numbers[i] = static_cast<float>(i % 8191);
  for (const std::int64_t first : {0, 3}) {
    const Tensor from = x.rows(first, size);
    Tensor copy = from;
    copy.mutable_data<float>()[5] = -1;
    REQUIRE(copy.data<float>() != from.data<float>());
    std::int64_t wrong = 0;
    for (std::int64_t i = 0; i < from.size(); ++i) {
      const float expected = i == 5 ? -1.0F : static_cast<float>((i + first) % 8191);
      wrong += copy.data<float>()[i] == expected ? 0 : 1;
    }
    CHECK(wrong == 0);
    CHECK(from.data<float>()[5] == static_cast<float>(5 + first));
  }
}

TEST_CASE("slices, rows and reshapes share storage until written to", "[tensor]") {
  Tensor x = Tensor::from(std::vector<double>{0, 1, 2, 3, 4, 5}, {3, 2});
  const Tensor row = x[1], rows = x.rows(1, 3), flat = x.reshape({-1});
  CHECK(row.shape() == Shape{2});
  CHECK(row.data<double>() == x.data<double>() + 2);
  CHECK(rows.shape() == Shape{2, 2});
  CHECK(flat.shape() == Shape{6});
  CHECK(flat.data<double>() == x.data<double>());
  x.mutable_data<double>()[2] = 50;
  CHECK(row.at(0) == 2);
  CHECK(rows.at(0) == 2);
  CHECK(flat.at(2) == 2);
  CHECK(x.at(2) == 50);
  // A slice of a slice, and one that outlives what it was cut from.
  Tensor kept;
  {
    const Tensor gone = full({4, 3, 2}, 7, Dtype::f64);
    kept = gone[2][1];
  }
  CHECK(kept.text() == "[7, 7]");
}

TEST_CASE("scalars and empty tensors have shapes of their own", "[tensor]") {
  const Tensor scalar = Tensor::scalar(2.5, Dtype::f64);
  CHECK(scalar.rank() == 0);
  CHECK(scalar.size() == 1);
  CHECK(scalar.item() == 2.5);
  CHECK(scalar.text() == "2.5");
  const Tensor empty = zeros({2, 0, 3});
  CHECK(empty.size() == 0);
  CHECK(empty.rank() == 3);
  CHECK(empty[1].shape() == Shape{0, 3});
  CHECK(empty.reshape({0, 6}).shape() == Shape{0, 6});
  CHECK(identical(empty, zeros({2, 0, 3})));
  CHECK_FALSE(identical(empty, zeros({2, 0, 4})));
}

TEST_CASE("conversion between dtypes rounds as the machine does", "[tensor]") {
  const Tensor x = Tensor::of({0.1, 1e300, -1e-300}, Dtype::f64);
  const Tensor y = x.to(Dtype::f32);
  CHECK(y.data<float>()[0] == 0.1f);
  CHECK(std::isinf(y.data<float>()[1]));
  CHECK(y.data<float>()[2] == 0);
  CHECK(y.to(Dtype::f32).data<float>() == y.data<float>());
  CHECK(Tensor::of({0.1}).to(Dtype::f64).at(0) == static_cast<double>(0.1f));
}

TEST_CASE("misuse of a tensor says what was found", "[tensor]") {
  const Tensor x = zeros({2, 3});
  CHECK_THROWS_WITH(x.item(), Contains("(2, 3)") && Contains("6 elements"));
  CHECK_THROWS_WITH(x.data<double>(), Contains("f32") && Contains("f64"));
  CHECK_THROWS_WITH(x[2], Contains("x[2]") && Contains("(2, 3)"));
  CHECK_THROWS_AS(x[0][0][0], ShapeError);
  CHECK_THROWS_WITH(x.dim(2), Contains("axis 2"));
  CHECK(x.dim(-1) == 3);
  CHECK_THROWS_AS(x.at(6), ShapeError);
  CHECK_THROWS_AS(x.rows(1, 3), ShapeError);
  CHECK_THROWS_AS(x.reshape({4, 2}), ShapeError);
  CHECK_THROWS_AS(x.reshape({-1, 4}), ShapeError);
  CHECK_THROWS_AS(x.reshape({-1, 0}), ShapeError);
  CHECK_THROWS_AS(Tensor::from(std::vector<float>{1, 2}, {3}), ShapeError);
  CHECK_THROWS_WITH(Tensor().size(), Contains("undefined"));
  Tensor moved = x, to = std::move(moved);
  CHECK_THROWS_AS(moved.shape(), ShapeError);  // NOLINT(bugprone-use-after-move): the point of the line
  CHECK_FALSE(Tensor().defined());
}

TEST_CASE("shapes have limits, and keep to them", "[tensor]") {
  CHECK(Shape{2, 0, 3}.size() == 0);
  CHECK(Shape{}.size() == 1);
  CHECK(Shape{5}.text() == "(5,)");
  CHECK(Shape{2, 3}.with(-1, 7) == Shape{2, 7});
  CHECK(Shape{2, 3}.inserted(1, 4) == Shape{2, 4, 3});
  CHECK(Shape{2, 3}.erased(0) == Shape{3});
  CHECK_THROWS_AS(Shape({1, 1, 1, 1, 1, 1, 1, 1, 1}), ShapeError);
  CHECK_THROWS_AS(Shape({-1}), ShapeError);
  CHECK_THROWS_AS(Shape({std::int64_t{1} << 31}), ShapeError);
  CHECK_THROWS_AS(Shape({1 << 30, 1 << 30}), ShapeError);
  CHECK_THROWS_AS(Shape({0, 1 << 30, 1 << 30}), ShapeError);
  CHECK(broadcast_shapes("f", {2, 1, 3}, {4, 1}) == Shape{2, 4, 3});
  CHECK(broadcast_shapes("f", {0}, {1}) == Shape{0});
  CHECK_THROWS_WITH(broadcast_shapes("f", {2, 3}, {2}),
                    Contains("f:") && Contains("(2, 3)") && Contains("(2,)"));
}

TEST_CASE("tensors made on one thread are freed on another", "[tensor][threads]") {
  const std::int64_t before = storage::statistics().heap_bytes_held;
  for (int round = 0; round < 50; ++round) {
    std::vector<Tensor> made;
    std::thread([&] {
      for (int i = 0; i < 200; ++i) made.push_back(full({64, 64}, i));
    }).join();
    double total = 0;
    for (const Tensor& x : made) total += x.at(5);
    CHECK(total == 19'900);  // 0 + 1 + ... + 199
    std::thread([rest = std::move(made)]() mutable { rest.clear(); }).join();
  }
  // What a producing and a consuming thread pass on is used again: about one round's worth is held, not
  // fifty.
  CHECK(storage::statistics().heap_bytes_held - before < 4 * 200 * 64 * 64 * 4);
}

TEST_CASE("two threads may drop the last references to a tensor at once", "[tensor][threads]") {
  constexpr int rounds = 3000;
  const std::int64_t before = storage::statistics().heap_bytes_held;
  std::barrier meet(2);
  Tensor handed;
  std::thread other([&] {
    for (int i = 0; i < rounds; ++i) {
      meet.arrive_and_wait();
      Tensor mine = handed;
      meet.arrive_and_wait();
      mine = Tensor();
    }
  });
  for (int i = 0; i < rounds; ++i) {
    Tensor mine = full({256}, i);
    handed = mine;
    meet.arrive_and_wait();
    meet.arrive_and_wait();
    handed = Tensor();
    mine = Tensor();
  }
  other.join();
  // All of the memory is free again, once: so many tensors find room in it, each its own.
  std::vector<Tensor> made;
  std::set<const float*> places;
  for (int i = 0; i < rounds; ++i) {
    made.push_back(Tensor::uninitialized({256}, Dtype::f32));
    places.insert(made.back().data<float>());
  }
  CHECK(places.size() == rounds);
  CHECK(storage::statistics().heap_bytes_held - before <= std::int64_t{rounds} * 1280);
}

TEST_CASE("free memory that threads share has a bound, beyond which it goes back", "[tensor]") {
  const auto held = [] { return storage::statistics().heap_bytes_held; };
  { const Tensor first = Tensor::uninitialized({1000}, Dtype::f32); }
  const std::int64_t start = held();
  { const Tensor second = Tensor::uninitialized({1000}, Dtype::f32); }
  {
    const std::int64_t allocations = storage::statistics().heap_allocations;
    const Tensor third = Tensor::uninitialized({1000}, Dtype::f32);
    if (storage::statistics().heap_allocations != allocations) return;  // no pool, under a sanitizer
  }
  // Larger than what a thread keeps for itself, and two of them more than the 2 GiB that all keep together.
  // Nobody writes to them, so they take addresses and hardly any memory.
  constexpr std::int64_t block = std::int64_t{5} << 28;
  const auto large = [] { return Tensor::uninitialized({(block - 64) / 4}, Dtype::f32); };
  Tensor one = large(), two = large();
  CHECK(held() - start == 2 * block);
  one = Tensor();
  CHECK(held() - start == 2 * block);  // kept
  two = Tensor();
  CHECK(held() - start == block);  // given back
  for (int round = 0; round < 3; ++round) large();
  CHECK(held() - start == block);  // the same one again and again
}

TEST_CASE("a number of threads below 0 is refused", "[tensor][threads]") {
  const int before = threads();
  CHECK_THROWS_WITH(set_threads(-1), Contains("set_threads(-1)") && Contains("0 for one a core"));
  CHECK_THROWS_AS(set_threads(-1), ArgumentError);
  CHECK(threads() == before);
}

TEST_CASE("Indices are 32-bit ids that share storage", "[tensor]") {
  const Indices ids({5, 6, 7, 8, 9, 10}, {3, 2});
  CHECK(ids.size() == 6);
  CHECK(ids[1].values()[1] == 8);
  CHECK(ids[1].data() == ids.data() + 2);
  CHECK(ids.reshape({2, 3})[1].values()[0] == 8);
  CHECK(Indices().size() == 0);
  CHECK_THROWS_AS(Indices({1, 2, 3}, {2, 2}), ShapeError);
  CHECK_THROWS_AS(ids[3], ShapeError);
  CHECK_THROWS_AS(ids.reshape({5}), ShapeError);
}

TEST_CASE("row-sparse matrices merge equal rows in their order", "[tensor]") {
  const Rows rows{Indices({2, 0, 2}), Tensor::from(std::vector<float>{1, 2, 3, 4, 5, 6}, {3, 2}), 4};
  const Rows merged = rows.merged();
  CHECK(std::vector<std::int32_t>(merged.ids.values().begin(), merged.ids.values().end()) ==
        std::vector<std::int32_t>{0, 2});
  CHECK(merged.values.text() == "[[3, 4], [6, 8]]");
  CHECK(rows.dense().text() == "[[3, 4], [0, 0], [6, 8], [0, 0]]");
  CHECK(identical(rows.dense(), merged.dense()));
}

TEST_CASE("a negative index counts from the end", "[tensor]") {
  const Tensor x = Tensor::from(std::vector<double>{1, 2, 3, 4, 5, 6}, {3, 2});
  CHECK(x.at(-1) == 6);
  CHECK(x.at(-6) == 1);
  CHECK_THROWS_WITH(x.at(-7), Contains("position -7") && Contains("6 elements"));
  CHECK_THROWS_AS(zeros(0).at(-1), ShapeError);
  CHECK(x[-1].text() == "[5, 6]");
  CHECK(x.rows(-2, -1).text() == "[[3, 4]]");
  CHECK(x.rows(1, 3).text() == x.rows(-2, 3).text());
  CHECK_THROWS_AS(x.rows(-1, 1), ShapeError);
  CHECK_THROWS_AS(x.rows(-4, 1), ShapeError);
  CHECK(x[-3][-2].item() == 1);
  CHECK_THROWS_WITH(x[-4], Contains("x[-4]") && Contains("3 entries"));
  const Indices ids({5, 6, 7, 8}, {2, 2});
  CHECK(ids[-1].values()[0] == 7);
  CHECK(ids[-2].data() == ids.data());
  CHECK_THROWS_WITH(ids[-3], Contains("ids[-3]"));
}

TEST_CASE("a plain number is a shape of one axis", "[tensor]") {
  const std::int64_t n = 3;
  CHECK(zeros(n).shape() == Shape{3});
  CHECK(ones(std::size_t{2}).text() == "[1, 1]");
  CHECK(full(2, 7, Dtype::f64).text() == "[7, 7]");
  CHECK(zeros({}).shape() == Shape{});
  CHECK(zeros({3}).shape() == Shape{3});
  CHECK(Tensor::uninitialized(4).shape() == 4);
  CHECK(Tensor::from(std::vector<float>{1, 2}, 2).text() == "[1, 2]");
  CHECK(Rng(1).normal(5).shape() == Shape{5});
  CHECK(broadcast_to(Tensor::scalar(2), n).text() == "[2, 2, 2]");
  CHECK(zeros({2, 3}).reshape(6).shape() == Shape{6});
  CHECK(zeros({2, 3}).reshape(-1).shape() == Shape{6});
  CHECK(reshape(zeros({2, 3}), -1).shape() == Shape{6});
  CHECK_THROWS_AS(zeros(-1), ShapeError);
}
