#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "text/vocabulary.hpp"

namespace gradus {

struct LoadOptions {
  /// Bytes are taken as they are; characters and words must be text in UTF-8.
  Unit unit = Unit::word;
  /// The longest line in bytes, so that a file that is not lines of text stops early; 0 is no limit.
  std::int64_t max_line = std::int64_t{16} << 20;
};

/// The text of a file, or of all regular files of a folder (not of folders in it; hidden ones are left out)
/// in the order of their names, a line end put between two files where it is missing. A UTF-8 byte order mark
/// at a file's start is dropped. Throws DataError naming the file, what was found and what to do, for:
/// nothing there, not readable, empty, a folder without files, compressed or binary content, invalid UTF-8
/// (line and byte), a line over the limit (its number; the file is read no further).
std::string load_text(const std::filesystem::path& path, const LoadOptions& options = {});

}  // namespace gradus
