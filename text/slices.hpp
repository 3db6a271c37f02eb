#pragma once

// Internal: not part of the public interface.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

namespace gradus {

/// A part of a file: the bytes from `begin` up to `end`, which are whole lines.
struct TextSlice {
  std::filesystem::path file;
  std::int64_t begin = 0;
  std::int64_t end = -1;   // -1: the end of the file
  std::int64_t size = -1;  // that the whole file must have; -1: any

  bool operator==(const TextSlice&) const = default;
};

/// The whole of a text: a file, all files of a folder, or the standard input. Throws DataError as text_files
/// does.
std::vector<TextSlice> whole_text(const std::filesystem::path& path);

/// Cuts a text into parts of about as many bytes each, which one after the other are the text. Files are cut
/// behind a line end. Archives stay whole, and so do files whose first 64 KB have no "\n", as another byte
/// may end their lines. What is no regular file, such as the standard input, is all in the first part. Some
/// parts may have nothing. Throws DataError as text_files does, and for files that cannot be read.
std::vector<std::vector<TextSlice>> split_text(const std::filesystem::path& path, std::size_t parts);

/// How many lines end before this byte of a plain file.
std::int64_t lines_before(const std::filesystem::path& file, std::int64_t byte);

}  // namespace gradus
