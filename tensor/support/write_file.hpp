#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace gradus {

/// Writes a file whole or not at all: into a temporary one beside it, renamed over the old one when every
/// byte is on the disk. Throws DataError naming the file and the cause (no such folder, no permission, disk
/// full); the old file then stands as it was and nothing is left behind.
void write_file(const std::filesystem::path& path, std::string_view bytes);

/// Throws as write_file would when the file's folder is missing or cannot be written to: to find out before
/// the work whose result it will hold, and not after.
void require_writable(const std::filesystem::path& path);

/// A device or a pipe: written to as it is, where a rename would put a file in its place.
bool is_special(const std::filesystem::path& path);

/// What write_file does, for a file that is written piece by piece: a temporary file beside `path`, which
/// takes its place at commit() and is removed without. Those that killed runs have left beside the same path
/// are removed as well.
class FileReplacement {
 public:
  /// Throws DataError as write_file does.
  explicit FileReplacement(const std::filesystem::path& path);
  FileReplacement(const FileReplacement&) = delete;
  FileReplacement& operator=(const FileReplacement&) = delete;
  ~FileReplacement();

  /// Open for reading and writing.
  int descriptor() const { return descriptor_; }
  /// Puts the file in its place once every byte is on the disk.
  void commit();
  /// Throws the DataError for an errno of writing.
  [[noreturn]] void fail_writing(int error) const;

 private:
  std::filesystem::path path_, target_;  // as given, and where links lead
  std::string temporary_;
  int descriptor_ = -1;
  bool committed_ = false;
};

}  // namespace gradus
