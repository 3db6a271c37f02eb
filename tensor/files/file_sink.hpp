#pragma once

// Internal: a file that is written piece by piece.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "tensor/support/write_file.hpp"

namespace gradus::files {

/// Writes a file as write_file does, piece by piece: what is large never stands in memory as a whole. A
/// device, a pipe or the standard output gets everything at commit().
class FileSink {
 public:
  /// Throws DataError as write_file does.
  explicit FileSink(const std::filesystem::path& path);
  void write(std::string_view bytes);
  /// The bytes written.
  std::uint64_t position() const { return position_; }
  void commit();

 private:
  std::filesystem::path path_;
  std::optional<FileReplacement> replacement_;
  std::string held_;  // without a replacement
  std::uint64_t position_ = 0;
};

}  // namespace gradus::files
