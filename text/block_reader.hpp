#pragma once

// Internal: not part of the public interface.

#include <cstdint>
#include <filesystem>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "text/byte_source.hpp"
#include "text/text_check.hpp"
#include "text/vocabulary.hpp"

namespace gradus {

/// Reads a text of any size block by block, each one while the caller works on the one before. A block ends
/// with a line or with the file (blocks of bytes end anywhere), so no token spans two blocks.
class BlockReader {
 public:
  struct Block {
    std::string text;
    std::size_t file = 0;         // the number of its file
    bool file_start = false;      // whether it is the first of its file
    std::int64_t done = 0;        // bytes of all files read so far
    std::int64_t first_line = 1;  // of next_checked: the number of the line in its file that it begins with
  };

  /// `path`: a file, a folder, or "-" for the standard input. A line longer than `max_line` bytes (0: no
  /// limit) is not read to its end. `unpack`: whether gzip and zstd archives of text are decompressed and not
  /// refused. Throws DataError as text_files does.
  BlockReader(const std::filesystem::path& path, Unit unit, std::int64_t block, std::int64_t max_line,
              bool unpack = true);

  /// The next block, or nothing at the end. A byte order mark at the start of a file is dropped, and a
  /// missing line end between two files is added. Throws DataError for files that cannot be read, for
  /// archives other than gzip and zstd, and for empty files.
  std::optional<Block> next();
  /// The same, checked by a TextCheck unless the unit is bytes.
  std::optional<Block> next_checked();
  const std::string& name(const Block& block) const { return names_[block.file]; }
  /// The size of all files in bytes; 0 when it is not known.
  std::int64_t total() const { return total_; }

 private:
  std::optional<Block> read();

  std::vector<std::filesystem::path> files_;
  std::vector<std::string> names_;
  Unit unit_;
  std::size_t block_ = 0;
  std::int64_t max_line_ = 0;
  std::int64_t total_ = 0;
  bool unpack_ = true, ahead_ = true;
  std::optional<TextCheck> check_;

  // Used by the thread that reads.
  std::size_t file_ = 0;
  bool fresh_ = true;        // nothing of the file has been read
  std::int64_t before_ = 0;  // bytes of the files before this one
  std::string rest_;         // what has been read beyond the end of the last block
  std::optional<ByteSource> source_;

  // Last, so that it is destroyed before the members that it uses.
  std::future<std::optional<Block>> coming_;
};

}  // namespace gradus
