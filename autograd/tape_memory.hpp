#pragma once

// Internal: containers of a tape that keep their memory from step to step.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace gradus::detail {

/// Memory for edges and closures: given out in order, taken back all at once, kept for the next step.
class Arena {
 public:
  /// The next chunk with room for that many bytes.
  std::span<std::byte> grow(std::size_t bytes) {
    while (used_ < chunks_.size()) {
      Chunk& chunk = chunks_[used_++];
      if (chunk.size >= bytes) return {chunk.memory.get(), chunk.size};
    }
    const std::size_t size = bytes > chunk_bytes ? bytes : chunk_bytes;
    chunks_.push_back({std::make_unique_for_overwrite<std::byte[]>(size), size});
    used_ = chunks_.size();
    return {chunks_.back().memory.get(), size};
  }
  void reset() noexcept { used_ = 0; }
  /// The bytes of the chunks given out.
  std::size_t bytes() const {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < used_; ++i) sum += chunks_[i].size;
    return sum;
  }

 private:
  static constexpr std::size_t chunk_bytes = 64 << 10;
  struct Chunk {
    std::unique_ptr<std::byte[]> memory;
    std::size_t size;
  };
  std::vector<Chunk> chunks_;
  std::size_t used_ = 0;  // chunks given out
};

/// Parameter ids to nodes: open addressing, since a hash map's nodes would be heap allocations every step.
class NodeOfParameter {
 public:
  const std::uint32_t* find(std::uint32_t id) const {
    if (slots_.empty()) return nullptr;
    for (std::size_t i = start(id);; i = (i + 1) & (slots_.size() - 1)) {
      if (slots_[i].first == 0) return nullptr;  // ids begin at 1
      if (slots_[i].first == id) return &slots_[i].second;
    }
  }
  void insert(std::uint32_t id, std::uint32_t node) {
    if (2 * ++count_ > slots_.size()) grow();
    place(id, node);
  }
  void clear() noexcept {
    if (count_ != 0) std::fill(slots_.begin(), slots_.end(), Slot{});
    count_ = 0;
  }

 private:
  using Slot = std::pair<std::uint32_t, std::uint32_t>;
  std::size_t start(std::uint32_t id) const { return (id * 0x9E3779B1u) & (slots_.size() - 1); }
  void place(std::uint32_t id, std::uint32_t node) {
    std::size_t i = start(id);
    while (slots_[i].first != 0) i = (i + 1) & (slots_.size() - 1);
    slots_[i] = {id, node};
  }
  void grow() {
    const std::vector<Slot> old =
        std::exchange(slots_, std::vector<Slot>(slots_.empty() ? 64 : 2 * slots_.size()));
    for (const Slot& slot : old) {
      if (slot.first != 0) place(slot.first, slot.second);
    }
  }
  std::vector<Slot> slots_;
  std::size_t count_ = 0;
};

}  // namespace gradus::detail
