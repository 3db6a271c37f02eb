#include <filesystem>
#include <fstream>

#include "tensor/support/error.hpp"
#include "tests/support/catch.hpp"
#include "text/tokenizer.hpp"
#include "text/vocabulary.hpp"

using namespace gradus;
using Catch::Contains;
using Ids = std::vector<std::int32_t>;

TEST_CASE("word ids fall by count, then by first appearance", "[text]") {
  const Vocabulary v = Vocabulary::build(Unit::word, "b a\nc a b\n");
  // a and b occur twice, as does the line end; b comes first.
  REQUIRE(v.size() == 5);
  CHECK(v.symbol(0) == "<unk>");
  CHECK(v.symbol(1) == "b");
  CHECK(v.symbol(2) == "a");
  CHECK(v.symbol(3) == "</s>");
  CHECK(v.symbol(4) == "c");
  CHECK(v.line_end() == 3);
  CHECK(v.count(2) == 2);
  CHECK(v.count(v.unknown()) == 0);
  CHECK(v.id("zebra") == v.unknown());
  CHECK_FALSE(v.contains("zebra"));
  CHECK_THROWS_AS(v.symbol(5), ArgumentError);
  CHECK_THROWS_AS(v.symbol(-1), ArgumentError);
}

TEST_CASE("rare words are counted as unknown, and a word <unk> is the same entry", "[text]") {
  const std::string text = "a a a b b c <unk> d\n";
  const Vocabulary all = Vocabulary::build(Unit::word, text);
  CHECK(all.size() == 6);
  CHECK(all.count(all.unknown()) == 1);
  const Vocabulary frequent = Vocabulary::build(Unit::word, text, {.min_count = 2});
  CHECK(frequent.size() == 4);  // <unk> a b </s>
  CHECK(frequent.count(frequent.unknown()) == 3);
  CHECK(frequent.contains("</s>"));
  CHECK(encode(frequent, "a <unk> c") == Ids{frequent.id("a"), 0, 0, frequent.line_end()});
  const Vocabulary small = Vocabulary::build(Unit::word, text, {.max_size = 3});
  CHECK(small.size() == 3);
  CHECK(small.contains("a"));
  CHECK(small.contains("</s>"));
  CHECK(small.count(small.unknown()) == 5);
  CHECK_THROWS_AS(Vocabulary::build(Unit::word, text, {.min_count = 0}), ArgumentError);
  CHECK_THROWS_AS(Vocabulary::build(Unit::word, text, {.max_size = 1}), ArgumentError);
  CHECK_THROWS_AS(Vocabulary::build(Unit::word, ""), DataError);
}

TEST_CASE("lines of words end with </s>, blank ones hold only it", "[text]") {
  const Vocabulary v = Vocabulary::build(Unit::word, "a b\n");
  const std::int32_t a = v.id("a"), b = v.id("b"), end = v.line_end();
  CHECK(encode(v, "a b\n") == Ids{a, b, end});
  CHECK(encode(v, "a b") == Ids{a, b, end});
  CHECK(encode(v, "a\n\n \t\r\nb\n") == Ids{a, end, end, end, b, end});
  CHECK(encode(v, "  a \t b \r\n") == Ids{a, b, end});
  CHECK(encode(v, "\n") == Ids{end});
  CHECK(encode(v, "").empty());
  CHECK(decode(v, encode(v, "a b\n\nb\n")) == "a b\n\nb\n");
  CHECK(decode(v, Ids{v.unknown(), a}) == "<unk> a");
  CHECK_THROWS_AS(decode(v, Ids{99}), ArgumentError);
  CHECK_THROWS_WITH(encode(v, "a\nb </s>\n", "my.txt"), Contains("my.txt, line 2") && Contains("'</s>'"));
  CHECK_THROWS_WITH(encode(v, "a\n<s> b\n", "my.txt"), Contains("my.txt, line 2") && Contains("'<s>'"));
}

TEST_CASE("characters are code points and the line end is one of them", "[text]") {
  const std::string text = "a\xC3\xA9\n\xE2\x82\xAC\xF0\x9F\x98\x80 a";
  const Vocabulary v = Vocabulary::build(Unit::character, text);
  CHECK(v.size() == 7);
  CHECK(v.symbol(v.line_end()) == "\n");
  const Ids ids = encode(v, text);
  CHECK(ids.size() == 7);
  CHECK(count_characters(text) == 7);
  CHECK(decode(v, ids) == text);
  CHECK(encode(v, "z") == Ids{v.unknown()});
  CHECK(decode(v, Ids{v.unknown()}) == "\xEF\xBF\xBD");
}

TEST_CASE("bytes are 256 symbols, whatever the text", "[text]") {
  const std::string text("a\0\xFF\n", 4);
  const Vocabulary v = Vocabulary::build(Unit::byte, text);
  CHECK(v.size() == 256);
  CHECK(v.unknown() == -1);
  CHECK(v.line_end() == '\n');
  CHECK(v.count(255) == 1);
  CHECK(encode(v, text) == Ids{'a', 0, 255, '\n'});
  CHECK(decode(v, encode(v, text)) == text);
}

TEST_CASE("a vocabulary survives being written and read", "[text]") {
  const auto folder = std::filesystem::temp_directory_path() / "gradus_vocabulary_test";
  std::filesystem::create_directories(folder);
  const auto file = folder / "vocabulary.txt";
  const std::string odd = "a\\n\xC3\xA9 \x01 \x7F b b\n\t \\ \xC2\xA0";
  for (const Unit unit : {Unit::byte, Unit::character, Unit::word}) {
    const Vocabulary v = Vocabulary::build(unit, odd);
    v.save(file);
    const Vocabulary read = Vocabulary::load(file);
    CHECK(read == v);
    CHECK(read.unit() == unit);
    CHECK(read.line_end() == v.line_end());
    CHECK(encode(read, odd) == encode(v, odd));
  }
  CHECK(std::distance(std::filesystem::directory_iterator(folder), {}) == 1);
  CHECK_THROWS_WITH(Vocabulary::load(folder / "none"), Contains("none cannot be opened"));
  CHECK_THROWS_AS(Vocabulary::build(Unit::word, "a").save(folder / "no" / "such"), DataError);
  std::filesystem::remove_all(folder);
}

TEST_CASE("a corrupted vocabulary is refused, with the line", "[text]") {
  const std::string good = Vocabulary::build(Unit::word, "a b\n").serialize();
  CHECK(Vocabulary::parse(good).size() == 4);
  CHECK_THROWS_WITH(Vocabulary::parse("", "v"), Contains("v, line 1: not a vocabulary"));
  CHECK_THROWS_WITH(Vocabulary::parse(good.substr(0, good.size() - 4), "v"), Contains("cut short"));
  CHECK_THROWS_WITH(Vocabulary::parse(good + "1\tz\n", "v"), Contains("more than the 4"));
  CHECK_THROWS_WITH(Vocabulary::parse("gradus vocabulary 1 word 2\n1\t<unk>\nx\ta\n", "v"),
                    Contains("v, line 3"));
  CHECK_THROWS_WITH(Vocabulary::parse("gradus vocabulary 1 word 2\n1\t<unk>\n1\t<unk>\n", "v"),
                    Contains("v, line 3"));
  CHECK_THROWS_WITH(Vocabulary::parse("gradus vocabulary 1 syllable 0\n", "v"), Contains("syllable"));
  CHECK_THROWS_WITH(Vocabulary::parse("gradus vocabulary 1 word 1\n1\ta\n", "v"), Contains("<unk>"));
}

TEST_CASE("units have names", "[text]") {
  for (const Unit unit : {Unit::byte, Unit::character, Unit::word, Unit::subword})
    CHECK(unit_named(name_of(unit)) == unit);
  CHECK_THROWS_WITH(unit_named("syllable"), Contains("byte, character, word or subword"));
}

TEST_CASE("invalid UTF-8 is refused with line and byte, valid UTF-8 is not", "[text]") {
  struct Case {
    const char* text;
    int line, byte;
  };
  for (const Case& c :
       {Case{"ab\xFFz", 1, 3}, Case{"a\nb\x80", 2, 2}, Case{"\n\n\xC0\xAF", 3, 1}, Case{"\xC1\x81", 1, 1},
        Case{"\xE0\x80\xAF", 1, 1}, Case{"a\xED\xA0\x80", 1, 2}, Case{"\xF0\x8F\xBF\xBF", 1, 1},
        Case{"\xF4\x90\x80\x80", 1, 1}, Case{"\xF5\x80\x80\x80", 1, 1}, Case{"ok \xE2\x82", 1, 4},
        Case{"\xC3", 1, 1}, Case{"\xC3\n", 1, 1}, Case{"\xE2\x82(", 1, 1}}) {
    CHECK_THROWS_WITH(require_utf8(c.text, "f.txt"),
                      Contains(fmt::format("f.txt, line {}, byte {}:", c.line, c.byte)));
  }
  for (const char* text : {"", "plain\n", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF",
                           "\xEE\x80\x80", "\xEF\xBF\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    CHECK_NOTHROW(require_utf8(text, "f.txt"));
  }
}
