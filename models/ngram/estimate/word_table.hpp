#pragma once

// Internal: not part of the public interface.

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace gradus::models::ngram {

/// Numbers strings in the order in which they are added. An open-addressing hash table that keeps the first
/// eight bytes of a string beside its number, so that most lookups touch one cache line.
class WordTable {
 public:
  WordTable() : slots_(1 << 10) {}

  static std::uint64_t hash(std::string_view word) {
    // Multiplies and folds eight bytes at a time. Equality is checked too, so collisions do no harm.
    std::uint64_t h = word.size() * 0x9E3779B97F4A7C15U;
    const char* at = word.data();
    std::size_t left = word.size();
    for (; left > 8; left -= 8, at += 8) h = fold(h ^ load(at, 8));
    return fold(h ^ load(at, left));
  }

  std::uint32_t size() const { return static_cast<std::uint32_t>(starts_.size()); }
  std::string_view word(std::uint32_t number) const {
    const std::size_t end = number + 1 < starts_.size() ? starts_[number + 1] : bytes_.size();
    return {bytes_.data() + starts_[number], end - starts_[number]};
  }

  /// The number of a word, or -1.
  std::int64_t find(std::string_view word, std::uint64_t hash) const {
    const Slot wanted = slot_of(word);
    for (std::size_t i = hash >> shift();; ++i) {
      const Slot& slot = slots_[i & (slots_.size() - 1)];
      if (slot.next_number == 0) return -1;
      if (slot.start == wanted.start && slot.length == wanted.length &&
          (word.size() <= 8 || this->word(slot.next_number - 1) == word))
        return static_cast<std::int64_t>(slot.next_number) - 1;
    }
  }
  /// The number of a word, which is added if it is new.
  std::uint32_t find_or_add(std::string_view word, std::uint64_t hash) {
    const std::int64_t found = find(word, hash);
    if (found >= 0) return static_cast<std::uint32_t>(found);
    if ((starts_.size() + 1) * 2 > slots_.size()) grow();
    starts_.push_back(bytes_.size());
    bytes_.insert(bytes_.end(), word.begin(), word.end());
    Slot slot = slot_of(word);
    slot.next_number = size();
    place(slot, hash);
    return slot.next_number - 1;
  }
  void clear() {
    slots_.assign(1 << 10, {});
    starts_.clear();
    bytes_.clear();
  }

 private:
  struct Slot {
    std::uint64_t start = 0;  // the first eight bytes
    std::uint32_t length = 0;
    std::uint32_t next_number = 0;  // 0: free
  };

  static std::uint64_t fold(std::uint64_t x) {
    x *= 0xD6E8FEB86659FD93U;
    x ^= x >> 32;
    return x * 0xD6E8FEB86659FD93U;
  }
  /// The next `count` bytes, at most eight, padded by zeros. By loads that overlap, because a memcpy of a
  /// size that is not constant is a call.
  static std::uint64_t load(const char* from, std::size_t count) {
    if (count >= 4) return load4(from) | load4(from + count - 4) << (8 * (count - 4));
    if (count == 0) return 0;
    const auto byte = [&](std::size_t i) {
      return static_cast<std::uint64_t>(static_cast<unsigned char>(from[i])) << (8 * i);
    };
    return byte(0) | byte(count / 2) | byte(count - 1);
  }
  static std::uint64_t load4(const char* from) {
    std::uint32_t out = 0;
    std::memcpy(&out, from, sizeof out);
    return out;
  }
  static Slot slot_of(std::string_view word) {
    return {load(word.data(), word.size() < 8 ? word.size() : 8), static_cast<std::uint32_t>(word.size()), 0};
  }
  int shift() const { return 64 - std::countr_zero(slots_.size()); }

  void place(const Slot& slot, std::uint64_t hash) {
    std::size_t i = hash >> shift();
    while (slots_[i & (slots_.size() - 1)].next_number != 0) ++i;
    slots_[i & (slots_.size() - 1)] = slot;
  }
  void grow() {
    const std::vector<Slot> old = std::move(slots_);
    slots_.assign(old.size() * 4, {});
    for (const Slot& slot : old) {
      if (slot.next_number != 0) place(slot, hash(word(slot.next_number - 1)));
    }
  }

  std::vector<Slot> slots_;  // a power of two
  std::vector<std::size_t> starts_;
  std::vector<char> bytes_;
};

}  // namespace gradus::models::ngram
