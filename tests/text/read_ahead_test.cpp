#include "text/read_ahead.hpp"

#include <atomic>
#include <stdexcept>
#include <vector>

#include "tests/support/catch.hpp"
#include "text/batches.hpp"

using namespace gradus;

namespace {

/// 0, 1, ... up to `count`, counting how many were made; the one at `bad` throws.
struct Numbers {
  int count, bad = -1;
  std::atomic<int>* made;

  struct Iterator {
    using iterator_category = std::input_iterator_tag;
    using value_type = int;
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference = int;
    const Numbers* from;
    int at;
    int operator*() const {
      if (at == from->bad) throw std::runtime_error("bad number");
      ++*from->made;
      return at;
    }
    Iterator& operator++() {
      ++at;
      return *this;
    }
    bool operator==(const Iterator& other) const { return at == other.at; }
  };
  Iterator begin() const { return {this, 0}; }
  Iterator end() const { return {this, count}; }
};

}  // namespace

TEST_CASE("reading ahead gives every element once, in order", "[text][threads]") {
  std::atomic<int> made = 0;
  for (const int count : {0, 1, 2, 1000}) {
    std::vector<int> seen;
    for (const int number : read_ahead(Numbers{.count = count, .made = &made})) seen.push_back(number);
    REQUIRE(static_cast<int>(seen.size()) == count);
    for (int i = 0; i < count; ++i) CHECK(seen[static_cast<std::size_t>(i)] == i);
  }
}

TEST_CASE("reading ahead stays within its depth, and ends when the loop is left", "[text][threads]") {
  std::atomic<int> made = 0;
  int seen = 0;
  for (const int number : read_ahead(Numbers{.count = 1'000'000, .made = &made}, 3)) {
    seen = number;
    // The one in use, three that wait, and one that the thread is making.
    CHECK(made <= number + 5);
    if (number == 200) break;
  }
  CHECK(seen == 200);
  CHECK(made <= 205);
}

TEST_CASE("what the range throws reaches the loop after the elements before it", "[text][threads]") {
  std::atomic<int> made = 0;
  int seen = 0;
  const auto run = [&] {
    for ([[maybe_unused]] const int number : read_ahead(Numbers{.count = 10, .bad = 4, .made = &made}))
      ++seen;
  };
  CHECK_THROWS_WITH(run(), "bad number");
  CHECK(seen == 4);
}

TEST_CASE("reading ahead by nothing is refused", "[text]") {
  std::vector<int> numbers{1, 2};
  CHECK_THROWS_AS(read_ahead(numbers, 0), ArgumentError);
}

TEST_CASE("batches read ahead are the batches", "[text][threads]") {
  std::vector<std::int32_t> tokens(997);
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<std::int32_t>(i);
  const Batches all = batches(tokens, {.batch = 4, .steps = 7});
  std::int64_t i = 0;
  for (const auto& [x, y] : read_ahead(all)) {
    const Batch expected = all[i++];
    CHECK(std::vector(x.values().begin(), x.values().end()) ==
          std::vector(expected.x.values().begin(), expected.x.values().end()));
    CHECK(y.shape() == expected.y.shape());
  }
  CHECK(i == all.size());
}
