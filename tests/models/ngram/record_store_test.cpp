#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "models/ngram/sort/record_store.hpp"
#include "models/ngram/sort/temporary_file.hpp"
#include "models/ngram/store/mapping.hpp"
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

TEST_CASE("a temporary file in a folder that there is not says what to do", "[ngram]") {
  const gradus::test::Folder folder;
  TemporaryFile file(folder.path() / "none");
  const std::vector<std::uint64_t> words(600'000, 1);
  CHECK_THROWS_WITH(
      [&] {
        for (std::uint64_t i = 0; i < 100; ++i) {  // what is written first waits in memory
          std::vector<std::uint64_t> mixed = words;
          std::uint64_t x = i + 1;
          for (std::uint64_t& word : mixed) word = x = x * 6364136223846793005u + 1442695040888963407u;
          file.write(mixed, 2);
        }
      }(),
      Catch::Contains("no temporary file can be made in " + (folder.path() / "none").string()) &&
          Catch::Contains("No such file or directory") && Catch::Contains("name another folder"));
}

TEST_CASE("a buffer of words has room for few and for many, wherever it takes the memory", "[ngram]") {
  gradus::models::ngram::WordBuffer buffer;
  for (const std::size_t words : {std::size_t{10}, std::size_t{5}, std::size_t{3'000'000},
                                  std::size_t{2'000'000}, std::size_t{100}, std::size_t{4'000'000}}) {
    std::uint64_t* const at = buffer.reserve(words);
    CHECK(at == buffer.data());
    for (std::size_t i = 0; i < words; ++i) at[i] = i * i;
    bool right = true;
    for (std::size_t i = 0; i < words; ++i) right &= buffer.data()[i] == i * i;
    CHECK(right);
  }
}

TEST_CASE("memory for a model that there is not is told with the size that was asked for", "[ngram]") {
  auto memory = gradus::models::ngram::Mapping::memory();
  const auto refused = [&] {
    CHECK_THROWS_WITH(memory.resize(std::size_t{1} << 60),
                      Catch::Contains("an n-gram model of 1152921504606846976 bytes in memory: "));
  };
  refused();
  memory.resize(100);
  refused();
  CHECK(std::as_const(memory).bytes().size() == 100);
}
