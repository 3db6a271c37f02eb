#include <cstdint>
#include <vector>

#include "models/ngram/sort/temporary_file.hpp"
#include "tensor/random.hpp"
#include "tests/support/catch.hpp"

using namespace gradus;
using models::ngram::pack_columns;
using models::ngram::unpack_columns;

namespace {

/// A random number of at most `bits` bits.
std::uint64_t random_bits(Rng& rng, int bits) {
  return bits == 0 ? 0 : rng.next_u64() >> (64 - bits);
}

}  // namespace

TEST_CASE("records come back from packed columns as they were", "[ngram]") {
  Rng rng(3);
  std::vector<unsigned char> packed;
  for (int trial = 0; trial < 3000; ++trial) {
    const std::size_t width = 1 + rng.below(6), count = 1 + rng.below(60);
    std::vector<std::uint64_t> records(width * count), read(width * count, 1);
    std::size_t most = 8;
    for (std::size_t c = 0; c < width; ++c) {
      // Columns of every number of bits, at any position in the word, which may wrap around.
      const auto bits = static_cast<int>(rng.below(65)), shift = static_cast<int>(rng.below(64));
      const std::uint64_t base = rng.next_u64();
      for (std::size_t i = 0; i < count; ++i)
        records[i * width + c] = base + (random_bits(rng, bits) << shift);
      most += 10 + 2 + 8 * count;
    }
    pack_columns(records, width, packed);
    CHECK(packed.size() <= most);
    REQUIRE(unpack_columns(packed, width, read));
    REQUIRE(read == records);
  }
}

TEST_CASE("packed columns take the bits in which their numbers differ", "[ngram]") {
  Rng rng(4);
  constexpr std::size_t count = 400;
  std::vector<std::uint64_t> records;
  for (std::size_t i = 0; i < count; ++i) {
    records.push_back(std::uint64_t{5} << 60 | random_bits(rng, 12) << 40);
    records.push_back(1000 + rng.below(16));
    records.push_back(77);
  }
  std::vector<unsigned char> packed;
  pack_columns(records, 3, packed);
  CHECK(packed.size() <= count * (12 + 4) / 8 + 3 * 10 + 8);
}

TEST_CASE("bytes that are not packed columns of the given number of records are refused", "[ngram]") {
  Rng rng(5);
  std::vector<std::uint64_t> records(300), read(300);
  for (std::uint64_t& word : records) word = random_bits(rng, 40);
  std::vector<unsigned char> packed;
  pack_columns(records, 3, packed);
  for (std::size_t size = 0; size < packed.size(); ++size)
    CHECK_FALSE(unpack_columns(std::span(packed).first(size), 3, read));
  std::vector<unsigned char> longer = packed;
  longer.push_back(0);
  CHECK_FALSE(unpack_columns(longer, 3, read));
  CHECK_FALSE(unpack_columns(packed, 3, std::span(read).first(297)));
  // Damage is refused or gives other records, except in the padding at the end.
  std::size_t unseen = 0;
  for (std::size_t i = 0; i < packed.size(); ++i) {
    std::vector<unsigned char> damaged = packed;
    damaged[i] ^= 0xFF;
    unseen += unpack_columns(damaged, 3, read) && read == records;
  }
  CHECK(unseen == 8);
}
