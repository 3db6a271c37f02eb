#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/vocabulary.hpp"

namespace gradus {

/// The shares of the training and the validation part; the rest is the test part.
struct SplitOptions {
  double train = 0.8;
  double valid = 0.1;
};

/// Views of the parts, which together are the whole text, in its order.
struct Split {
  std::string_view train;
  std::string_view valid;
  std::string_view test;
};

/// Cuts a text into contiguous parts. For words and subwords the shares are of its bytes, and each cut is
/// moved to the start of the next line; for characters and bytes they are of its characters or bytes. So with
/// 0.8 and 0.1 the test part of n characters begins at character floor(0.9 n). Throws ArgumentError for
/// shares below 0 or with a sum above 1, DataError when a part with a share above 0 would be empty.
Split split(Unit unit, std::string_view text, const SplitOptions& options = {},
            std::string_view name = "the text");
/// Deleted, because the parts would outlive the text.
Split split(Unit, std::string&&, const SplitOptions& = {}, std::string_view = {}) = delete;

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
