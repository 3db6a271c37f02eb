#pragma once

// Internal: not part of the public interface.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace gradus::models::ngram {

/// Cuts the sequences of ids, by their first two, into ranges of about the same number.
class Partition {
 public:
  /// `pairs`: those of a sample, first << 32 | second. `ids`: the ids are below.
  Partition(std::vector<std::uint64_t> pairs, std::size_t ids, std::size_t ranges) {
    std::sort(pairs.begin(), pairs.end());
    for (std::size_t i = 1; i < ranges && !pairs.empty(); ++i) {
      const std::uint64_t pair = pairs[i * pairs.size() / ranges];
      if (starts_.empty() || starts_.back() < pair) starts_.push_back(pair);
    }
    range_of_.reserve(ids + 1);
    for (std::uint64_t first = 0; first <= ids; ++first) {
      std::size_t range = range_of_.empty() ? 0 : range_of_.back();
      while (range < starts_.size() && starts_[range] <= first << 32) ++range;
      range_of_.push_back(static_cast<std::uint32_t>(range));
    }
  }

  std::size_t ranges() const { return starts_.size() + 1; }
  /// The range of a sequence that begins so.
  std::size_t range(std::uint32_t first, std::uint32_t second) const {
    const std::uint32_t low = range_of_[first], high = range_of_[first + 1];
    if (low == high) return low;
    const auto begin = starts_.begin();
    return static_cast<std::size_t>(
        std::upper_bound(begin + low, begin + high, std::uint64_t{first} << 32 | second) - begin);
  }
  /// One range for all sequences that begin so; ranges are in the order of the ids here as well.
  std::size_t range(std::uint32_t first) const { return range_of_[first]; }

 private:
  std::vector<std::uint64_t> starts_;    // of all ranges but the first
  std::vector<std::uint32_t> range_of_;  // (first, 0)
};

}  // namespace gradus::models::ngram
