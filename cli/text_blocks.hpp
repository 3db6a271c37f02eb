#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "text/block_reader.hpp"
#include "text/byte_source.hpp"
#include "text/vocabulary.hpp"

namespace gradus::cli {

/// A text's tokens, preceded by the one that serves as context of the first: the line end where the
/// vocabulary has one.
inline std::vector<std::int32_t> with_context(const Vocabulary& vocabulary,
                                              std::vector<std::int32_t> tokens) {
  const std::int32_t line_end = vocabulary.line_end();
  tokens.insert(tokens.begin(), line_end >= 0 ? line_end : 0);
  return tokens;
}

/// The ids of a text to be scored, piece by piece: of a file, a folder or "-", the standard input, plain or
/// compressed by gzip or zstd. The text is checked as by load_text and encode.
class TextBlocks {
 public:
  /// The vocabulary must outlive it.
  TextBlocks(const std::string& path, const Vocabulary& vocabulary);

  /// Replaces the ids by the next ones; false at the end.
  bool next(std::vector<std::int32_t>& ids);
  /// The size of what was read so far: in code points, or in bytes where they are the unit.
  std::int64_t characters() const { return characters_; }
  /// The number of bytes read so far, and of all bytes; 0 when that is not known.
  std::int64_t done() const { return done_; }
  std::int64_t total() const { return blocks_.total(); }

 private:
  const Vocabulary& vocabulary_;
  BlockReader blocks_;
  std::int64_t characters_ = 0, done_ = 0;
};

/// All ids of a text, preceded by the one that serves as the first one's context.
std::vector<std::int32_t> read_tokens(const std::string& path, const Vocabulary& vocabulary);

/// Reads line by line, so that one can be answered before the next arrives.
class LineReader {
 public:
  explicit LineReader(const std::string& path, bool unpack) : source_(path, unpack) {}
  /// The next line without its end; false when there is none.
  bool next(std::string& line);

 private:
  ByteSource source_;
};

}  // namespace gradus::cli
