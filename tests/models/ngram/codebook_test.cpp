#include "models/ngram/store/compact_layout.hpp"

#include <cmath>

#include "tests/support/catch.hpp"

using namespace gradus::models::ngram;

TEST_CASE("an exact codebook is used where it and the indices take less room than the numbers", "[ngram]") {
  // 37500 different numbers have indices of 16 bits, and stand in the codebook with 32 bits each. Of 31 bits
  // a number, 80000 numbers take as much as indices and codebook together.
  constexpr std::uint64_t different = 37500;
  const auto number = [](std::uint64_t i) { return static_cast<float>(i % different); };
  const auto kept = [&](std::uint64_t count, int bits) {
    return exact_codebook(count, number, bits).floats.size();
  };
  CHECK(kept(80'000, 31) == 0);
  CHECK(kept(80'001, 31) == different);
  CHECK(kept(75'000, 32) == 0);
  CHECK(kept(75'001, 32) == different);
  CHECK(kept(40'000, 31) == 0);
  CHECK(kept(0, 31) == 0);
  const Codebook book = exact_codebook(80'001, number, 31);
  CHECK(book.bits() == 16);
  for (const std::uint32_t i : {0u, 1u, 20'000u, 37'499u}) {
    CHECK(book.floats[i] == static_cast<float>(i));
    CHECK(book.code(static_cast<float>(i)) == i);
  }
}

TEST_CASE("a codebook of more than a million numbers is none, wherever the last of them stands", "[ngram]") {
  constexpr std::uint64_t most = std::uint64_t{1} << 20, count = 5 * most;
  const auto kept = [&](std::uint64_t different) {
    return exact_codebook(
               count, [&](std::uint64_t i) { return static_cast<float>(std::min(i, different - 1)); }, 31)
        .floats.size();
  };
  CHECK(kept(most) == most);
  CHECK(kept(most + 1) == 0);
  const auto late = [&](std::uint64_t i) { return static_cast<float>(i + 1 < count ? i % most : most); };
  CHECK(exact_codebook(count, late, 31).floats.empty());
}

TEST_CASE("the code of a number is that of the nearest float", "[ngram]") {
  const Codebook book{{-3, -1, 0, 4}};
  CHECK(book.bits() == 2);
  CHECK(Codebook{{7}}.bits() == 1);
  CHECK(Codebook{{1, 2, 3, 4, 5}}.bits() == 3);
  const std::pair<float, std::uint32_t> codes[] = {{-INFINITY, 0}, {-9, 0},    {-3, 0}, {-2.1f, 0},
                                                   {-1.9f, 1},     {-0.4f, 2}, {0, 2},  {1.9f, 2},
                                                   {2.1f, 3},      {4, 3},     {9, 3}};
  for (const auto& [x, code] : codes) {
    INFO(x);
    CHECK(book.code(x) == code);
  }
}

TEST_CASE("a codebook of few bits keeps zero and minus infinity, and the means of the others", "[ngram]") {
  const float numbers[] = {-INFINITY, 0, -1, -1.5f, -8, -8.5f, -9, -1.25f};
  const Codebook book = quantized_codebook(
      8, [&](std::uint64_t i) { return numbers[i]; }, 2);
  CHECK(book.floats == std::vector<float>{-INFINITY, -8.5f, -1.25f, 0});
}
