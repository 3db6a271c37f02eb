#include "models/ngram/sort/key.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <span>

#include "models/ngram/sort/record_store.hpp"
#include "tensor/support/error.hpp"
#include "tests/support/catch.hpp"

using namespace gradus::models::ngram;
using Ids = std::vector<std::uint32_t>;

namespace {

Ids random_ids(std::mt19937& random, int count, int bits) {
  Ids out;
  for (int i = 0; i < count; ++i) {
    const auto mask = static_cast<std::uint32_t>((std::uint64_t{1} << bits) - 1);
    const std::uint32_t edges[] = {0, 1, mask, mask - 1};
    out.push_back(random() % 3 == 0 ? edges[random() % 4] & mask
                                    : static_cast<std::uint32_t>(random()) & mask);
  }
  return out;
}

std::vector<std::uint64_t> packed(const KeyLayout& layout, const Ids& ids) {
  std::vector<std::uint64_t> out(layout.words(static_cast<int>(ids.size())));
  layout.pack(ids.data(), static_cast<int>(ids.size()), out.data());
  return out;
}

}  // namespace

TEST_CASE("keys of any number of bits and ids come back as the ids, and compare as they do", "[ngram]") {
  std::mt19937 random(1);
  std::int64_t wrong = 0;
  for (int bits = 1; bits <= 32; ++bits) {
    const KeyLayout layout{bits};
    for (int order = 1; order <= 20; ++order) {
      CHECK(layout.words(order) == static_cast<std::size_t>((bits * order + 63) / 64));
      for (int round = 0; round < 20; ++round) {
        const Ids a = random_ids(random, order, bits);
        Ids b = round % 2 == 0 ? random_ids(random, order, bits) : a;
        if (round % 4 == 3) b[random() % b.size()] ^= 1;
        const auto x = packed(layout, a), y = packed(layout, b);
        Ids back(a.size());
        layout.unpack(x.data(), order, back.data());
        wrong += back != a;
        wrong += (x < y) != (a < b) || (x == y) != (a == b);
        const auto same = std::mismatch(a.begin(), a.end(), b.begin()).first - a.begin();
        wrong += layout.common(x.data(), y.data(), x.size(), order) != same;
        const auto count = static_cast<int>(1 + random() % a.size());
        std::vector<std::uint64_t> shorter(layout.words(count));
        layout.truncate(x.data(), count, shorter.data());
        wrong += shorter != packed(layout, Ids(a.begin(), a.begin() + count));
      }
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("a partition divides pairs of ids in their order, into parts of about equal size", "[ngram]") {
  constexpr std::uint32_t ids = 50;
  std::mt19937 random(2);
  std::vector<std::uint64_t> pairs;
  for (int i = 0; i < 20'000; ++i) {  // half of them begin with 7
    const std::uint32_t first = i % 2 == 0 ? 7 : static_cast<std::uint32_t>(random() % ids);
    pairs.push_back(std::uint64_t{first} << 32 | random() % ids);
  }
  const Partition partition(pairs, ids, 8);
  REQUIRE(partition.ranges() == 8);
  std::size_t before = 0;
  std::int64_t wrong = 0;
  for (std::uint32_t first = 0; first < ids; ++first) {
    wrong += partition.range(first) != partition.range(first, 0);
    for (std::uint32_t second = 0; second < ids; ++second) {
      const std::size_t range = partition.range(first, second);
      wrong += range < before || range >= 8;
      before = range;
    }
  }
  CHECK(wrong == 0);
  std::vector<int> sizes(8);
  for (const std::uint64_t pair : pairs)
    ++sizes[partition.range(static_cast<std::uint32_t>(pair >> 32), static_cast<std::uint32_t>(pair))];
  for (const int size : sizes) CHECK(std::abs(size - 2500) < 400);
  CHECK(Partition({}, ids, 8).ranges() == 1);
  CHECK(Partition(std::vector<std::uint64_t>(100, 3), ids, 8).ranges() == 2);
}

TEST_CASE("records of every width are sorted by all their words but the last", "[ngram]") {
  std::mt19937_64 random(3);
  for (std::size_t width = 2; width <= 11; ++width) {
    for (const std::size_t count : {0u, 1u, 2u, 24u, 25u, 1000u, 20'000u}) {
      for (const int kind : {0, 1, 2}) {  // all bits, few values, all equal
        INFO(count << " records of " << width << " words, kind " << kind);
        std::vector<std::vector<std::uint64_t>> records(count, std::vector<std::uint64_t>(width, 5));
        std::vector<std::uint64_t> flat, spare(count * width);
        for (std::size_t i = 0; i < count; ++i) {
          for (std::size_t k = 0; k + 1 < width && kind < 2; ++k)
            records[i][k] = kind == 0 && k + 2 >= width ? random() : random() % 3;
          records[i].back() = records[i].front() * 31 + records[i][width - 2];  // goes with its key
          flat.insert(flat.end(), records[i].begin(), records[i].end());
        }
        std::sort(records.begin(), records.end());
        sort_records(flat.data(), count, width, spare.data());
        std::vector<std::uint64_t> expected;
        for (const auto& record : records) expected.insert(expected.end(), record.begin(), record.end());
        CHECK((flat == expected));
      }
    }
  }
  std::uint64_t none = 0;
  for (const std::size_t width : {0u, 1u, 12u})
    CHECK_THROWS_WITH(sort_records(&none, 1, width, &none),
                      Catch::Contains("records of " + std::to_string(width) + " words"));
}
