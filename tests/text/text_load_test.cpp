#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tensor/support/error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"
#include "text/corpus.hpp"
#include "text/load.hpp"

using namespace gradus;
using Catch::Contains;
using gradus::test::Folder;
namespace fs = std::filesystem;

TEST_CASE("a file is loaded as it is, without a byte order mark", "[text]") {
  const Folder folder;
  CHECK(load_text(folder.write("a.txt", "one\ntwo")) == "one\ntwo");
  CHECK(load_text(folder.write("b.txt", "\xEF\xBB\xBFone\n")) == "one\n");
  CHECK(load_text(folder.write("c.txt", "\x1B[1mbold\x1B[0m\n")) == "\x1B[1mbold\x1B[0m\n");
  const std::string bytes("\0\xFF\x1F\x8B", 4);
  CHECK(load_text(folder.write("d", bytes), {.unit = Unit::byte}) == bytes);
  const std::string big(3 << 20, 'x');
  CHECK(load_text(folder.write("e", big)) == big);
}

TEST_CASE("an endless device is refused at its first zero byte", "[text]") {
  if (!fs::is_character_file("/dev/zero")) return;
  CHECK_THROWS_WITH(load_text("/dev/zero"), Contains("line 1, byte 1: a zero byte"));
}

TEST_CASE("lines may end with carriage returns alone", "[text]") {
  const Folder folder;
  CHECK(load_text(folder.write("a.txt", "one\rtwo\r")) == "one\ntwo\n");
  CHECK(load_text(folder.write("b.txt", "one\r\ntwo\rtoo\n")) == "one\r\ntwo\rtoo\n");
  CHECK(load_text(folder.write("c.txt", "one\rtwo\r"), {.unit = Unit::byte}) == "one\rtwo\r");
  // Longer than what decides it and than a block, with a return at the border of two.
  std::string returns(3 << 20, 'x'), feeds = returns;
  for (const std::size_t at : {100u, 70'000u, (1u << 20) - 1, 1u << 20, (3u << 20) - 1}) {
    returns[at] = '\r';
    feeds[at] = '\n';
  }
  CHECK(load_text(folder.write("d.txt", returns)) == feeds);
  // Each file by itself.
  std::filesystem::create_directory(folder.path() / "inner");
  folder.write("inner/a", "one\rtwo\r");
  folder.write("inner/b", "one\rtwo\n");
  CHECK(load_text(folder.path() / "inner") == "one\ntwo\none\rtwo\n");
}

TEST_CASE("the words <s> and </s> are read as spaces where they are skipped", "[text]") {
  const Folder folder;
  const fs::path file = folder.write("a.txt", "<s> a <s>b </s>\n</s>\tx</s>\r\n<s>");
  CHECK(load_text(file, {.skip_marks = true}) == "    a <s>b     \n    \tx</s>\r\n   ");
  CHECK(load_text(file) == "<s> a <s>b </s>\n</s>\tx</s>\r\n<s>");
}

TEST_CASE("a folder is its files in the order of their names", "[text]") {
  const Folder folder;
  folder.write("b.txt", "second\n");
  folder.write("a.txt", "first");
  folder.write(".hidden", "no");
  fs::create_directories(folder.path() / "inner");
  folder.write("inner/c.txt", "no");
  CHECK(load_text(folder.path()) == "first\nsecond\n");
  // No line is added after a file that ends with a line and with a block.
  const std::string block = std::string((1 << 20) - 1, 'x') + "\n";
  folder.write("a.txt", block);
  CHECK(load_text(folder.path()) == block + "second\n");
  CHECK_THROWS_WITH(load_text(folder.path() / "inner" / "none"), Contains("no such file or folder"));
  fs::create_directories(folder.path() / "void");
  CHECK_THROWS_WITH(load_text(folder.path() / "void"), Contains("void holds no files"));
}

TEST_CASE("input that is not text is refused, with the place", "[text]") {
  const Folder folder;
  const auto refused = [&](const std::string& content, const std::string& message) {
    const fs::path file = folder.write("bad.txt", content);
    CHECK_THROWS_AS(load_text(file), DataError);
    CHECK_THROWS_WITH(load_text(file), Contains("bad.txt") && Contains(message));
  };
  refused("", "is empty");
  refused("\xEF\xBB\xBF", "is empty");
  refused(std::string("one\ntw\0o", 8), "line 2, byte 3: a zero byte");
  refused("one\n" + std::string(40, '\x01'), "line 2, byte 32: 32 control characters so far");
  refused("\x1F\x8B\x08zip", "its gzip data is damaged");
  refused("PK\x03\x04zip", "unzip");
  refused("\xFF\xFEo", "is UTF-16 text");
  refused(std::string("\xFF\xFE\0\0o\0\0\0", 8), "is UTF-32 text");
  refused(std::string("o\0n\0e\0\n\0", 8), "utf-16le");
  refused(std::string("\0o\0n\0e\0\n", 8), "utf-16be");
  refused("one\ntwo\nth\xE9re\n", "line 3, byte 3: not valid UTF-8 (0xE9");
}

TEST_CASE("a line over the limit is named and not read to its end", "[text]") {
  const Folder folder;
  const fs::path file = folder.write("long.txt", "short\n" + std::string(5 << 20, 'x') + "\n");
  CHECK_THROWS_WITH(load_text(file, {.max_line = 4 << 20}),
                    Contains("long.txt, line 2") && Contains("4194304 bytes"));
  CHECK(load_text(file, {.max_line = 5 << 20}).size() == (5 << 20) + 7);
  CHECK(load_text(file, {.max_line = 0}).size() == (5 << 20) + 7);
}

TEST_CASE("a text is cut at line ends for words, between characters otherwise", "[text]") {
  std::string text;
  for (int i = 0; i < 100; ++i) text += fmt::format("line {:02}\n", i);
  const Split words = split(Unit::word, text);
  CHECK(fmt::format("{}{}{}", words.train, words.valid, words.test) == text);
  CHECK(words.train.size() == 80 * 8);
  CHECK(words.test.size() == 10 * 8);
  CHECK(words.valid.starts_with("line 80"));
  const Split odd = split(Unit::word, text, {.train = 0.803, .valid = 0});
  CHECK(odd.train.size() == 81 * 8);
  CHECK(odd.valid.empty());
  CHECK(odd.test.starts_with("line 81"));
  CHECK(split(Unit::word, text, {.train = 0.9, .valid = 0.1}).test.empty());

  std::string accents;
  for (int i = 0; i < 50; ++i) accents += "\xC3\xA9";
  const Split characters = split(Unit::character, accents);
  CHECK(characters.train.size() == 80);
  CHECK(characters.valid.size() == 10);
  CHECK(characters.test.size() == 10);
  CHECK(split(Unit::byte, accents, {.train = 0.55, .valid = 0}).train.size() == 55);
  // The last tenth of tiny Shakespeare is its last 111,540 characters.
  CHECK(split(Unit::character, std::string_view(std::string(1115394, 'a'))).test.size() == 111540);
}

TEST_CASE("a text too short to split and shares out of range are refused", "[text]") {
  CHECK_THROWS_WITH(split(Unit::word, std::string_view("one line\n"), {}, "s.txt"),
                    Contains("s.txt is too short") && Contains("validation"));
  CHECK_THROWS_AS(split(Unit::word, std::string_view("a\n"), {.train = 0.9, .valid = 0.2}), ArgumentError);
  CHECK_THROWS_AS(split(Unit::word, std::string_view("a\n"), {.train = -0.1}), ArgumentError);
}

TEST_CASE("a corpus takes its vocabulary from the training part", "[text]") {
  std::string text;
  for (int i = 0; i < 80; ++i) text += "a b\n";
  for (int i = 0; i < 10; ++i) text += "a c\n";
  for (int i = 0; i < 10; ++i) text += "d d\n";
  const Corpus corpus = make_corpus(text);
  CHECK(corpus.vocabulary.size() == 4);
  CHECK(corpus.train.tokens.size() == 240);
  CHECK(corpus.train.unknown == 0);
  CHECK(corpus.valid.unknown == 10);
  CHECK(corpus.test.unknown == 20);
  CHECK(corpus.test.characters == 40);
  const Corpus characters = make_corpus(text, {.unit = Unit::character});
  CHECK(characters.test.tokens.size() == 40);
}

TEST_CASE("a text with one word or one symbol is refused", "[text]") {
  CHECK_THROWS_WITH(make_corpus("", {}, "t.txt"), Contains("t.txt is empty"));
  CHECK_THROWS_WITH(make_corpus("hello", {}, "t.txt"),
                    Contains("t.txt") && Contains("only one word, 'hello'"));
  CHECK_THROWS_WITH(make_corpus("x\nx\nx\n", {}, "t.txt"), Contains("only one word, 'x'"));
  CHECK_THROWS_WITH(make_corpus("\n\n\n", {}, "t.txt"), Contains("no words"));
  CHECK_THROWS_WITH(make_corpus("aaaa", {.unit = Unit::character}, "t.txt"),
                    Contains("only one symbol, 'a'"));
  CHECK_THROWS_WITH(make_corpus("a\nb\xFF\n", {}, "t.txt"), Contains("line 2, byte 2"));
}

TEST_CASE("a file that cannot be opened or read to its end is named with the cause", "[text]") {
  const Folder folder;
  fs::create_symlink(folder.path() / "loop", folder.path() / "loop");
  CHECK_THROWS_WITH(load_text(folder.path() / "loop"),
                    Contains("loop cannot be opened (") && Contains("check that it exists"));
  // A file of the system whose first byte cannot be read.
  if (fs::exists("/proc/self/mem")) {
    CHECK_THROWS_WITH(
        load_text("/proc/self/mem"),
        Contains("/proc/self/mem could not be read (Input/output error)") && Contains("check the disk"));
  }
  // Who may read everything, as root may, reads this one too.
  folder.write("inner.txt", "text\n");
  fs::create_directories(folder.path() / "closed");
  fs::permissions(folder.path() / "closed", fs::perms::none);
  if (::access((folder.path() / "closed").c_str(), R_OK) != 0) {
    CHECK_THROWS_WITH(load_text(folder.path() / "closed"),
                      Contains("closed cannot be read (Permission denied); check that you may"));
  }
  fs::permissions(folder.path() / "closed", fs::perms::owner_all);
}
