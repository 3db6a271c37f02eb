#include <algorithm>
#include <vector>

#include "models/ngram/record_store.hpp"
#include "tests/catch.hpp"

using gradus::models::ngram::SegmentPool;

TEST_CASE("a pool's free segments go back to the system, and leave those in use alone", "[ngram]") {
  constexpr std::size_t words = 100, count = 20'000;  // far less than a page each, 16 MB in all
  SegmentPool pool(1 << 30, words, {});
  std::vector<SegmentPool::Segment> segments;
  for (std::size_t i = 0; i < count; ++i) {
    segments.push_back(pool.acquire());
    std::fill_n(segments.back().get(), words, i + 1);
  }
  // In an order that is not theirs; one in a hundred stays.
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t at = i * 7919 % count;
    if (at % 100 != 0) pool.release(std::move(segments[at]));
  }
  pool.trim();
  for (std::size_t i = 0; i < count; i += 100) {
    CHECK(std::count(segments[i].get(), segments[i].get() + words, i + 1) == std::ptrdiff_t{words});
  }
  // Memory that was given back reads as zeros.
  std::size_t zeros = 0, all = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (segments[i]) continue;
    segments[i] = pool.acquire();
    zeros += static_cast<std::size_t>(std::count(segments[i].get(), segments[i].get() + words, 0U));
    all += words;
  }
  CHECK(zeros > all * 8 / 10);
}
