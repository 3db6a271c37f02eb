#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/block_reader.hpp"
#include "text/byte_source.hpp"
#include "text/prompt.hpp"
#include "text/vocabulary.hpp"

namespace gradus::cli {

/// The ids of a text to be scored, piece by piece: of a file, a folder or "-", the standard input, plain or
/// compressed by gzip or zstd. The text is checked as by load_text and encode.
class TextBlocks {
 public:
  /// The vocabulary must outlive it. `skip_marks`: as of load_text.
  TextBlocks(const std::string& path, const Vocabulary& vocabulary, bool skip_marks = false);

  /// Replaces the ids by the next ones; false at the end.
  bool next(std::vector<std::int32_t>& ids);
  /// The size of what was read so far: in code points, or in bytes where they are the unit.
  std::int64_t characters() const { return characters_; }
  /// The same in bytes, and the words that spaces and line ends separate, each line end counted as one more.
  std::int64_t bytes() const { return bytes_; }
  std::int64_t words() const { return words_; }
  /// The number of bytes read so far, and of all bytes; 0 when that is not known.
  std::int64_t done() const { return done_; }
  std::int64_t total() const { return blocks_.total(); }

 private:
  bool next_subwords(std::vector<std::int32_t>& ids);

  const Vocabulary& vocabulary_;
  BlockReader blocks_;
  void count(std::string_view text);

  std::int64_t characters_ = 0, done_ = 0, bytes_ = 0, words_ = 0;
  bool in_word_ = false;  // whether the text so far ends within a word
  std::string rest_;      // of subwords: what may belong to a token that goes on in the next block
};

/// All ids of a text, preceded by the one that serves as the first one's context.
std::vector<std::int32_t> read_tokens(const std::string& path, const Vocabulary& vocabulary,
                                      bool skip_marks = false);

/// The ids of a text line by line, each with its line end if the text has it. A pipe's line is given before
/// the next arrives.
class TextLines {
 public:
  /// The vocabulary must outlive it.
  TextLines(const std::string& path, const Vocabulary& vocabulary, bool skip_marks);

  /// Replaces the ids by those of the next line; false at the end.
  bool next(std::vector<std::int32_t>& ids);
  /// The text of that line, with its end if it has one.
  const std::string& line() const { return line_; }

 private:
  const Vocabulary& vocabulary_;
  BlockReader blocks_;
  BlockReader::Block block_;
  std::string line_;
  std::size_t at_ = 0;       // what of the block has been read
  std::int64_t number_ = 1;  // of the line at that place
};

/// The words of a text that spaces and line ends separate, each line end counted as one more. `in_word`:
/// whether the text before it ends within a word; becomes so of this text.
std::int64_t count_words(std::string_view text, bool& in_word);

/// Ids of lines, kept in a temporary file until they are wanted.
class LineSpool {
 public:
  /// Throws DataError when there is no room for temporary files.
  LineSpool();
  void add(std::span<const std::int32_t> ids);
  /// After the last add: the lines, one after the other; false at the end.
  bool next(std::vector<std::int32_t>& ids);

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  [[noreturn]] static void failed();

  std::unique_ptr<std::FILE, Close> file_;
  bool reading_ = false;
};

/// Ends the command as wrong usage where --skip-marks does not apply: the marks are words.
void require_marks_of_words(bool skip_marks, Unit unit);

/// What messages call a text.
inline std::string text_name(const std::string& path) {
  return is_standard_input(path) ? "standard input" : path;
}
/// Whether a text can be read only once, as from a pipe or a device.
bool is_stream(const std::string& path);

}  // namespace gradus::cli
