#include "text/load.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>
#include <vector>

#include "tensor/error.hpp"
#include "text/tokenizer.hpp"

namespace gradus {

namespace {

namespace fs = std::filesystem;
using std::string_view_literals::operator""sv;

// What a file begins with that is no plain text, and what to do about it.
struct Kind {
  std::string_view start;
  std::string_view what;
  std::string_view remedy;
};
constexpr std::array kinds = {
    Kind{"\x1F\x8B"sv, "a gzip archive", "unpack it with gunzip"},
    Kind{"PK\x03\x04"sv, "a zip archive", "unpack it with unzip"},
    Kind{"BZh"sv, "a bzip2 archive", "unpack it with bunzip2"},
    Kind{"\xFD"
         "7zXZ"sv,
         "an xz archive", "unpack it with unxz"},
    Kind{"\x28\xB5\x2F\xFD"sv, "a zstd archive", "unpack it with unzstd"},
    Kind{"%PDF-"sv, "a PDF document", "export its text first"},
    Kind{"\xFF\xFE"sv, "UTF-16 text", "convert it with iconv -f utf-16 -t utf-8"},
    Kind{"\xFE\xFF"sv, "UTF-16 text", "convert it with iconv -f utf-16 -t utf-8"},
};

// Watches what is read for what no text holds, and for a line without an end.
class Watcher {
 public:
  Watcher(const std::string& name, const LoadOptions& options) : name_(name), options_(options) {}

  void read(std::string_view chunk) {
    if (options_.unit == Unit::byte) return;
    for (std::size_t at = 0; at < chunk.size();) {
      const std::size_t end = std::min(chunk.find('\n', at), chunk.size());
      look(chunk.substr(at, end - at));
      in_line_ += static_cast<std::int64_t>(end - at);
      if (options_.max_line > 0 && in_line_ > options_.max_line) {
        fail<DataError>(
            "{}, line {}: the line is longer than {} bytes; give a text with line ends, for example one "
            "sentence a line",
            name_, line_, options_.max_line);
      }
      if (end == chunk.size()) break;
      ++line_;
      in_line_ = 0;
      at = end + 1;
    }
  }

 private:
  void look(std::string_view part) {
    for (std::size_t i = 0; i < part.size(); ++i) {
      const auto byte = static_cast<unsigned char>(part[i]);
      if (byte >= 0x20 || byte == '\t' || byte == '\r' || byte == '\f' || byte == '\v') continue;
      if (byte != 0 && ++controls_ < too_many) continue;
      fail<DataError>(
          "{}, line {}, byte {}: {}, so this is a binary file and no text; give a plain text in UTF-8", name_,
          line_, in_line_ + static_cast<std::int64_t>(i) + 1,
          byte == 0 ? "a zero byte" : fmt::format("{} control characters so far", controls_));
    }
  }

  // A stray escape or bell is no reason to refuse a text.
  static constexpr std::int64_t too_many = 32;

  const std::string& name_;
  const LoadOptions& options_;
  std::int64_t line_ = 1;
  std::int64_t in_line_ = 0;
  std::int64_t controls_ = 0;
};

void append_file(const fs::path& file, const LoadOptions& options, std::string& text) {
  const std::string name = file.string();
  errno = 0;
  std::ifstream in(file, std::ios::binary);
  if (!in) {
    fail<DataError>("{} cannot be opened ({}); check that it exists and that you may read it", name,
                    std::strerror(errno));
  }
  Watcher watcher(name, options);
  const std::size_t start = text.size();
  std::vector<char> buffer(std::size_t{1} << 20);
  while (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) || in.gcount() > 0) {
    std::string_view chunk(buffer.data(), static_cast<std::size_t>(in.gcount()));
    if (text.size() == start && options.unit != Unit::byte) {
      for (const Kind& kind : kinds) {
        if (chunk.starts_with(kind.start))
          fail<DataError>("{} is {}, not plain text; {}", name, kind.what, kind.remedy);
      }
      if (chunk.starts_with("\xEF\xBB\xBF"sv)) chunk.remove_prefix(3);
    }
    watcher.read(chunk);
    text += chunk;
  }
  if (in.bad())
    fail<DataError>("{} could not be read to its end; check the disk or the connection to it", name);
  if (text.size() == start) fail<DataError>("{} is empty; give a file with text in it", name);
  if (options.unit != Unit::byte) require_utf8(std::string_view(text).substr(start), name);
}

std::vector<fs::path> files_of(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> files;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    if (at->is_regular_file(ignored) && !at->path().filename().string().starts_with('.'))
      files.push_back(at->path());
  }
  if (error)
    fail<DataError>("the folder {} cannot be read ({}); check that you may", folder.string(),
                    error.message());
  if (files.empty())
    fail<DataError>("the folder {} holds no files; give one with text files in it", folder.string());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

std::string load_text(const fs::path& path, const LoadOptions& options) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) {
    fail<DataError>("{}: there is no such file or folder; check the path", path.string());
  }
  std::string text;
  if (!fs::is_directory(status)) {
    append_file(path, options, text);
    return text;
  }
  for (const fs::path& file : files_of(path)) {
    if (options.unit != Unit::byte && !text.empty() && text.back() != '\n') text += '\n';
    append_file(file, options, text);
  }
  return text;
}

}  // namespace gradus
