#pragma once

// Internal: not part of the public interface.

#include <cstdint>
#include <filesystem>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "text/byte_source.hpp"
#include "text/vocabulary.hpp"

namespace gradus {

/// Reads a text of any size block by block, the next block while the last one is worked on. Blocks end with a
/// line end (or the file's; those of bytes end anywhere), so no token spans two of them.
class BlockReader {
 public:
  struct Block {
    std::string text;
    std::size_t file = 0;     // its number
    bool file_start = false;  // it is the file's first
    std::int64_t done = 0;    // bytes of all files taken so far
  };

  /// `path`: a file, a folder, or "-". A line longer than `max_line` (0: no limit) is not read to its end.
  /// Throws DataError as text_files does.
  BlockReader(const std::filesystem::path& path, Unit unit, std::int64_t block, std::int64_t max_line);

  /// The next block, or nothing at the end. A byte order mark at a file's start is dropped, a missing line
  /// end between two files is added. Throws DataError for what cannot be read, archives other than gzip and
  /// zstd, and files without text.
  std::optional<Block> next();
  const std::string& name(const Block& block) const { return names_[block.file]; }
  /// Bytes of all files; 0 when unknown.
  std::int64_t total() const { return total_; }

 private:
  std::optional<Block> read();
  void open();

  std::vector<std::filesystem::path> files_;
  std::vector<std::string> names_;
  Unit unit_;
  std::size_t block_ = 0;
  std::int64_t max_line_ = 0;
  std::int64_t total_ = 0;
  bool ahead_ = true;

  // Of the thread that reads.
  std::size_t file_ = 0;
  bool fresh_ = true;
  std::int64_t before_ = 0;  // bytes of the files before
  std::string rest_;         // what follows the last block's end
  std::optional<ByteSource> source_;

  // Last, so that it ends before what it uses.
  std::future<std::optional<Block>> coming_;
};

}  // namespace gradus
