#pragma once

// Internal: not part of the public interface.

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gradus {

/// The ids of pieces seen before: most pieces of a text are of a few thousand words. When it is full it is
/// emptied.
class PieceCache {
 public:
  PieceCache() : slots_(first_slots) {}

  static std::uint64_t hash(std::string_view piece) {
    std::uint64_t out = piece.size() * mixer;
    std::size_t left = piece.size();
    const char* at = piece.data();
    for (; left >= 8; left -= 8, at += 8) out = mix(out ^ load<std::uint64_t>(at));
    std::uint64_t tail = 0;
    if (left >= 4) {
      tail = load<std::uint32_t>(at) | std::uint64_t{load<std::uint32_t>(at + left - 4)} << 32;
    } else if (left > 0) {
      const auto byte = [&](std::size_t i) { return std::uint64_t{static_cast<unsigned char>(at[i])}; };
      tail = byte(0) | byte(left / 2) << 8 | byte(left - 1) << 16;
    }
    return mix(out ^ tail);
  }

  /// Appends the ids of a piece if they are there.
  bool append(std::string_view piece, std::uint64_t hash, std::vector<std::int32_t>& ids) const {
    for (std::size_t at = hash & (slots_.size() - 1); slots_[at].ids_size > 0;
         at = (at + 1) & (slots_.size() - 1)) {
      const Slot& slot = slots_[at];
      if (slot.hash != static_cast<std::uint32_t>(hash >> 32) || slot.size != piece.size() ||
          std::memcmp(bytes_.data() + slot.bytes, piece.data(), piece.size()) != 0)
        continue;
      const auto from = ids_.begin() + static_cast<std::ptrdiff_t>(slot.ids);
      ids.insert(ids.end(), from, from + slot.ids_size);
      return true;
    }
    return false;
  }
  /// Keeps the ids, of which there are some, of a piece that is not there.
  void keep(std::string_view piece, std::uint64_t hash, std::span<const std::int32_t> ids) {
    if (piece.size() > longest) return;
    if (used_ == most) clear();
    if (2 * (used_ + 1) > slots_.size()) grow();
    insert({static_cast<std::uint32_t>(hash >> 32), static_cast<std::uint32_t>(bytes_.size()),
            static_cast<std::uint32_t>(ids_.size()), static_cast<std::uint16_t>(piece.size()),
            static_cast<std::uint16_t>(ids.size())},
           hash);
    bytes_ += piece;
    ids_.insert(ids_.end(), ids.begin(), ids.end());
    ++used_;
  }

 private:
  static constexpr std::uint64_t mixer = 0x9E3779B97F4A7C15U;
  static constexpr std::size_t first_slots = 1 << 12, most = 1 << 17, longest = 128;

  struct Slot {
    std::uint32_t hash = 0;  // its upper half
    std::uint32_t bytes = 0, ids = 0;
    std::uint16_t size = 0, ids_size = 0;  // no ids: an empty slot
  };

  template <class Number>
  static Number load(const char* from) {
    Number out = 0;
    std::memcpy(&out, from, sizeof out);
    return out;
  }
  static std::uint64_t mix(std::uint64_t x) {
    x *= mixer;
    return x ^ (x >> 29);
  }
  void insert(const Slot& slot, std::uint64_t hash) {
    std::size_t at = hash & (slots_.size() - 1);
    while (slots_[at].ids_size > 0) at = (at + 1) & (slots_.size() - 1);
    slots_[at] = slot;
  }
  void grow() {
    const std::vector<Slot> old(std::exchange(slots_, std::vector<Slot>(2 * slots_.size())));
    for (const Slot& slot : old) {
      if (slot.ids_size > 0) insert(slot, hash(std::string_view(bytes_).substr(slot.bytes, slot.size)));
    }
  }
  void clear() {
    slots_.assign(first_slots, {});
    bytes_.clear();
    ids_.clear();
    used_ = 0;
  }

  std::vector<Slot> slots_;
  std::string bytes_;
  std::vector<std::int32_t> ids_;
  std::size_t used_ = 0;
};

}  // namespace gradus
