#pragma once

// Internal: not part of the public interface.

#include <bit>
#include <cstddef>
#include <cstdint>

namespace gradus::models::ngram {

/// An n-gram as one large number: its ids, `bits` each, from the highest bits of the first 64-bit word on, so
/// that numbers compare as the sequences of ids do. In which sequence the ids stand is the caller's choice;
/// the names here are
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

  /// How many ids two keys of so many words share from the first on; `order` when they are equal.
  int common(const std::uint64_t* a, const std::uint64_t* b, std::size_t words, int order) const {
    for (std::size_t i = 0; i < words; ++i) {
      const std::uint64_t difference = a[i] ^ b[i];
      if (difference != 0) return (static_cast<int>(64 * i) + std::countl_zero(difference)) / bits;
    }
    return order;
  }

  /// Writes the key of the first `count` ids of a key.
  void truncate(const std::uint64_t* key, int count, std::uint64_t* to) const {
    const std::size_t length = words(count);
    for (std::size_t i = 0; i < length; ++i) to[i] = key[i];
    const int unused = static_cast<int>(64 * length) - count * bits;
    to[length - 1] = to[length - 1] >> unused << unused;
  }
};

}  // namespace gradus::models::ngram
