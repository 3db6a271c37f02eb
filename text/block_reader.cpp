#include "text/block_reader.hpp"

#include <utility>

#include "tensor/support/error.hpp"

namespace gradus {

BlockReader::BlockReader(const std::filesystem::path& path, Unit unit, std::int64_t block,
                         std::int64_t max_line, bool unpack)
    : unit_(unit), block_(static_cast<std::size_t>(block)), max_line_(max_line), unpack_(unpack) {
  if (block < 1) fail<ArgumentError>("a text read in blocks of {} bytes: give 1 or more", block);
  if (path == "-") {
    files_ = {path};
    names_ = {"standard input"};
    ahead_ = false;  // a pipe may deliver nothing for a long time, and errors would have to wait for it
    return;
  }
  files_ = text_files(path);
  for (const std::filesystem::path& file : files_) {
    names_.push_back(file.string());
    std::error_code unknown;
    const bool regular = std::filesystem::is_regular_file(file, unknown);
    ahead_ &= regular;
    if (regular) total_ += static_cast<std::int64_t>(std::filesystem::file_size(file, unknown));
  }
  if (!ahead_) total_ = 0;
}

std::optional<BlockReader::Block> BlockReader::next() {
  if (!ahead_) return read();
  if (!coming_.valid()) coming_ = std::async(std::launch::async, [this] { return read(); });
  std::optional<Block> block = coming_.get();
  if (block) coming_ = std::async(std::launch::async, [this] { return read(); });
  return block;
}

std::optional<BlockReader::Block> BlockReader::next_checked() {
  std::optional<Block> block = next();
  if (!block || unit_ == Unit::byte) return block;
  if (block->file_start) check_.emplace(name(*block), max_line_);
  block->first_line = check_->line();
  check_->read(block->text);
  return block;
}

std::optional<BlockReader::Block> BlockReader::read() {
  if (file_ == files_.size()) return std::nullopt;
  if (!source_) {
    source_.emplace(files_[file_], unpack_ && unit_ != Unit::byte);
    fresh_ = true;
  }
  Block block{.text = std::exchange(rest_, {}), .file = file_, .file_start = fresh_};
  std::string& text = block.text;
  std::size_t cut = text.npos;
  for (std::size_t room = block_; cut == text.npos; room = text.size()) {
    const std::size_t start = text.size();
    text.resize(start + room);
    const std::size_t got = source_->read({text.data() + start, room});
    text.resize(start + got);
    if (got < room) break;
    if (unit_ == Unit::byte) {
      cut = text.size();
    } else {
      const std::size_t line_end = text.rfind('\n');
      if (line_end != text.npos) cut = line_end + 1;
      // The caller's TextCheck reports a line that is too long.
      if (max_line_ > 0 && text.size() > static_cast<std::size_t>(max_line_) + block_) break;
    }
  }
  if (cut != text.npos) rest_.assign(text, cut);
  if (fresh_ && unit_ != Unit::byte) {
    require_plain_text(text, names_[file_], unpack_);
    if (text.starts_with(byte_order_mark)) text.erase(0, byte_order_mark.size());
  }
  const bool file_ends = cut == text.npos;
  if (cut != text.npos) text.resize(text.size() - rest_.size());
  if (fresh_ && file_ends && text.empty())
    fail<DataError>("{} is empty; give a file with text in it", names_[file_]);
  block.done = before_ + source_->taken();
  fresh_ = false;
  if (file_ends) {
    before_ = block.done;
    source_.reset();
    ++file_;
    if (text.empty()) return read();  // the last block ended exactly with the file, and with a line
    if (unit_ == Unit::character && file_ < files_.size() && !text.ends_with('\n')) text += '\n';
  }
  return block;
}

}  // namespace gradus
