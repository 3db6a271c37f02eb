#include <numeric>
#include <span>

#include "tensor/support/error.hpp"
#include "tests/support/catch.hpp"
#include "text/batches.hpp"

using namespace gradus;
using Catch::Contains;

namespace {

std::vector<std::int32_t> counting(int n) {
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(n));
  std::iota(tokens.begin(), tokens.end(), 0);
  return tokens;
}

std::int32_t at(const Indices& ids, std::int64_t t, std::int64_t column) {
  return ids.values()[static_cast<std::size_t>(t * ids.dim(1) + column)];
}

}  // namespace

TEST_CASE("batches are columns of contiguous text, the target one token on", "[text]") {
  const std::vector<std::int32_t> tokens = counting(24);  // streams of 7: 0..6, 7..13, 14..20
  std::int64_t seen = 0, first = 0;
  for (const auto& [x, y] : batches(tokens, {.batch = 3, .steps = 3})) {
    REQUIRE(x.shape() == y.shape());
    REQUIRE(x.dim(1) == 3);
    for (std::int64_t t = 0; t < x.dim(0); ++t) {
      for (std::int64_t column = 0; column < 3; ++column) {
        // Each column continues that of the batch before.
        CHECK(at(x, t, column) == 7 * column + first + t);
        CHECK(at(y, t, column) == at(x, t, column) + 1);
      }
    }
    first += x.dim(0);
    seen += x.size();
  }
  CHECK(first == 7);
  CHECK(seen == 21);
}

TEST_CASE("the last batch may be shorter, or left out", "[text]") {
  const std::vector<std::int32_t> tokens = counting(24);
  const Batches all = batches(tokens, {.batch = 3, .steps = 3});
  CHECK(all.size() == 3);
  CHECK(all.tokens() == 21);
  CHECK(all[2].x.shape() == Shape{1, 3});
  CHECK_THROWS_AS(all[3], ArgumentError);
  const Batches whole = batches(tokens, {.batch = 3, .steps = 3, .drop_last = true});
  CHECK(whole.size() == 2);
  CHECK(whole.tokens() == 18);
  CHECK(std::distance(whole.begin(), whole.end()) == 2);
}

TEST_CASE("with one stream every token but the last is an input", "[text]") {
  const std::vector<std::int32_t> tokens = counting(10);
  CHECK(batches(tokens, {.batch = 1, .steps = 100})[0].x.size() == 9);
}

TEST_CASE("a text shorter than a batch is refused with both numbers", "[text]") {
  const std::vector<std::int32_t> tokens = counting(20);
  CHECK_THROWS_WITH(batches(tokens, {.batch = 20, .steps = 35}, "s.txt"),
                    Contains("s.txt has 20 tokens") && Contains("at least 21"));
  CHECK(batches(tokens, {.batch = 19, .steps = 35}).size() == 1);
  CHECK_THROWS_WITH(batches(tokens, {.batch = 2, .steps = 10, .drop_last = true}), Contains("at least 21"));
  CHECK_THROWS_AS(batches(std::span<const std::int32_t>(), {.batch = 1, .steps = 1}), DataError);
  CHECK_THROWS_AS(batches(tokens, {.batch = 0}), ArgumentError);
  CHECK_THROWS_AS(batches(tokens, {.steps = 0}), ArgumentError);
}
