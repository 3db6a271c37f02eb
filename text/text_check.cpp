#include "text/text_check.hpp"

#include <array>

#include "tensor/support/error.hpp"

namespace gradus {

namespace {

namespace fs = std::filesystem;
using std::string_view_literals::operator""sv;

// The first bytes of a kind of file that is not plain text, and what to do about it.
struct Kind {
  std::string_view start;
  std::string_view what;
  std::string_view remedy;
};
constexpr std::array kinds = {
    Kind{"PK\x03\x04"sv, "a zip archive", "unpack it with unzip"},
    Kind{"BZh"sv, "a bzip2 archive", "unpack it with bunzip2"},
    Kind{"\xFD"
         "7zXZ"sv,
         "an xz archive", "unpack it with unxz"},
    Kind{"%PDF-"sv, "a PDF document", "export its text first"},
    Kind{"\xFF\xFE\0\0"sv, "UTF-32 text", "convert it with iconv -f utf-32 -t utf-8"},
    Kind{"\0\0\xFE\xFF"sv, "UTF-32 text", "convert it with iconv -f utf-32 -t utf-8"},
    Kind{"\xFF\xFE"sv, "UTF-16 text", "convert it with iconv -f utf-16 -t utf-8"},
    Kind{"\xFE\xFF"sv, "UTF-16 text", "convert it with iconv -f utf-16 -t utf-8"},
};

// A text with an occasional control character is not refused.
constexpr std::int64_t too_many_controls = 32;

/// UTF-16 without a byte order mark, recognised by the zero byte of most letters: its name for iconv, or
/// nothing.
std::string_view utf16_without_mark(std::string_view start) {
  start = start.substr(0, 256);
  std::size_t zeros[2] = {0, 0};  // at even and at odd places
  for (std::size_t i = 0; i < start.size(); ++i) zeros[i % 2] += start[i] == '\0';
  const std::size_t enough = std::max<std::size_t>(start.size() / 4, 2);
  if (zeros[0] == 0 && zeros[1] >= enough) return "utf-16le";
  if (zeros[1] == 0 && zeros[0] >= enough) return "utf-16be";
  return {};
}

}  // namespace

void TextCheck::read(std::string_view part) {
  for (std::size_t at = 0; at < part.size();) {
    const std::size_t end = std::min(part.find('\n', at), part.size());
    look(part.substr(at, end - at));
    in_line_ += static_cast<std::int64_t>(end - at);
    if (max_line_ > 0 && in_line_ > max_line_) {
      fail<DataError>(
          "{}, line {}: the line is longer than {} bytes; give a text with line ends, for example one "
          "sentence a line",
          name_, line_, max_line_);
    }
    if (end == part.size()) break;
    ++line_;
    in_line_ = 0;
    at = end + 1;
  }
}

void TextCheck::look(std::string_view part) {
  for (std::size_t i = 0; i < part.size(); ++i) {
    const auto byte = static_cast<unsigned char>(part[i]);
    if (byte >= 0x20 || byte == '\t' || byte == '\r' || byte == '\f' || byte == '\v') continue;
    if (byte != 0 && ++controls_ < too_many_controls) continue;
    fail<DataError>(
        "{}, line {}, byte {}: {}, so this is a binary file and no text; give a plain text in UTF-8", name_,
        line_, in_line_ + static_cast<std::int64_t>(i) + 1,
        byte == 0 ? "a zero byte" : fmt::format("{} control characters so far", controls_));
  }
}

void require_plain_text(std::string_view start, std::string_view name) {
  for (const Kind& kind : kinds) {
    if (start.starts_with(kind.start))
      fail<DataError>("{} is {}, not plain text in UTF-8; {}", name, kind.what, kind.remedy);
  }
  const std::string_view utf16 = utf16_without_mark(start);
  if (!utf16.empty()) {
    fail<DataError>("{} is UTF-16 text, not plain text in UTF-8; convert it with iconv -f {} -t utf-8", name,
                    utf16);
  }
}

void blank_sentence_marks(std::string& text) {
  constexpr std::string_view borders = " \t\r\n";
  for (const std::string_view mark : {"<s>"sv, "</s>"sv}) {
    for (std::size_t at = 0; (at = text.find(mark, at)) != text.npos; at += mark.size()) {
      const std::size_t end = at + mark.size();
      const bool alone = (at == 0 || borders.find(text[at - 1]) != borders.npos) &&
                         (end == text.size() || borders.find(text[end]) != borders.npos);
      if (alone) text.replace(at, mark.size(), mark.size(), ' ');
    }
  }
}

std::vector<fs::path> text_files(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found)
    fail<DataError>("{}: there is no such file or folder; check the path",
                    path.empty() ? "''" : path.string());
  if (!fs::is_directory(status)) return {path};
  error.clear();
  std::vector<fs::path> files;
  for (fs::directory_iterator at(path, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    if (at->is_regular_file(ignored) && !at->path().filename().string().starts_with('.'))
      files.push_back(at->path());
  }
  if (error)
    fail<DataError>("the folder {} cannot be read ({}); check that you may", path.string(), error.message());
  if (files.empty())
    fail<DataError>("the folder {} holds no files; give one with text files in it", path.string());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace gradus
