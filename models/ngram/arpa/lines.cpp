#include "models/ngram/arpa/lines.hpp"

#include <algorithm>
#include <cstring>

#include "text/text_check.hpp"

namespace gradus::models::ngram {

ArpaLines::ArpaLines(const std::filesystem::path& file) : name_(file.string()) {
  std::error_code unseen;  // what is wrong otherwise, opening it says
  if (std::filesystem::is_directory(file, unseen)) fail<DataError>("{} is a folder; give a file", name_);
  file_.emplace(file);
}

/// Reads a block behind what is left of the last one; false at the file's end.
bool ArpaLines::refill() {
  if (!file_) return false;
  const std::size_t kept = rest_.size();
  if (kept > 0) std::memmove(buffer_.data(), rest_.data(), kept);
  const std::size_t room = std::max(kept, block);  // so that a long line is not moved again and again
  buffer_.resize(kept + room);
  const std::size_t count = file_->read({buffer_.data() + kept, room});
  rest_ = {buffer_.data(), kept + count};
  return count > 0;
}

bool ArpaLines::next(std::string_view& line) {
  std::size_t searched = 0, end = 0;
  while ((end = rest_.find('\n', searched)) == rest_.npos) {
    searched = rest_.size();
    if (!refill()) break;
  }
  if (rest_.empty()) return false;
  line = rest_.substr(0, end);
  rest_.remove_prefix(end == rest_.npos ? rest_.size() : end + 1);
  ++number_;
  if (number_ == 1 && line.starts_with(byte_order_mark)) line.remove_prefix(byte_order_mark.size());
  if (line.find('\0') != line.npos) wrong("a zero byte; this is a binary file and no ARPA text");
  if (line.ends_with('\r')) line.remove_suffix(1);
  return true;
}

std::string_view ArpaLines::need(std::string_view what) {
  std::string_view line;
  if (!next(line))
    fail<DataError>("{}: ends after line {}, where {} should follow; it was cut short", name_, number_, what);
  return line;
}

std::string_view ArpaLines::need_content(std::string_view what) {
  std::string_view line;
  do {
    line = need(what);
  } while (line.find_first_not_of(" \t") == line.npos);
  return line;
}

}  // namespace gradus::models::ngram
