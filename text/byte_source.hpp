#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

namespace gradus {

/// Whether a path names the standard input: "-", "/dev/stdin" and the like.
bool is_standard_input(const std::filesystem::path& path);

/// The bytes of a file or a pipe, read once from front to back. gzip and zstd archives, recognised by their
/// first bytes and not by name, are decompressed on the way.
class ByteSource {
 public:
  /// The standard input is read from where it stands. Throws DataError naming the file when it cannot be
  /// opened.
  explicit ByteSource(const std::filesystem::path& path, bool unpack = true);
  ByteSource(ByteSource&&) noexcept;
  ByteSource& operator=(ByteSource&&) noexcept;
  ~ByteSource();

  /// Fills the buffer, or as much of it as there are bytes left, and returns their number; 0 at the end.
  /// Throws DataError when the file cannot be read or its archive is damaged or cut short.
  std::size_t read(std::span<char> to);
  /// The same, but returns as soon as there are some bytes, so that one can answer to a pipe before its end.
  std::size_t read_some(std::span<char> to);
  /// Whether what is read is decompressed.
  bool unpacks() const;
  /// Reads on from this byte of a file that is not decompressed. Throws DataError where it has no such place.
  void skip_to(std::int64_t byte);
  /// The bytes read from the file so far, before decompression.
  std::int64_t taken() const;

 private:
  struct File;
  std::unique_ptr<File> file_;
};

}  // namespace gradus
