#include "text/loader.hpp"

#include <algorithm>
#include <atomic>
#include <limits>
#include <map>
#include <set>
#include <stdexcept>
#include <string>

#include "tensor/ops.hpp"
#include "tensor/permutation.hpp"
#include "tensor/support/parallel.hpp"
#include "tests/support/catch.hpp"

using namespace gradus;
using Catch::Contains;

namespace {

/// Record i of ten is (i, 10 i), of class i.
const Tensor inputs = stack({arange(0, 10), arange(0, 100, 10)}, 1);
const Indices classes({0, 1, 2, 3, 4, 5, 6, 7, 8, 9});

/// The classes of the batches that a loop gets, as "0 1 | 2 3 |".
template <class Batches>
std::string epoch_of(Batches& batches) {
  std::string out;
  for (const auto& [x, y] : batches) {
    for (std::int64_t i = 0; i < y.size(); ++i) {
      out += std::to_string(y.data()[i]) + " ";
      CHECK(x[i].text() == inputs[y.data()[i]].text());
    }
    out += "| ";
  }
  return out;
}

}  // namespace

TEST_CASE("a permutation has every number once, and each order is equally likely", "[random]") {
  Rng rng(3);
  const Indices order = permutation(1000, rng);
  std::vector<std::int32_t> sorted(order.values().begin(), order.values().end());
  CHECK_FALSE(std::ranges::is_sorted(sorted));
  std::ranges::sort(sorted);
  for (std::int32_t i = 0; i < 1000; ++i) CHECK(sorted[static_cast<std::size_t>(i)] == i);
  std::map<std::vector<std::int32_t>, int> seen;
  for (int i = 0; i < 6000; ++i) {
    const Indices three = permutation(3, rng);
    ++seen[{three.values().begin(), three.values().end()}];
  }
  CHECK(seen.size() == 6);
  for (const auto& [which, count] : seen) CHECK(std::abs(count - 1000) < 150);  // five deviations
  Rng again(3);
  CHECK(std::ranges::equal(permutation(1000, again).values(), order.values()));
  CHECK(permutation(0, rng).size() == 0);
  CHECK_THROWS_WITH(permutation(-1, rng), Contains("permutation of -1 numbers"));
}

TEST_CASE("a loader gives batches in order, the last one shorter or left out", "[loader]") {
  Loader plain(inputs, classes, {.batch = 4});
  CHECK(plain.size() == 3);
  CHECK(epoch_of(plain) == "0 1 2 3 | 4 5 6 7 | 8 9 | ");
  Loader dropped(inputs, classes, {.batch = 4, .drop_last = true, .ahead = 0});
  CHECK(dropped.size() == 2);
  CHECK(epoch_of(dropped) == "0 1 2 3 | 4 5 6 7 | ");
  // One and three tensors, and in the loop's head.
  std::int64_t records = 0;
  for (const Tensor& x : Loader(inputs, {.batch = 3})) records += x.dim(0);
  for (auto [x, y, z] : Loader(inputs, classes, inputs)) records += x.dim(0) + y.dim(0) + z.dim(1);
  CHECK(records == 10 + 10 + 10 + 2);
  int none = 0;
  for ([[maybe_unused]] const Tensor& x : Loader(zeros({0, 3}))) ++none;
  CHECK(none == 0);
}

TEST_CASE("a shuffled loader has every record once an epoch, in another order each", "[loader]") {
  const LoaderOptions options{.batch = 3, .shuffle = true, .seed = 1};
  Loader batches(inputs, classes, options), same(inputs, classes, options);
  std::set<std::string> orders;
  for (int epoch = 0; epoch < 5; ++epoch) {
    CHECK(batches.state() == LoaderState{epoch, 0});
    const std::string order = epoch_of(batches);
    std::string digits = order;
    std::erase_if(digits, [](char c) { return c == ' ' || c == '|'; });
    std::ranges::sort(digits);
    CHECK(digits == "0123456789");
    CHECK(order == epoch_of(same));
    orders.insert(order);
  }
  CHECK(orders.size() == 5);
  Loader other(inputs, classes, {.batch = 3, .shuffle = true, .seed = 2});
  CHECK_FALSE(orders.contains(epoch_of(other)));
}

TEST_CASE("the batches are the same for any number of threads and batches ahead", "[loader][threads]") {
  const int before = gradus::threads();
  std::set<std::string> seen;
  for (const int threads : {1, 2}) {
    set_threads(threads);
    for (const std::int64_t ahead : {0, 1, 5}) {
      Loader batches(inputs, classes, {.batch = 4, .shuffle = true, .seed = 7, .ahead = ahead});
      seen.insert(epoch_of(batches) + epoch_of(batches));
    }
  }
  set_threads(before);
  CHECK(seen.size() == 1);
}

TEST_CASE("a loader goes on in mid-epoch as an unbroken run would", "[loader]") {
  const auto random = [](std::int64_t i, Rng& rng) {
    return std::pair(inputs[i] + rng.uniform(), static_cast<int>(i));
  };
  const LoaderOptions options{.batch = 3, .shuffle = true, .seed = 4};
  for (const std::int64_t ahead : {0, 2}) {
    LoaderOptions with = options;
    with.ahead = ahead;
    // What each step of two epochs sees, and the state inside of it.
    std::vector<std::string> steps;
    std::vector<LoaderState> states;
    Loader unbroken(10, random, with);
    for (int epoch = 0; epoch < 2; ++epoch) {
      for (const auto& [x, y] : unbroken) {
        steps.push_back(x.text());
        states.push_back(unbroken.state());
      }
    }
    REQUIRE(steps.size() == 8);
    for (std::size_t killed = 0; killed < steps.size(); ++killed) {
      Loader resumed(10, random, options);
      resumed.restore(states[killed]);
      std::size_t step = killed + 1;
      while (resumed.state().epoch < 2) {
        for (const auto& [x, y] : resumed) {
          REQUIRE(step < steps.size());
          CHECK(x.text() == steps[step++]);
        }
      }
      CHECK(step == steps.size());
    }
  }
}

TEST_CASE("a loop that is left early ends its epoch", "[loader][threads]") {
  Loader batches(inputs, classes, {.batch = 2, .shuffle = true, .seed = 1});
  Loader unbroken(inputs, classes, {.batch = 2, .shuffle = true, .seed = 1});
  epoch_of(unbroken);
  for ([[maybe_unused]] const auto& batch : batches) break;
  CHECK(batches.state() == LoaderState{0, 1});
  CHECK(epoch_of(batches) == epoch_of(unbroken));
}

TEST_CASE("records are what a function gives, or those of a list, collated by type", "[loader]") {
  struct Point {
    float at;
    int label;
  };
  const std::vector<Point> points{{0.5f, 1}, {1.5f, 0}, {2.5f, 1}};
  for (const auto& [x, y, square] : Loader(points, [](const Point& p) {
         return std::tuple(p.at, p.label, Tensor::of({p.at, p.at * p.at}));
       })) {
    CHECK(x.text() == "[0.5, 1.5, 2.5]");
    CHECK(x.dtype() == Dtype::f32);
    CHECK(std::ranges::equal(y.values(), std::vector<std::int32_t>{1, 0, 1}));
    CHECK(square.text() == "[[0.5, 0.25], [1.5, 2.25], [2.5, 6.25]]");
  }
  for (const auto& [batch, ids] : Loader(std::span(points), [](const Point& p) {
         return std::pair(double{p.at}, Indices({p.label, 7}));
       })) {
    CHECK(batch.dtype() == Dtype::f64);
    CHECK(ids.shape() == Shape{3, 2});
  }
  // What is no number is a list, and so are records without a function.
  const std::vector<std::string> words{"a", "b", "c"};
  std::string all;
  for (const std::vector<std::string>& batch : Loader(words, {.batch = 2}))
    for (const std::string& word : batch) all += word;
  CHECK(all == "abc");
}

TEST_CASE("errors of a loader say what is wrong, and reach the loop", "[loader]") {
  CHECK_THROWS_WITH(Loader(inputs, Indices({1, 2})), Contains("10 records in one and 2 in another"));
  CHECK_THROWS_WITH(Loader(inputs, {.batch = 0}), Contains("batches of 0 records"));
  CHECK_THROWS_WITH(Loader(inputs, {.ahead = -1}), Contains("-1 batches ahead"));
  CHECK_THROWS_WITH(Loader(Tensor::scalar(1)), Contains("a scalar has no records"));
  Loader batches(inputs, {.batch = 4});
  CHECK_THROWS_WITH(batches.restore({0, 4}), Contains("epoch 0 and batch 4") && Contains("3 batches"));
  CHECK_THROWS_AS(batches.restore({-1, 0}), ArgumentError);
  for (const std::int64_t ahead : {0, 2}) {
    Loader bad(
        9, [](std::int64_t i) { return i < 5 ? zeros({2}) : throw std::runtime_error("record 5 is broken"); },
        {.batch = 2, .ahead = ahead});
    int seen = 0;
    const auto loop = [&] {
      for ([[maybe_unused]] const Tensor& x : bad) ++seen;
    };
    CHECK_THROWS_WITH(loop(), "record 5 is broken");
    CHECK(seen == 2);
    Loader uneven(4, [](std::int64_t i) { return zeros({i}); }, {.ahead = ahead});
    CHECK_THROWS_AS(uneven.begin(), ShapeError);
  }
}

TEST_CASE("a loader that its loop's body moves ends the loop with an error", "[loader]") {
  for (const std::int64_t ahead : {0, 2}) {
    Loader batches(inputs, classes, {.batch = 2, .ahead = ahead});
    int seen = 0;
    const auto restored = [&] {
      for ([[maybe_unused]] const auto& batch : batches) {
        if (++seen == 2) batches.restore({0, 0});
      }
    };
    CHECK_THROWS_WITH(restored(), Contains("in the body of this loop"));
    CHECK(seen == 2);
    const auto nested = [&] {
      for ([[maybe_unused]] const auto& batch : batches) {
        for ([[maybe_unused]] const auto& other : batches) ++seen;
      }
    };
    CHECK_THROWS_WITH(nested(), Contains("another loop over it begun"));
    // A loop that is left after it was moved goes on from there.
    for ([[maybe_unused]] const auto& batch : batches) {
      batches.restore({0, 4});
      break;
    }
    CHECK(epoch_of(batches) == "8 9 | ");
  }
}

TEST_CASE("numbers that are no ids, and epochs without a next one, are refused", "[loader]") {
  const auto first = [](auto value) { return Loader(2, [value](std::int64_t) { return value; }).begin(); };
  CHECK_THROWS_WITH(first(std::int64_t{1} << 32), Contains("4294967296") && Contains("2^31 - 1"));
  CHECK_THROWS_AS(first(~std::uint32_t{0}), ShapeError);
  const auto negative = first(std::int64_t{-5});
  CHECK(std::ranges::equal((*negative).values(), std::vector<std::int32_t>{-5, -5}));
  Loader batches(inputs, {.batch = 2});
  CHECK_THROWS_AS(batches.restore({std::numeric_limits<std::int64_t>::max(), 0}), ArgumentError);
}
