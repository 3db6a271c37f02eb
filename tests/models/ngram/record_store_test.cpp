#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "models/ngram/sort/record_store.hpp"
#include "models/ngram/sort/temporary_file.hpp"
#include "tensor/support/error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"

using gradus::models::ngram::SegmentPool;
using gradus::models::ngram::TemporaryFile;

TEST_CASE("a temporary file gives back what was written, and says when it cannot", "[ngram]") {
  const gradus::test::Folder folder;
  TemporaryFile file(folder.path());
  std::vector<std::uint64_t> words(300), read(300);
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = i * i;
  const TemporaryFile::Place first = file.write(words, 3), second = file.write(words, 2);
  file.read(second, read, 2);
  CHECK(read == words);
  // Bytes that do not fit the number of records, as from a damaged disk, and bytes that do not exist.
  CHECK_THROWS_WITH(file.read(first, std::span(read).first(297), 3),
                    Catch::Contains(folder.path().string()) && Catch::Contains("came back damaged"));
  CHECK_THROWS_WITH(file.read({second.offset + 8, second.packed}, read, 2),
                    Catch::Contains("ends too early"));
  CHECK(folder.files() == 0);
}

TEST_CASE("a pool's free segments go back to the system, and leave those in use alone", "[ngram]") {
  constexpr std::size_t words = 100, count = 20'000;  // far less than a page each, 16 MB in all
  SegmentPool pool(1 << 30, words, {});
  std::vector<SegmentPool::Segment> segments;
  for (std::size_t i = 0; i < count; ++i) {
    segments.push_back(pool.acquire());
    std::fill_n(segments.back().get(), words, i + 1);
  }
  // In another order; one in a hundred stays in use.
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t at = i * 7919 % count;
    if (at % 100 != 0) pool.release(std::move(segments[at]));
  }
  pool.trim();
  for (std::size_t i = 0; i < count; i += 100) {
    CHECK(std::count(segments[i].get(), segments[i].get() + words, i + 1) == std::ptrdiff_t{words});
  }
  // Memory that was returned reads as zeros.
  std::size_t zeros = 0, all = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (segments[i]) continue;
    segments[i] = pool.acquire();
    zeros += static_cast<std::size_t>(std::count(segments[i].get(), segments[i].get() + words, 0U));
    all += words;
  }
  CHECK(zeros > all * 8 / 10);
}
