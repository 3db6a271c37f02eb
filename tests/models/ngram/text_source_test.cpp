#include "models/ngram/estimate/text_source.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"
#include "text/tokenizer.hpp"

using namespace gradus;
using namespace gradus::models::ngram;
using Catch::Contains;
using gradus::test::Folder;

namespace {

struct Read {
  std::vector<std::int32_t> tokens;
  Vocabulary vocabulary;
  TokenSource::Ids ids;
};

/// All tokens by their final ids.
Read read_all(const std::filesystem::path& path, const TextOptions& options) {
  Read out;
  TextSource source(path, options);
  std::vector<std::uint32_t> provisional, block;
  while (source.read(block)) provisional.insert(provisional.end(), block.begin(), block.end());
  out.ids = source.finish();
  for (const std::uint32_t id : provisional) out.tokens.push_back(out.ids.final_id[id]);
  out.vocabulary = source.vocabulary();
  return out;
}

}  // namespace

TEST_CASE("a text has the tokens and the vocabulary that encode and Vocabulary::build give, in every unit",
          "[ngram]") {
  const Folder folder;
  std::string text = "the cat sat .\nthe dog\n\n";
  for (int i = 0; i < 3000; ++i) text += fmt::format("word{} \xC3\xA4 {}\n", i % 700, i % 13);
  const auto file = folder.write("text", text);
  for (const Unit unit : {Unit::word, Unit::character, Unit::byte}) {
    INFO(name_of(unit));
    const Vocabulary expected = Vocabulary::build(unit, text);
    for (const std::int64_t block : {std::int64_t{1} << 12, std::int64_t{4} << 20}) {
      const Read read = read_all(file, {.unit = unit, .block = block});
      CHECK(read.vocabulary == expected);
      CHECK((read.tokens == encode(expected, text)));
      CHECK(read.ids.vocab == expected.size());
      CHECK(read.ids.sentence_end == (unit == Unit::word ? expected.line_end() : -1));
    }
  }
}

TEST_CASE("a text source refuses a vocabulary that does not go with it, and marks of its own in the text",
          "[ngram]") {
  const Folder folder;
  const auto file = folder.write("text", "a b\nb <s> a\n");
  const auto refused = [&](const TextOptions& options, const std::string& message) {
    CHECK_THROWS_WITH(read_all(file, options), Contains(message));
  };
  refused({}, "text, line 2: the word '<s>' stands in the text");
  refused({.closed = true}, "a closed vocabulary must be given");
  refused({.unit = Unit::subword}, "subwords are not counted from a file");
  refused({.known = Vocabulary::build(Unit::character, "a b\n")},
          "a text of words with a vocabulary of characters");
  refused({.unit = Unit::byte, .known = Vocabulary::build(Unit::word, "a b\n")},
          "a text of bytes with a vocabulary of words");
  CHECK(read_all(file, {.unit = Unit::character}).tokens.size() == 12);  // where it is no mark
  const Vocabulary letters = Vocabulary::build(Unit::character, "ab \n");
  refused({.unit = Unit::character, .known = letters, .closed = true},
          "text, line 2: '<' is not in the vocabulary, which is closed");
}
