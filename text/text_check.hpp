#pragma once

// Internal: not part of the public interface.

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace gradus {

/// Checks a text in UTF-8, as it is read, for bytes that no text has and for lines that are too long. Errors
/// name the file, the line and the byte.
class TextCheck {
 public:
  /// `max_line`: the limit on the length of a line in bytes; 0: none.
  explicit TextCheck(std::string name, std::int64_t max_line) : name_(std::move(name)), max_line_(max_line) {}

  /// Checks the next part. Throws DataError for a zero byte, for many control characters and for a line over
  /// the limit.
  void read(std::string_view part);
  /// Skips the next part, which has this many whole lines and is known to be correct.
  void pass(std::int64_t lines) { line_ += lines; }
  /// The number, from 1, of the line in which the next part begins.
  std::int64_t line() const { return line_; }

 private:
  void look(std::string_view part);

  std::string name_;
  std::int64_t max_line_ = 0;
  std::int64_t line_ = 1;
  std::int64_t in_line_ = 0;
  std::int64_t controls_ = 0;
};

/// Throws DataError, which says what to do, when the first bytes of a file are those of an archive, a PDF
/// document, UTF-16 (with a byte order mark or without one) or UTF-32.
void require_plain_text(std::string_view start, std::string_view name);

/// Replaces the words <s> and </s> by spaces. The text must begin and end with a line.
void blank_sentence_marks(std::string& text);

/// Removes the text before the next separator, and the separator, and returns the text.
inline std::string_view take(std::string_view& text, char separator) {
  const std::size_t end = std::min(text.find(separator), text.size());
  const std::string_view out = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return out;
}

/// Whether the whole text is a number, which is then stored. `format`: the base of integers.
template <class Number, class... Format>
bool to_number(std::string_view text, Number& out, Format... format) {
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, out, format...);
  return error == std::errc() && stop == end;
}

/// The first bytes of UTF-8 files from some editors, which are not part of the text.
inline constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

/// The file itself, or all regular files of a folder in the order of their names, without hidden files and
/// subfolders. Throws DataError when there are none.
std::vector<std::filesystem::path> text_files(const std::filesystem::path& path);

}  // namespace gradus
