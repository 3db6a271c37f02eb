#pragma once

// Internal: not part of the public interface.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "models/ngram/sink.hpp"

namespace gradus::models::ngram {

/// The n-grams of one order as a file lists them, then sorted and completed.
struct ArpaSection {
  int order = 0;
  std::int64_t first_line = 0;    // of the file
  std::vector<std::int32_t> ids;  // order numbers an n-gram, one n-gram after the other
  std::vector<float> log_prob;    // natural logarithms
  std::vector<float> backoff;
  /// The line of each n-gram, from first_line on; none where the i-th stands in the i-th.
  std::vector<std::uint32_t> lines{};

  std::size_t size() const { return log_prob.size(); }
  std::span<const std::int32_t> ngram(std::size_t i) const {
    const auto n = static_cast<std::size_t>(order);
    return {ids.data() + i * n, n};
  }
  /// Of the file.
  std::int64_t line(std::size_t i) const {
    return first_line + (lines.empty() ? static_cast<std::int64_t>(i) : std::int64_t{lines[i]});
  }
  void add(std::span<const std::int32_t> ngram, float log_prob_of, float backoff_of);
  /// By ids. Throws DataError, naming both lines, for an n-gram that stands twice.
  void sort(const std::string& file);
  /// Once sorted: the place of an n-gram, or -1.
  std::int64_t find(std::span<const std::int32_t> ngram) const;
};

/// Adds to each section the contexts and suffixes of the n-grams above it that it does not list, with the
/// probabilities that backing off gives: log p(w | h) = backoff(h) + log p(w | h without its first word).
/// Sections are sorted; every id is in the first. Returns how many were added. Throws DataError naming the
/// file and the line of the weight when such a probability would be above 1.
std::int64_t complete(std::vector<ArpaSection>& sections, const std::string& file);

}  // namespace gradus::models::ngram
