#include "text/slices.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "text/byte_source.hpp"
#include "text/text_check.hpp"

namespace gradus {

namespace {

namespace fs = std::filesystem;

/// Where the first line begins that is not before a byte of a file; its end where there is none.
std::int64_t next_line(const fs::path& file, std::int64_t byte, std::int64_t size) {
  if (byte <= 0) return 0;
  ByteSource source(file, false);
  source.skip_to(byte - 1);
  std::vector<char> buffer(std::size_t{1} << 16);
  for (std::int64_t at = byte - 1;;) {
    const std::string_view text(buffer.data(), source.read(buffer));
    const std::size_t found = text.find('\n');
    if (found != text.npos) return at + static_cast<std::int64_t>(found) + 1;
    if (text.empty()) return size;
    at += static_cast<std::int64_t>(text.size());
  }
}

/// Whether a file may be cut at any "\n".
bool has_plain_lines(const fs::path& file) {
  std::vector<char> buffer(std::size_t{1} << 16);
  ByteSource source(file);
  if (source.unpacks()) return false;
  return std::string_view(buffer.data(), source.read(buffer)).find('\n') != std::string_view::npos;
}

/// A file and its place in the whole text.
struct Placed {
  fs::path file;
  std::int64_t begin = 0, size = 0;
};

/// Where in the text a part begins that should begin at a byte of this file.
std::int64_t cut_near(const Placed& file, std::int64_t byte) {
  const std::int64_t wanted = byte - file.begin;
  if (has_plain_lines(file.file)) return file.begin + next_line(file.file, wanted, file.size);
  return wanted < file.size / 2 ? file.begin : file.begin + file.size;
}

}  // namespace

std::vector<TextSlice> whole_text(const fs::path& path) {
  if (is_standard_input(path)) return {{.file = path}};
  std::vector<TextSlice> out;
  for (const fs::path& file : text_files(path)) out.push_back({.file = file});
  return out;
}

std::vector<std::vector<TextSlice>> split_text(const fs::path& path, std::size_t parts) {
  std::vector<std::vector<TextSlice>> out(parts);
  const std::vector<TextSlice> whole = whole_text(path);
  std::vector<Placed> files;
  std::int64_t total = 0;
  for (const TextSlice& slice : whole) {
    std::error_code error;
    const bool regular = !is_standard_input(path) && fs::is_regular_file(slice.file, error);
    const std::uintmax_t size = regular ? fs::file_size(slice.file, error) : 0;
    if (!regular || error) {
      out.front() = whole;
      return out;
    }
    files.push_back({slice.file, total, static_cast<std::int64_t>(size)});
    total += files.back().size;
  }

  std::vector<std::int64_t> cuts{0};
  for (std::size_t part = 1; part < parts; ++part) {
    // Without a product that could be too large.
    const auto count = static_cast<std::int64_t>(parts), i = static_cast<std::int64_t>(part);
    const std::int64_t byte = total / count * i + total % count * i / count;
    const auto behind = std::find_if(files.begin(), files.end(),
                                     [&](const Placed& file) { return file.begin + file.size > byte; });
    cuts.push_back(std::max(cuts.back(), behind == files.end() ? total : cut_near(*behind, byte)));
  }
  cuts.push_back(total);
  for (std::size_t part = 0; part < parts; ++part) {
    for (const Placed& file : files) {
      const std::int64_t begin = std::max(cuts[part], file.begin),
                         end = std::min(cuts[part + 1], file.begin + file.size);
      // One without a byte is somebody's too, who refuses it.
      const bool empty = file.size == 0 && part == 0;
      if (begin < end || empty)
        out[part].push_back(
            {file.file, empty ? 0 : begin - file.begin, empty ? 0 : end - file.begin, file.size});
    }
  }
  return out;
}

std::int64_t lines_before(const fs::path& file, std::int64_t byte) {
  ByteSource source(file, false);
  std::vector<char> buffer(std::size_t{1} << 18);
  std::int64_t lines = 0;
  for (std::int64_t left = byte; left > 0;) {
    const auto room = static_cast<std::size_t>(std::min(left, std::ssize(buffer)));
    const std::size_t got = source.read(std::span(buffer).first(room));
    if (got == 0) break;
    lines += std::count(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(got), '\n');
    left -= static_cast<std::int64_t>(got);
  }
  return lines;
}

}  // namespace gradus
