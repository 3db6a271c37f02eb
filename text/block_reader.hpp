#pragma once

// Internal: not part of the public interface.

#include <cstdint>
#include <filesystem>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "text/byte_source.hpp"
#include "text/slices.hpp"
#include "text/text_check.hpp"
#include "text/vocabulary.hpp"

namespace gradus {

/// Reads a text of any size block by block, each one while the caller works on the one before. A block ends
/// with a line or with the file (blocks of bytes end anywhere), so no token spans two blocks.
class BlockReader {
 public:
  struct Block {
    std::string text;
    std::size_t file = 0;         // the number of its file, or part of one
    bool file_start = false;      // whether it is the first of that
    std::int64_t done = 0;        // bytes of all files read so far
    std::int64_t first_line = 1;  // of next_checked: the number of the line in its file that it begins with
  };

  struct Options {
    Unit unit = Unit::word;
    std::int64_t block = std::int64_t{1} << 20;  // bytes
    /// A line longer than this many bytes is not read to its end; 0: no limit.
    std::int64_t max_line = 0;
    /// Whether the words <s> and </s> are read as spaces.
    bool skip_marks = false;
    /// Whether a block ends with the last line that has arrived, so that a pipe is answered line by line.
    bool eager = false;
  };

  /// `path`: a file, a folder, or "-" for the standard input; gzip and zstd archives are decompressed. Throws
  /// DataError as text_files does.
  BlockReader(const std::filesystem::path& path, const Options& options);
  /// The same of parts of files. A part that does not begin its file must be one of split_text's.
  BlockReader(std::vector<TextSlice> slices, const Options& options);

  /// The next block, or nothing at the end. Unless the unit is bytes, which are taken as they are: a byte
  /// order mark at the start of a file is dropped, a missing line end between two files is added, and in a
  /// file whose lines end with "\r" alone (its first 64 KB have "\r" but no "\n") each "\r" becomes "\n".
  /// Throws DataError for files that cannot be read, for archives other than gzip and zstd, and for empty
  /// files.
  std::optional<Block> next();
  /// The same, checked by a TextCheck unless the unit is bytes.
  std::optional<Block> next_checked();
  const std::string& name(const Block& block) const { return names_[block.file]; }
  /// The part of a file that a block is of.
  const TextSlice& slice(const Block& block) const { return slices_[block.file]; }
  /// The size of all files in bytes; 0 when it is not known.
  std::int64_t total() const { return total_; }

 private:
  enum class LineEnds { unknown, line_feed, carriage_return };

  void open();
  std::optional<Block> read();
  /// Reads up to `room` bytes behind the text; false at the end of the file.
  bool extend(std::string& text, std::size_t room);
  void settle_line_ends(std::string& text, std::size_t fresh_from, bool ended);

  std::vector<TextSlice> slices_;
  std::vector<std::string> names_;
  Options options_;
  std::int64_t total_ = 0;
  bool ahead_ = true;
  std::optional<TextCheck> check_;

  // Used by the thread that reads.
  std::size_t file_ = 0;
  bool fresh_ = true;        // nothing of the file, or part of one, has been read
  std::int64_t before_ = 0;  // bytes of the files before this one
  std::int64_t left_ = 0;    // bytes of a part of a file that have not been read
  LineEnds line_ends_ = LineEnds::unknown;
  std::string rest_;  // what has been read beyond the end of the last block
  std::optional<ByteSource> source_;

  // Last, so that it is destroyed before the members that it uses.
  std::future<std::optional<Block>> coming_;
};

}  // namespace gradus
