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
  /// Code points (bytes for Unit::byte), line ends included, over which bits per character are averaged.
  std::int64_t characters = 0;
  /// The number of tokens that are "<unk>".
  std::int64_t unknown = 0;
};

/// A text prepared for training and testing. The vocabulary is that of the training part alone.
struct Corpus {
  Vocabulary vocabulary;
  CorpusPart train;
  CorpusPart valid;
  CorpusPart test;
};

/// Splits a text, builds its vocabulary and encodes it. Throws DataError, which names `name`, for a text that
/// is empty, too short to split, or has only one word or symbol in its training part.
Corpus make_corpus(std::string_view text, const CorpusOptions& options = {},
                   std::string_view name = "the text");

/// Throws DataError, which names `name`, when the text of the vocabulary had no words, or only one word or
/// symbol: then there is nothing to predict, and every model has perplexity 1.
void require_choice(const Vocabulary& vocabulary, std::string_view name = "the text");

/// Encodes one part of a text with a given vocabulary.
CorpusPart encode_part(const Vocabulary& vocabulary, std::string_view text,
                       std::string_view name = "the text");

}  // namespace gradus
