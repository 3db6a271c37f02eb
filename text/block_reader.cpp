#include "text/block_reader.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "tensor/support/error.hpp"

namespace gradus {

BlockReader::BlockReader(const std::filesystem::path& path, const Options& options)
    : BlockReader(whole_text(path), options) {}

BlockReader::BlockReader(std::vector<TextSlice> slices, const Options& options)
    : slices_(std::move(slices)), options_(options) {
  if (options.block < 1)
    fail<ArgumentError>("a text read in blocks of {} bytes: give 1 or more", options.block);
  for (const TextSlice& slice : slices_) {
    const bool standard = is_standard_input(slice.file);
    names_.push_back(standard ? "standard input" : slice.file.string());
    std::error_code unknown;
    const bool regular = !standard && std::filesystem::is_regular_file(slice.file, unknown);
    ahead_ &= regular;  // a pipe may deliver nothing for a long time, and errors would have to wait for it
    if (!regular) continue;
    const auto size = static_cast<std::int64_t>(std::filesystem::file_size(slice.file, unknown));
    total_ += slice.end < 0 ? size : slice.end - slice.begin;
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

/// Opens the next file, or part of one.
void BlockReader::open() {
  const TextSlice& slice = slices_[file_];
  source_.emplace(slice.file, slice.begin == 0);
  fresh_ = true;
  line_ends_ = slice.begin == 0 ? LineEnds::unknown : LineEnds::line_feed;
  left_ = slice.end < 0 || source_->unpacks() ? std::numeric_limits<std::int64_t>::max()
                                              : slice.end - slice.begin;
  if (slice.size < 0) return;
  std::error_code unknown;
  const auto size = static_cast<std::int64_t>(std::filesystem::file_size(slice.file, unknown));
  if (size != slice.size) {
    fail<DataError>("{} has {} bytes, and had {} when it was shared out; all must see the same text",
                    names_[file_], size, slice.size);
  }
  if (slice.begin > 0) source_->skip_to(slice.begin);
}

bool BlockReader::extend(std::string& text, std::size_t room) {
  const std::size_t start = text.size();
  room = static_cast<std::size_t>(std::min(static_cast<std::int64_t>(room), left_));
  text.resize(start + room);
  const std::span<char> to(text.data() + start, room);
  const std::size_t got = options_.eager ? source_->read_some(to) : source_->read(to);
  text.resize(start + got);
  left_ -= static_cast<std::int64_t>(got);
  const bool ended = got == 0 || left_ == 0 || (got < room && !options_.eager);
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
  if (file_ == slices_.size()) return std::nullopt;
  const bool bytes = options_.unit == Unit::byte;
  if (!source_) open();
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
  if (fresh_ && !bytes && slices_[file_].begin == 0) {
    require_plain_text(text, names_[file_]);
    if (text.starts_with(byte_order_mark)) text.erase(0, byte_order_mark.size());
  }
  if (fresh_ && file_ends && text.empty())
    fail<DataError>("{} is empty; give a file with text in it", names_[file_]);
  const TextSlice& slice = slices_[file_];  // somewhat more may have been read
  block.done =
      before_ + (slice.end < 0 ? source_->taken() : std::min(source_->taken(), slice.end - slice.begin));
  fresh_ = false;
  if (file_ends) {
    before_ = block.done;
    source_.reset();
    ++file_;
    if (text.empty()) return read();  // the last block ended exactly with the file, and with a line
    const bool symbols = options_.unit == Unit::character || options_.unit == Unit::subword;
    if (symbols && file_ < slices_.size() && !text.ends_with('\n')) text += '\n';
  }
  if (options_.skip_marks) blank_sentence_marks(text);
  return block;
}

}  // namespace gradus
