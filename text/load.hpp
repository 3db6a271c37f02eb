#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "text/vocabulary.hpp"

namespace gradus {

struct LoadOptions {
  /// Bytes are taken as they are; characters and words must be text in UTF-8, subwords a text that may hold
  /// other bytes too.
  Unit unit = Unit::word;
  /// The limit on the length of a line in bytes; 0: none.
  std::int64_t max_line = 0;
  /// Whether the words <s> and </s> are read as spaces.
  bool skip_marks = false;
};

/// The text of a file, of the standard input ("-"), or of all regular files of a folder in the order of their
/// names (without hidden files and subfolders), plain or compressed by gzip or zstd. Bytes are taken as they
/// are then. Of other units a UTF-8 byte order mark at the start of a file is dropped, a line end is added
/// between two files where it is missing, and in a file whose lines end with "\r" alone each becomes "\n".
/// Throws DataError, which names the file and what to do, for a path that does not exist or cannot be read,
/// an empty file, a folder without files, other archives or binary contents, UTF-16, invalid UTF-8 (with the
/// line and the byte), and a line over the limit (with its number; the file is not read further).
std::string load_text(const std::filesystem::path& path, const LoadOptions& options = {});

}  // namespace gradus
