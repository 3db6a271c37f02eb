#include <algorithm>
#include <numeric>
#include <span>

#include "tensor/random.hpp"
#include "tensor/support/checksum.hpp"
#include "tensor/support/error.hpp"
#include "tests/support/catch.hpp"
#include "text/batches.hpp"
#include "text/prompt.hpp"

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

TEST_CASE("a part of the streams may begin and end anywhere in them", "[text]") {
  const std::vector<std::int32_t> tokens = counting(24);  // streams of 7: 0..6, 7..13, 14..20
  const Batches all = batches(tokens, {.batch = 3, .steps = 3});
  CHECK(all.stream() == 7);
  for (std::int64_t first = 0; first < 7; ++first) {
    for (std::int64_t steps = 1; first + steps <= 7; ++steps) {
      const Batch part = all.part(first, steps);
      REQUIRE(part.x.shape() == Shape{steps, 3});
      REQUIRE(part.y.shape() == Shape{steps, 3});
      for (std::int64_t t = 0; t < steps; ++t) {
        for (std::int64_t column = 0; column < 3; ++column) {
          CHECK(at(part.x, t, column) == 7 * column + first + t);
          CHECK(at(part.y, t, column) == 7 * column + first + t + 1);
        }
      }
    }
  }
  CHECK_THROWS_AS(all.part(5, 3), ArgumentError);
  CHECK_THROWS_AS(all.part(-1, 3), ArgumentError);
}

TEST_CASE("random contexts begin at every place of a text, and at none that is too late", "[text]") {
  const std::vector<std::int32_t> tokens = counting(10);
  Rng rng(3), again(3);
  std::vector<int> seen(10, 0);
  for (int i = 0; i < 200; ++i) {
    const Batch batch = random_batch(tokens, {.batch = 4, .steps = 5}, rng);
    REQUIRE(batch.x.shape() == Shape{5, 4});
    for (std::int64_t column = 0; column < 4; ++column) {
      ++seen[static_cast<std::size_t>(at(batch.x, 0, column))];
      for (std::int64_t t = 0; t < 5; ++t) {
        CHECK(at(batch.x, t, column) == at(batch.x, 0, column) + t);
        CHECK(at(batch.y, t, column) == at(batch.x, t, column) + 1);
      }
    }
    const Batch same = random_batch(tokens, {.batch = 4, .steps = 5}, again);
    CHECK(std::ranges::equal(batch.x.values(), same.x.values()));
  }
  // Of 800 contexts each of the places 0 to 4 begins about 160.
  for (std::size_t place = 0; place < 10; ++place) {
    CHECK(seen[place] <= (place < 5 ? 220 : 0));
    CHECK(seen[place] >= (place < 5 ? 110 : 0));
  }
  CHECK_NOTHROW(random_batch(tokens, {.batch = 1, .steps = 9}, rng));
  CHECK_THROWS_AS(random_batch(tokens, {.batch = 1, .steps = 10}, rng), DataError);
  CHECK_THROWS_AS(random_batch(tokens, {.batch = 0, .steps = 5}, rng), ArgumentError);
}

TEST_CASE("the ids of a prompt begin with the context of its first token and end as it does", "[text]") {
  const Vocabulary words = Vocabulary::build(Unit::word, "a b\n");
  const std::int32_t a = words.id("a"), b = words.id("b"), end = words.line_end(), unk = words.unknown();
  using Ids = std::vector<std::int32_t>;
  CHECK(prompt_ids(words, "") == Ids{end});
  CHECK(prompt_ids(words, "a b") == Ids{end, a, b});
  CHECK(prompt_ids(words, "a b\n") == Ids{end, a, b, end});
  CHECK(prompt_ids(words, "a\nb") == Ids{end, a, end, b});
  std::vector<std::string> unknown;
  CHECK(prompt_ids(words, "c a c d", &unknown) == Ids{end, unk, a, unk, unk});
  CHECK(unknown == std::vector<std::string>{"c", "d"});
  const Vocabulary characters = Vocabulary::build(Unit::character, "ab\n");
  CHECK(prompt_ids(characters, "ba") == Ids{characters.id("\n"), characters.id("b"), characters.id("a")});
}

TEST_CASE("a checksum is that of ISO 3309, in one piece or several", "[text]") {
  CHECK(Checksum().value() == 0);
  CHECK(Checksum().add("123456789").text() == "cbf43926");  // the check value of CRC-32
  CHECK(Checksum().add("1234").add("").add("56789").value() == 0xcbf43926U);
}
