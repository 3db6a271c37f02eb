#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace gradus {

/// The bytes of a file or a pipe, read once from front to end; gzip and zstd archives, known by their first
/// bytes whatever the file is called, are unpacked on the way.
class ByteSource {
 public:
  /// "-" is the standard input. Throws DataError naming the file when it cannot be opened.
  explicit ByteSource(const std::filesystem::path& path, bool unpack = true);
  ByteSource(ByteSource&&) noexcept;
  ByteSource& operator=(ByteSource&&) noexcept;
  ~ByteSource();

  /// What errors call it: the path, or "standard input".
  const std::string& name() const;
  /// Fills the buffer as far as there is something left; 0 at the end. Throws DataError when the file cannot
  /// be read or its archive is damaged or cut short.
  std::size_t read(std::span<char> to);
  /// Bytes taken from the file so far, packed ones counted as they are, and its size; 0 when unknown.
  std::int64_t taken() const;
  std::int64_t size() const;

 private:
  struct File;
  std::unique_ptr<File> file_;
};

}  // namespace gradus
