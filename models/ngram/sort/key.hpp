#pragma once

// Internal: not part of the public interface.

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace gradus::models::ngram {

/// An n-gram as one large number: its ids of `bits` bits each, from the highest bits of the first 64-bit word
/// on, so that the numbers compare like the sequences of ids. The caller chooses the sequence; the names are
///   suffix:  the last word first, then backwards (w_n ... w_1): n-grams with the same ending stand together;
///   context: the word before the last, backwards, then the last (w_{n-1} ... w_1 w_n): those with the same
///            context stand together, the contexts in suffix order (Heafield et al. 2013, 3);
///   prefix:  as it is read (w_1 ... w_n).
struct KeyLayout {
  int bits = 0;

  std::size_t words(int order) const { return (static_cast<std::size_t>(order * bits) + 63) / 64; }

  void pack(const std::uint32_t* ids, int count, std::uint64_t* key) const {
    std::uint64_t word = 0;
    int room = 64;
    for (int i = 0; i < count; ++i) {
      const std::uint64_t id = ids[i];
      if (room >= bits) {
        room -= bits;
        word |= room < 64 ? id << room : 0;
      } else {
        *key++ = word | (room > 0 ? id >> (bits - room) : 0);
        room += 64 - bits;
        word = id << room;
      }
    }
    *key = word;
  }

  void unpack(const std::uint64_t* key, int count, std::uint32_t* ids) const {
    const std::uint64_t mask = (std::uint64_t{1} << bits) - 1;
    int left = 64;
    for (int i = 0; i < count; ++i) {
      if (left >= bits) {
        left -= bits;
        ids[i] = static_cast<std::uint32_t>(*key >> left & mask);
      } else {
        std::uint64_t id = left > 0 ? key[0] << (bits - left) : 0;
        left += 64 - bits;
        id |= key[1] >> left;
        ++key;
        ids[i] = static_cast<std::uint32_t>(id & mask);
      }
    }
  }

  /// How many ids, from the first on, two keys of `words` words have in common; `order` when they are equal.
  int common(const std::uint64_t* a, const std::uint64_t* b, std::size_t words, int order) const {
    for (std::size_t i = 0; i < words; ++i) {
      const std::uint64_t difference = a[i] ^ b[i];
      if (difference != 0) return (static_cast<int>(64 * i) + std::countl_zero(difference)) / bits;
    }
    return order;
  }

  /// Writes the key that has the first `count` ids of another.
  void truncate(const std::uint64_t* key, int count, std::uint64_t* to) const {
    const std::size_t length = words(count);
    for (std::size_t i = 0; i < length; ++i) to[i] = key[i];
    const int unused = static_cast<int>(64 * length) - count * bits;
    to[length - 1] = to[length - 1] >> unused << unused;
  }
};

/// Divides sequences of ids, by their first two ids, into ranges of about equal size.
class Partition {
 public:
  /// `pairs`: the first two ids of each sequence of a sample, as first << 32 | second. All ids are below
  /// `ids`.
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
  /// The range of the sequences that begin with these ids.
  std::size_t range(std::uint32_t first, std::uint32_t second) const {
    const std::uint32_t low = range_of_[first], high = range_of_[first + 1];
    if (low == high) return low;
    const auto begin = starts_.begin();
    return static_cast<std::size_t>(
        std::upper_bound(begin + low, begin + high, std::uint64_t{first} << 32 | second) - begin);
  }
  /// One range for all sequences that begin with an id; the ranges are in the order of the ids here too.
  std::size_t range(std::uint32_t first) const { return range_of_[first]; }

 private:
  std::vector<std::uint64_t> starts_;    // of all ranges except the first
  std::vector<std::uint32_t> range_of_;  // (first, 0)
};

}  // namespace gradus::models::ngram
