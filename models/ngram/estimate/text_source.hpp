#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "models/ngram/estimate/estimate.hpp"
#include "models/team.hpp"
#include "text/vocabulary.hpp"

namespace gradus::models::ngram {

struct TextOptions {
  Unit unit = Unit::word;
  /// Which symbols of the text become unknown.
  VocabularyOptions vocabulary{};
  /// A given vocabulary: symbols that it does not list are unknown.
  std::optional<Vocabulary> known{};
  /// With a given vocabulary: a symbol that it does not list is an error.
  bool closed = false;
  /// The limit on the length of a line in bytes; 0: none.
  std::int64_t max_line = 0;
  /// Whether the words <s> and </s> are read as spaces.
  bool skip_marks = false;
  /// Bytes read at a time; the source takes about ten times as much memory. The tokens do not depend on it.
  std::int64_t block = std::int64_t{4} << 20;
  /// The processes that read the text together: each reads a part of a text of words, which must be there for
  /// all of them. A text of characters or bytes is one sentence, and so the first one's.
  std::shared_ptr<Team> team = std::make_shared<Team>();
};

/// The tokens of a text file, of all files of a folder, or of the standard input ("-"), plain or compressed
/// by gzip or zstd. The text is read once and never held as a whole. The tokens and the vocabulary are those
/// that load_text, Vocabulary::build and encode (text/) give. A line of words is a sentence that ends with
/// the token "</s>"; a text of characters or bytes is one sentence.
///
/// read() throws DataError, naming the file and the line, for what load_text and encode refuse.
class TextSource : public TokenSource {
 public:
  explicit TextSource(const std::filesystem::path& path, TextOptions options = {});
  ~TextSource() override;

  bool read(std::vector<std::uint32_t>& ids) override;
  std::int64_t provisional_end() const override;
  Ids finish() override;
  /// In bytes of the files, as they are stored.
  Progress progress() const override;

  /// After finish().
  const Vocabulary& vocabulary() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace gradus::models::ngram
