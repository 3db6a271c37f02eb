#pragma once

// Internal: not part of the public interface.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "text/vocabulary.hpp"

namespace gradus::models::ngram {

/// ARPA's customary sign for the log10 of zero, such as the probability of <s>, which is never predicted.
inline constexpr double log_zero = -99;

/// The ids of the words of an ARPA file.
class WordIds {
 public:
  /// -1 for one that was not added.
  std::int32_t find(std::string_view word) const {
    const auto found = ids_.find(word);
    return found == ids_.end() ? -1 : found->second;
  }
  /// Nothing happens when it is there.
  void add(std::string_view word, std::int32_t id) { ids_.emplace(word, id); }
  std::size_t size() const { return ids_.size(); }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  std::unordered_map<std::string, std::int32_t, Hash, std::equal_to<>> ids_;
};

/// A symbol as a word of our own files: characters that would part words or lines are written \xHH, and so is
/// the first of a word <s>, which is the file's own mark for a sentence's begin.
std::string spelled(const std::string& symbol);
/// The spelled symbols of a vocabulary, and <s>, whose id comes after theirs.
WordIds own_words(const Vocabulary& vocabulary);

}  // namespace gradus::models::ngram
