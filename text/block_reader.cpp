#include "text/block_reader.hpp"

#include <algorithm>
#include <utility>

#include "tensor/support/error.hpp"

namespace gradus {

BlockReader::BlockReader(const std::filesystem::path& path, const Options& options) : options_(options) {
  if (options.block < 1)
    fail<ArgumentError>("a text read in blocks of {} bytes: give 1 or more", options.block);
  if (is_standard_input(path)) {
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
  if (!block || options_.unit == Unit::byte) return block;
  if (block->file_start) check_.emplace(name(*block), options_.max_line);
  block->first_line = check_->line();
  check_->read(block->text);
  return block;
}

bool BlockReader::extend(std::string& text, std::size_t room) {
  const std::size_t start = text.size();
  text.resize(start + room);
  const std::span<char> to(text.data() + start, room);
  const std::size_t got = options_.eager ? source_->read_some(to) : source_->read(to);
  text.resize(start + got);
  const bool ended = got == 0 || (got < room && !options_.eager);
  if (options_.unit != Unit::byte) settle_line_ends(text, start, ended);
  return !ended;
}

void BlockReader::settle_line_ends(std::string& text, std::size_t fresh_from, bool ended) {
  constexpr std::size_t window = std::size_t{1} << 16;
  if (line_ends_ == LineEnds::unknown) {
    // As long as it is unknown there is no line end, so the text begins with the file.
    const std::string_view start = std::string_view(text).substr(0, window);
    if (start.find('\n') == start.npos && start.size() < window && !ended) return;
    const bool returns = start.find('\n') == start.npos && start.find('\r') != start.npos;
    line_ends_ = returns ? LineEnds::carriage_return : LineEnds::line_feed;
    fresh_from = 0;
  }
  if (line_ends_ == LineEnds::carriage_return)
    std::replace(text.begin() + static_cast<std::ptrdiff_t>(fresh_from), text.end(), '\r', '\n');
}

std::optional<BlockReader::Block> BlockReader::read() {
  if (file_ == files_.size()) return std::nullopt;
  const bool bytes = options_.unit == Unit::byte;
  if (!source_) {
    source_.emplace(files_[file_]);
    fresh_ = true;
    line_ends_ = LineEnds::unknown;
  }
  Block block{.text = std::exchange(rest_, {}), .file = file_, .file_start = fresh_};
  std::string& text = block.text;
  const auto size = static_cast<std::size_t>(options_.block);
  const auto max_line = static_cast<std::size_t>(options_.max_line);
  bool file_ends = false;
  std::size_t cut = text.npos;
  for (std::size_t room = size; cut == text.npos && !file_ends; room = std::max(room, text.size())) {
    file_ends = !extend(text, room);
    if (file_ends) break;
    const std::size_t line_end = bytes ? text.size() - 1 : text.rfind('\n');
    if (line_end != text.npos) cut = line_end + 1;
    // The caller's TextCheck reports a line that is too long and a zero byte, without which a device such as
    // /dev/zero would be read until the memory is full.
    if (max_line > 0 && text.size() > max_line + size) break;
    if (!bytes &&
        std::string_view(text).substr(text.size() - std::min(text.size(), room)).find('\0') != text.npos)
      break;
  }
  if (cut != text.npos) {
    rest_.assign(text, cut);
    text.resize(cut);
  }
  if (fresh_ && !bytes) {
    require_plain_text(text, names_[file_]);
    if (text.starts_with(byte_order_mark)) text.erase(0, byte_order_mark.size());
  }
  if (fresh_ && file_ends && text.empty())
    fail<DataError>("{} is empty; give a file with text in it", names_[file_]);
  block.done = before_ + source_->taken();
  fresh_ = false;
  if (file_ends) {
    before_ = block.done;
    source_.reset();
    ++file_;
    if (text.empty()) return read();  // the last block ended exactly with the file, and with a line
    const bool symbols = options_.unit == Unit::character || options_.unit == Unit::subword;
    if (symbols && file_ < files_.size() && !text.ends_with('\n')) text += '\n';
  }
  if (options_.skip_marks) blank_sentence_marks(text);
  return block;
}

}  // namespace gradus
