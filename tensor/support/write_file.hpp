#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace gradus {

/// Writes a file atomically: into a temporary file in the same folder, which is renamed once every byte is on
/// the disk. Throws DataError, naming the file and the cause (no such folder, no permission, disk full); an
/// older file of that name then stays as it was, and no temporary file is left. A file that is replaced keeps
/// its mode; a new one gets that of the umask.
void write_file(const std::filesystem::path& path, std::string_view bytes);

/// Throws as write_file would if the file's folder is missing or not writable, so that long work can find out
/// before it begins that its result could not be written.
void require_writable(const std::filesystem::path& path);

/// True for a device or a pipe, which is written to directly: renaming would put a file in its place.
bool is_special(const std::filesystem::path& path);

/// What write_file does, for a file that is written piece by piece: a temporary file in the folder of `path`.
/// It replaces the file at `path` at commit() and is removed if there is no commit(). Temporary files for the
/// same path that killed processes left are removed. At most 100 processes may write one file at a time.
class FileReplacement {
 public:
  /// Throws DataError as write_file does.
  explicit FileReplacement(const std::filesystem::path& path);
  FileReplacement(const FileReplacement&) = delete;
  FileReplacement& operator=(const FileReplacement&) = delete;
  ~FileReplacement();

  /// Open for reading and writing.
  int descriptor() const { return descriptor_; }
  /// Moves the file to its place once every byte is on the disk.
  void commit();
  /// Throws the DataError for an error number of a write.
  [[noreturn]] void fail_writing(int error) const;

 private:
  /// Gives the temporary file the mode of the file that it is to replace.
  void keep_mode();

  std::filesystem::path path_, target_;  // as given, and where links lead
  std::string temporary_;
  int descriptor_ = -1;
  bool committed_ = false;
};

}  // namespace gradus
