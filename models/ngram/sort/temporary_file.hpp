#pragma once

// Internal: not part of the public interface.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <span>
#include <vector>

namespace gradus::models::ngram {

/// Compresses records of `width` words. Each column is stored as differences from its minimum, in as many
/// bits as the largest difference needs, without the low bits that all numbers share. Records of one range
/// share most of their high bits, and keys and counts leave high and low bits unused, so this halves their
/// size, as fast as memory is read.
void pack_columns(std::span<const std::uint64_t> records, std::size_t width, std::vector<unsigned char>& out);

/// Reverses pack_columns for the number of records that was packed. Returns false when the bytes cannot be
/// its output.
bool unpack_columns(std::span<const unsigned char> bytes, std::size_t width,
                    std::span<std::uint64_t> records);

/// A file for records that do not fit in memory, compressed by pack_columns. It has no name in its folder, or
/// loses it at once, so that nothing is left behind however the program ends. The file is created at the
/// first write. Several threads may write at the same time; after the last write, several threads may read.
class TemporaryFile {
 public:
  /// `folder`: empty for the system's.
  explicit TemporaryFile(std::filesystem::path folder);
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile();

  struct Place {
    std::int64_t offset = 0;
    std::uint32_t packed = 0;  // bytes in the file
  };
  /// Writes records of `width` words. Throws DataError, naming the folder and what to do, when the disk is
  /// full or cannot be written to.
  Place write(std::span<const std::uint64_t> words, std::size_t width);
  /// Fills `words` with what was written at a place. Throws DataError when it cannot be read.
  void read(const Place& place, std::span<std::uint64_t> words, std::size_t width);

 private:
  void open();
  void flush();

  std::filesystem::path folder_;
  std::mutex mutex_;
  int descriptor_ = -1;
  std::int64_t end_ = 0;      // bytes handed over
  std::int64_t written_ = 0;  // bytes in the file; the rest is in buffer_
  std::vector<unsigned char> buffer_;
};

}  // namespace gradus::models::ngram
