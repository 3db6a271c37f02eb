#pragma once

// Internal: not part of the public interface.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace gradus {

/// Looks at what is read of a text in UTF-8 for what no text holds, and for a line without an end. Errors
/// name the file, the line and the byte.
class TextCheck {
 public:
  /// `max_line`: the longest line in bytes; 0 is no limit.
  explicit TextCheck(std::string name, std::int64_t max_line) : name_(std::move(name)), max_line_(max_line) {}

  /// The next part. Throws DataError for a zero byte, many control characters, a line over the limit.
  void read(std::string_view part);
  /// The next part, of whole lines, is known to be sound.
  void pass(std::int64_t lines) { line_ += lines; }
  /// The number of the line that the next part begins in, from 1.
  std::int64_t line() const { return line_; }

 private:
  void look(std::string_view part);

  std::string name_;
  std::int64_t max_line_ = 0;
  std::int64_t line_ = 1;
  std::int64_t in_line_ = 0;
  std::int64_t controls_ = 0;
};

/// Throws DataError, saying what to do, when a file's first bytes are those of an archive, a PDF document or
/// UTF-16. `unpacked`: gzip and zstd archives are the reader's business.
void require_plain_text(std::string_view start, std::string_view name, bool unpacked = false);

/// The first bytes of UTF-8 files of some editors, no part of the text.
inline constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

/// The file, or all regular files of a folder (not of folders in it; hidden ones are left out) in the order
/// of their names. Throws DataError when there is nothing.
std::vector<std::filesystem::path> text_files(const std::filesystem::path& path);

}  // namespace gradus
