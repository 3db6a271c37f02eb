#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "text/split.hpp"
#include "text/vocabulary.hpp"

namespace gradus {

struct CorpusOptions {
  Unit unit = Unit::word;
  SplitOptions split{};
  VocabularyOptions vocabulary{};
};

/// The tokens of one part of a text.
struct CorpusPart {
  std::vector<std::int32_t> tokens;
  /// Code points (bytes for Unit::byte), line ends included: bits per character are counted over these.
  std::int64_t characters = 0;
  /// Tokens that are "<unk>".
  std::int64_t unknown = 0;
};

/// A text ready to train on and to test on. The vocabulary comes from the training part alone.
struct Corpus {
  Vocabulary vocabulary;
  CorpusPart train;
  CorpusPart valid;
  CorpusPart test;
};

/// Splits, builds the vocabulary and encodes. Throws DataError, naming `name`, what was found and what to do,
/// for an empty text, one that is too short to split, and one with a single word or a single symbol in its
/// training part.
Corpus make_corpus(std::string_view text, const CorpusOptions& options = {},
                   std::string_view name = "the text");

/// Throws DataError, naming `name`, when the vocabulary's text held a single word or symbol, or none: there
/// is then nothing to predict, and every model has perplexity 1.
void require_choice(const Vocabulary& vocabulary, std::string_view name = "the text");

/// One part with a vocabulary that is there already.
CorpusPart encode_part(const Vocabulary& vocabulary, std::string_view text,
                       std::string_view name = "the text");

}  // namespace gradus
