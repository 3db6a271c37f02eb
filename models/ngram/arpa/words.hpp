#pragma once

// Internal: not part of the public interface.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "text/vocabulary.hpp"

namespace gradus::models::ngram {

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

/// How our own files spell a symbol: characters that would separate words or lines are written \xHH, and so
/// is the first character of the word <s>, which in the file is the begin symbol.
std::string spelled(const std::string& symbol);
/// The spelled symbols of a vocabulary and <s>, which has the next id.
WordIds own_words(const Vocabulary& vocabulary);

}  // namespace gradus::models::ngram
