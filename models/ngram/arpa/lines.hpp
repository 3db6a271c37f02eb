#pragma once

// Internal: not part of the public interface.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tensor/support/error.hpp"
#include "text/byte_source.hpp"
#include "text/vocabulary.hpp"

namespace gradus::models::ngram {

/// The lines of a file, plain or compressed by gzip, or of a text in memory, numbered from 1 for the errors.
/// A byte order mark at the start and a "\r" before the end of a line are dropped.
class ArpaLines {
 public:
  /// Throws DataError naming the file when it cannot be opened.
  explicit ArpaLines(const std::filesystem::path& file);
  /// The text must outlive the lines.
  ArpaLines(std::string_view text, std::string_view name) : name_(name), rest_(text) {}

  /// Gives the next line, which is valid until the next call, or returns false at the end. Throws DataError
  /// for what cannot be read or decompressed, and for a zero byte.
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
  static constexpr std::size_t block = std::size_t{1} << 18;
  bool refill();

  std::string name_;
  std::optional<ByteSource> file_;  // none: all is in rest_
  std::vector<char> buffer_;
  std::string_view rest_;
  std::int64_t number_ = 0;
};

/// The number that stands for the log10 of zero in ARPA files, such as for the probability of <s>.
inline constexpr double log_zero = -99;

/// The ids of the words of an ARPA file.
class WordIds {
 public:
  /// The id of a word, or -1 if it was not added.
  std::int32_t find(std::string_view word) const {
    const auto found = ids_.find(word);
    return found == ids_.end() ? -1 : found->second;
  }
  /// Does nothing if the word is there already.
  void add(std::string_view word, std::int32_t id) { ids_.emplace(word, id); }
  std::size_t size() const { return ids_.size(); }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  std::unordered_map<std::string, std::int32_t, Hash, std::equal_to<>> ids_;
};

/// How our own files spell a symbol: as it is, so that other toolkits know it. Only characters that separate
/// words or lines are written \xHH, and the first character of the word <s>, which in the file is the begin
/// symbol, and a backslash that would begin such an escape.
std::string spelled(const std::string& symbol);
/// The spelled symbols of a vocabulary and <s>, which has the next id.
WordIds own_words(const Vocabulary& vocabulary);

}  // namespace gradus::models::ngram
