#pragma once

// Internal: not part of the public interface.

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace gradus {

/// A hash table from pairs of ids to a number, in one block of memory: a merge looks up two pairs, and most
/// of them are not there. Nothing is erased.
class PairMap {
 public:
  static constexpr std::int32_t absent = -1;

  PairMap() : PairMap(0) {}
  explicit PairMap(std::size_t expected) {
    std::size_t size = 16;
    while (size < 2 * expected) size *= 2;
    resize(size);
  }

  /// The number of a pair, or `absent`.
  std::int32_t find(std::int32_t left, std::int32_t right) const {
    const std::uint64_t key = key_of(left, right);
    for (std::size_t at = place(key);; at = (at + 1) & mask_) {
      if (slots_[at].key == key) return slots_[at].value;
      if (slots_[at].key == none) return absent;
    }
  }
  /// The number of a pair; of one that was not there, what is given now. Numbers are not negative.
  std::int32_t find_or_add(std::int32_t left, std::int32_t right, std::int32_t value) {
    const std::uint64_t key = key_of(left, right);
    std::size_t at = place(key);
    for (; slots_[at].key != none; at = (at + 1) & mask_) {
      if (slots_[at].key == key) return slots_[at].value;
    }
    slots_[at] = {key, value};
    if (2 * ++used_ > slots_.size()) grow();
    return value;
  }

 private:
  struct Slot {
    std::uint64_t key = none;
    std::int32_t value = absent;
  };
  static constexpr std::uint64_t none = ~std::uint64_t{0};  // of no pair, since ids are not negative

  static std::uint64_t key_of(std::int32_t left, std::int32_t right) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
           static_cast<std::uint32_t>(right);
  }
  std::size_t place(std::uint64_t key) const { return (key * 0x9E3779B97F4A7C15U) >> shift_; }
  void resize(std::size_t size) {
    slots_.assign(size, {});
    mask_ = size - 1;
    shift_ = 64;
    for (; size > 1; size /= 2) --shift_;
  }
  void grow() {
    const std::vector<Slot> old = std::exchange(slots_, {});
    resize(2 * old.size());
    for (const Slot& slot : old) {
      if (slot.key == none) continue;
      std::size_t at = place(slot.key);
      while (slots_[at].key != none) at = (at + 1) & mask_;
      slots_[at] = slot;
    }
  }

  std::vector<Slot> slots_;
  std::size_t mask_ = 0, used_ = 0;
  unsigned shift_ = 64;
};

}  // namespace gradus
