#pragma once

// Internal: not part of the public interface.

#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/support/error.hpp"

namespace gradus::models::ngram {

/// The lines of a file, plain or compressed by gzip, or of a text in memory, numbered from 1 for the errors.
/// A "\r" before the end of a line is dropped.
class ArpaLines {
 public:
  /// Throws DataError naming the file when it cannot be opened.
  explicit ArpaLines(const std::filesystem::path& file);
  /// The text must outlive the lines.
  ArpaLines(std::string_view text, std::string_view name) : name_(name), rest_(text) {}

  /// Gives the next line, which is valid until the next call, or returns false at the end. Throws DataError
  /// for what cannot be read or decompressed, for a zero byte, and for a line of more than a megabyte.
  bool next(std::string_view& line);
  /// The next line, which should be `what`. Throws DataError when the file ends before it.
  std::string_view need(std::string_view what);
  /// The next line that is not blank.
  std::string_view need_content(std::string_view what);

  std::int64_t number() const { return number_; }
  const std::string& name() const { return name_; }
  template <class... Args>
  [[noreturn]] void wrong(fmt::format_string<Args...> format, Args&&... args) const {
    fail<DataError>("{}, line {}: {}", name_, number_, fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  static constexpr std::size_t block = std::size_t{1} << 18, longest_line = std::size_t{1} << 20;
  bool refill();

  struct Close {
    void operator()(gzFile file) const { gzclose(file); }
  };
  std::string name_;
  std::unique_ptr<gzFile_s, Close> file_;  // null: all is in rest_
  std::vector<char> buffer_;
  std::string_view rest_;
  std::int64_t number_ = 0;
};

}  // namespace gradus::models::ngram
