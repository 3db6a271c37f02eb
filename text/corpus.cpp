#include "text/corpus.hpp"

#include <algorithm>

#include "tensor/support/error.hpp"
#include "text/tokenizer.hpp"

namespace gradus {

void require_choice(const Vocabulary& vocabulary, std::string_view name) {
  const bool words = vocabulary.unit() == Unit::word;
  std::int64_t seen = 0;
  std::int32_t last = 0;
  for (std::int32_t id = 0; id < vocabulary.size(); ++id) {
    if (vocabulary.count(id) == 0 || (words && id == vocabulary.line_end())) continue;
    ++seen;
    last = id;
  }
  if (seen > 1) return;
  if (seen == 0) fail<DataError>("{} holds no words, only line ends; give a text with words in it", name);
  const bool is_line_end = last == vocabulary.line_end();
  fail<DataError>("{} holds only one {}, '{}', so there is nothing to learn; give a text with at least two",
                  name, words ? "word" : "symbol", is_line_end ? "\\n" : vocabulary.symbol(last));
}

CorpusPart encode_part(const Vocabulary& vocabulary, std::string_view text, std::string_view name) {
  CorpusPart part;
  part.tokens = encode(vocabulary, text, name);
  part.characters =
      vocabulary.unit() == Unit::byte ? static_cast<std::int64_t>(text.size()) : count_characters(text);
  part.unknown = std::count(part.tokens.begin(), part.tokens.end(), vocabulary.unknown());
  return part;
}

Corpus make_corpus(std::string_view text, const CorpusOptions& options, std::string_view name) {
  if (text.empty()) fail<DataError>("{} is empty; give a text to learn from", name);
  // Checked before the split, so that an error names the line in the whole text.
  if (options.unit != Unit::byte) require_utf8(text, name);
  require_choice(Vocabulary::build(options.unit, text, {}, name), name);
  const Split parts = split(options.unit, text, options.split, name);
  Corpus corpus;
  corpus.vocabulary = Vocabulary::build(options.unit, parts.train, options.vocabulary, name);
  require_choice(corpus.vocabulary, fmt::format("the training part of {}", name));
  corpus.train = encode_part(corpus.vocabulary, parts.train, name);
  corpus.valid = encode_part(corpus.vocabulary, parts.valid, name);
  corpus.test = encode_part(corpus.vocabulary, parts.test, name);
  return corpus;
}

}  // namespace gradus
