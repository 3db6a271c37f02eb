#pragma once

// Internal: not part of the public interface.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "models/ngram/sink.hpp"

namespace gradus::models::ngram {

/// The n-grams of one order, first as a file lists them, later sorted and completed.
struct ArpaSection {
  int order = 0;
  std::int64_t first_line = 0;    // the line of the file that has the first one
  std::vector<std::int32_t> ids;  // those of one n-gram after the other
  std::vector<float> log_prob;    // natural logarithms
  std::vector<float> backoff;
  /// The line of each n-gram, counted from first_line; empty as long as the i-th n-gram is in the i-th line.
  std::vector<std::uint32_t> lines{};

  std::size_t size() const { return log_prob.size(); }
  std::span<const std::int32_t> ngram(std::size_t i) const {
    const auto n = static_cast<std::size_t>(order);
    return {ids.data() + i * n, n};
  }
  /// The line of the file that an n-gram is in.
  std::int64_t line(std::size_t i) const {
    return first_line + (lines.empty() ? static_cast<std::int64_t>(i) : std::int64_t{lines[i]});
  }
  void add(std::span<const std::int32_t> ngram, float log_prob_of, float backoff_of);
  /// Sorts by ids. Throws DataError, naming both lines, for an n-gram that is listed twice.
  void sort(const std::string& file);
  /// The index of an n-gram once the section is sorted, or -1.
  std::int64_t find(std::span<const std::int32_t> ngram) const;
};

/// Adds to each section the contexts and suffixes of longer n-grams that it does not list, with the
/// probabilities that backing off gives: log p(w | h) = backoff(h) + log p(w | h without its first word). The
/// sections must be sorted, and the first must have every id. Returns how many n-grams were added. Throws
/// DataError naming the file and the line of the backoff weight when such a probability would be above 1.
std::int64_t complete(std::vector<ArpaSection>& sections, const std::string& file);

}  // namespace gradus::models::ngram
