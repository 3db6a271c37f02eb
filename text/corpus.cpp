#include "text/corpus.hpp"

#include <algorithm>
#include <cmath>

#include "tensor/support/error.hpp"
#include "text/tokenizer.hpp"

namespace gradus {

namespace {

// The byte where the given share of the text, from its start, ends.
std::size_t cut(Unit unit, std::string_view text, std::int64_t length, double share) {
  if (share >= 1) return text.size();
  // So that 0.8 + 0.1 of 1000 is 900 despite rounding.
  const auto wanted = static_cast<std::size_t>(std::floor(share * static_cast<double>(length) + 1e-6));
  if (wanted == 0 || unit == Unit::byte) return wanted;
  if (unit == Unit::word || unit == Unit::subword) {
    const std::size_t end = text.find('\n', wanted - 1);
    return end == text.npos ? text.size() : end + 1;
  }
  std::size_t at = 0;
  for (std::size_t seen = 0; at < text.size(); ++at) {
    const bool starts = (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80;
    if (starts && seen++ == wanted) break;
  }
  return at;
}

}  // namespace

Split split(Unit unit, std::string_view text, const SplitOptions& options, std::string_view name) {
  const double both = options.train + options.valid;
  if (!(options.train >= 0) || !(options.valid >= 0) || !(both <= 1 + 1e-9)) {
    fail<ArgumentError>("split: {} to train and {} to validate; give shares of 0 or more, at most 1 together",
                        options.train, options.valid);
  }
  const auto length =
      unit == Unit::character ? count_characters(text) : static_cast<std::int64_t>(text.size());
  const std::size_t first = cut(unit, text, length, options.train);
  const std::size_t second = cut(unit, text, length, both >= 1 - 1e-9 ? 1 : both);
  const Split parts{text.substr(0, first), text.substr(first, second - first), text.substr(second)};
  const bool wanted[] = {options.train > 0, options.valid > 0, both < 1 - 1e-9};
  const std::string_view part[] = {parts.train, parts.valid, parts.test};
  const char* const names[] = {"training", "validation", "test"};
  for (std::size_t i = 0; i < 3; ++i) {
    if (!wanted[i] || !part[i].empty()) continue;
    fail<DataError>("{} is too short to split: its {} part would be empty; give {}", name, names[i],
                    unit == Unit::word || unit == Unit::subword ? "a text of more lines" : "a longer text");
  }
  return parts;
}

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
                  name, words ? "word" : "symbol",
                  is_line_end ? "\\n" : vocabulary.symbol(last).substr(0, 60));
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
  if (options.unit != Unit::byte && options.unit != Unit::subword) require_utf8(text, name);
  if (options.unit != Unit::subword) require_choice(Vocabulary::build(options.unit, text, {}, name), name);
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
