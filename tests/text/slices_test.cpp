#include "text/slices.hpp"

#include <algorithm>

#include "tensor/support/error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"
#include "text/block_reader.hpp"

using namespace gradus;
using Catch::Contains;
using gradus::test::Folder;

namespace {

std::string read_all(BlockReader reader) {
  std::string out;
  while (auto block = reader.next()) {
    out += block->text;
    if (!out.ends_with('\n')) out += '\n';  // as a reader of words takes it
  }
  return out;
}

/// What the parts are, one after the other; each must begin with a line.
std::string read_parts(const std::filesystem::path& path, std::size_t count) {
  std::string out;
  const auto parts = split_text(path, count);
  REQUIRE(parts.size() == count);
  for (const auto& part : parts) {
    if (!part.empty()) out += read_all(BlockReader(part, {.block = 50}));
  }
  return out;
}

std::string lines(int from, int to) {
  std::string out;
  for (int i = from; i < to; ++i) out += fmt::format("line {}{}\n", i, std::string(i % 7 == 0 ? 40 : 1, 'x'));
  return out;
}

}  // namespace

TEST_CASE("the parts of a text are the text, however many there are", "[slices]") {
  const Folder folder;
  folder.write("a", lines(0, 100));
  folder.write("b", "\xEF\xBB\xBF" + lines(100, 130) + "no end");
  folder.write("c", "one\rtwo\rthree\r" + std::string(3000, 'x'));
  folder.write("d", lines(200, 201));
  const std::string whole = read_all(BlockReader(folder.path(), {}));
  for (const std::size_t count : {1U, 2U, 3U, 4U, 7U, 50U, 1000U}) {
    INFO(count);
    CHECK(read_parts(folder.path(), count) == whole);
    CHECK(read_parts(folder.path() / "a", count) == lines(0, 100));
    CHECK(read_parts(folder.path() / "d", count) == lines(200, 201));
  }
}

TEST_CASE("parts are of about the same size and cut behind a line end, but not where another byte ends lines",
          "[slices]") {
  const Folder folder;
  const std::string text = lines(0, 1000);
  const auto file = folder.write("a", text);
  const auto parts = split_text(file, 4);
  for (const auto& part : parts) {
    REQUIRE(part.size() == 1);
    CHECK(part[0].size == std::ssize(text));
    CHECK(std::abs(part[0].end - part[0].begin - std::ssize(text) / 4) < 100);
    CHECK(text[static_cast<std::size_t>(part[0].end) - 1] == '\n');
    CHECK(lines_before(file, part[0].begin) ==
          std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(part[0].begin), '\n'));
  }
  std::string returns = text;
  std::replace(returns.begin(), returns.end(), '\n', '\r');
  const auto whole = split_text(folder.write("b", returns), 4);
  CHECK(std::count_if(whole.begin(), whole.end(), [](const auto& part) { return part.empty(); }) == 3);
  // Only its first part can have its head.
  const auto two = split_text(file, 2);
  CHECK(read_all(BlockReader(two[1], {})) == text.substr(static_cast<std::size_t>(two[1][0].begin)));
}

TEST_CASE("empty files, missing ones and files that change are refused where they are read", "[slices]") {
  const Folder folder;
  const auto file = folder.write("a", lines(0, 100));
  folder.write("b", "");
  int refused = 0;
  for (const auto& part : split_text(folder.path(), 3)) {
    try {
      read_all(BlockReader(part, {}));
    } catch (const DataError& error) {
      CHECK_THAT(error.what(), Contains("b is empty"));
      ++refused;
    }
  }
  CHECK(refused == 1);
  CHECK_THROWS_AS(split_text(folder.path() / "none", 3), DataError);
  const auto parts = split_text(file, 3);
  folder.write("a", lines(0, 90));
  for (const auto& part : parts)
    CHECK_THROWS_WITH(read_all(BlockReader(part, {})), Contains("all must see the same text"));
}
