#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "text/vocabulary.hpp"

namespace gradus {

struct LoadOptions {
  /// Bytes are taken as they are; characters and words must be text in UTF-8.
  Unit unit = Unit::word;
  /// The limit on the length of a line in bytes, so that reading a file that is not text stops early; 0:
  /// none.
  std::int64_t max_line = std::int64_t{16} << 20;
  /// Whether characters and words may be compressed by gzip or zstd.
  bool unpack = false;
};

/// The text of a file, of the standard input ("-"), or of all regular files of a folder in the order of their
/// names (without hidden files and subfolders), with a line end added between two files where it is missing.
/// A UTF-8 byte order mark at the start of a file is dropped. Throws DataError, which names the file and what
/// to do, for a path that does not exist or cannot be read, an empty file, a folder without files, compressed
/// (unless unpacked) or binary contents, invalid UTF-8 (with the line and the byte), and a line over the
/// limit (with its number; the file is not read further).
std::string load_text(const std::filesystem::path& path, const LoadOptions& options = {});

}  // namespace gradus
