#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <span>

#include "models/ngram/image.hpp"

namespace gradus::models::ngram {

/// Where the n-grams that begin with another one stand in the order above.
struct Children {
  std::uint32_t first = 0, count = 0;
};

/// An n-gram and the log p of its last token.
struct Found {
  std::uint32_t index = none;
  float log_prob = 0;
};

// The fast layout: for each order an array sorted by ids, so that an n-gram's continuations stand together in
// the next. A word among few continuations is found by reading them, one cache line mostly; among many, by a
// hash table over them.

/// An n-gram of an order below the highest.
struct FastEntry {
  static constexpr int token_bits = 27;
  static constexpr std::uint32_t token_mask = (1u << token_bits) - 1;
  /// More continuations than this many, and `first` is the index of a WideNode.
  static constexpr std::uint32_t most_narrow = 12;
  static constexpr std::uint32_t wide = 31;

  std::uint32_t token_and_count;  // the last token, and the number of continuations
  float log_prob, backoff;
  std::uint32_t first;  // continuation

  std::uint32_t token() const { return token_and_count & token_mask; }
  std::uint32_t narrow_count() const { return token_and_count >> token_bits; }
};
static_assert(sizeof(FastEntry) == 16);

/// An n-gram of the highest order.
struct FastLeaf {
  std::uint32_t last_token;
  float log_prob;
  std::uint32_t token() const { return last_token; }
};

/// An n-gram with many continuations.
struct WideNode {
  std::uint32_t first, count;
  std::uint32_t slots;   // where its hash table begins, in steps of 16 slots
  std::uint32_t masses;  // where its sums of probabilities begin
};

/// The hash table of a WideNode: a slot is 0 or a continuation's place, counted from 1, under the lowest bits
/// of its token's hash, of which the highest say where to look first.
struct SlotTable {
  static constexpr std::uint32_t slot_step = 16;

  explicit SlotTable(std::uint32_t count)
      : place_bits(std::bit_width(count)), slot_bits(std::bit_width(count + count / 2 - 1)) {}
  std::uint32_t size() const { return std::uint32_t{1} << slot_bits; }
  static std::uint32_t hash(std::uint32_t token) { return token * 0x9E3779B1u; }
  std::uint32_t begin(std::uint32_t hashed) const { return hashed >> (32 - slot_bits); }
  std::uint32_t slot(std::uint32_t hashed, std::uint32_t place) const {
    return (hashed << place_bits) | (place + 1);
  }
  bool may_be(std::uint32_t slot, std::uint32_t hashed) const {
    return ((slot ^ (hashed << place_bits)) >> place_bits) == 0;
  }
  std::uint32_t place(std::uint32_t slot) const { return (slot & ((1u << place_bits) - 1)) - 1; }

  int place_bits, slot_bits;
};

/// Sums of probabilities: after every `mass_step` continuations, and after the last.
inline constexpr std::uint32_t mass_step = 32;
inline std::uint64_t mass_count(std::uint64_t continuations) {
  return (continuations + mass_step - 1) / mass_step;
}

/// Adds up probabilities, and notes the sum after every mass_step of them and after the last.
template <class LogProb>
void sum_masses(std::uint32_t count, std::span<double> out, LogProb&& log_prob) {
  double sum = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    sum += std::exp(static_cast<double>(log_prob(i)));
    out[i / mass_step] = sum;
  }
}

/// Reads the fast layout of an image. Nothing read from it as an index is used unchecked.
class FastView {
 public:
  FastView() = default;
  explicit FastView(const Image& image);

  int order() const { return order_; }
  std::uint32_t vocab() const { return vocab_; }
  std::uint32_t count(int order_of) const { return levels_[at(order_of)].count; }

  /// A unigram's index is its id.
  float unigram(std::uint32_t token) const {
    return order_ > 1 ? levels_[1].entries[token].log_prob : leaves_[token].log_prob;
  }
  float backoff(int length, std::uint32_t node) const { return levels_[at(length)].entries[node].backoff; }
  Children children(int length, std::uint32_t node) const {
    const FastEntry& entry = levels_[at(length)].entries[node];
    const std::uint32_t narrow = entry.narrow_count();
    Children out{entry.first, narrow};
    if (narrow == FastEntry::wide) {
      const WideNode* const wide = wide_node(length, entry.first);
      if (wide == nullptr) return {};
      out = {wide->first, wide->count};
    }
    const std::uint32_t limit = levels_[at(length + 1)].count;
    return out.first <= limit && out.count <= limit - out.first ? out : Children{};
  }
  bool has_children(int length, std::uint32_t node) const {
    return levels_[at(length)].entries[node].narrow_count() > 0;
  }
  /// The continuation of an n-gram by a token.
  Found find(int length, std::uint32_t node, std::uint32_t token) const {
    const FastEntry& entry = levels_[at(length)].entries[node];
    if (length + 1 < order_) return find(length, entry, levels_[at(length + 1)].entries, token);
    return find(length, entry, leaves_, token);
  }
  /// Asks for what find() will read first; with the token, for what it reads next.
  void prefetch(int length, std::uint32_t node) const {
    const FastEntry& entry = levels_[at(length)].entries[node];
    if (entry.narrow_count() == FastEntry::wide) {
      fetch(levels_[at(length)].wide.data(), entry.first);
    } else if (length + 1 < order_) {
      fetch(levels_[at(length + 1)].entries, entry.first);
    } else {
      fetch(leaves_, entry.first);
    }
  }
  void prefetch(int length, std::uint32_t node, std::uint32_t token) const {
    const Level& level = levels_[at(length)];
    const FastEntry& entry = level.entries[node];
    if (entry.narrow_count() != FastEntry::wide) return;
    const WideNode* const wide = wide_node(length, entry.first);
    if (wide == nullptr) return;
    const SlotTable table(wide->count);
    fetch(level.slots.data(),
          std::uint64_t{wide->slots} * SlotTable::slot_step + table.begin(SlotTable::hash(token)));
  }
  std::uint32_t token(int length, std::uint32_t index) const {
    return length < order_ ? levels_[at(length)].entries[index].token() : leaves_[index].token();
  }
  float log_prob(int length, std::uint32_t index) const {
    return length < order_ ? levels_[at(length)].entries[index].log_prob : leaves_[index].log_prob;
  }
  /// The stored sums of the continuations' probabilities, for many continuations.
  std::span<const double> masses(int length, std::uint32_t node) const;

 private:
  struct Level {
    const FastEntry* entries = nullptr;
    std::uint32_t count = 0;
    std::span<const WideNode> wide;
    std::span<const std::uint32_t> slots;
    std::span<const double> masses;
  };

  static std::size_t at(int length) { return static_cast<std::size_t>(length); }
  const WideNode* wide_node(int length, std::uint32_t index) const {
    const auto& wide = levels_[at(length)].wide;
    return index < wide.size() && wide[index].count > 1 && wide[index].count <= vocab_ ? &wide[index]
                                                                                       : nullptr;
  }

  /// The address may lie anywhere: a damaged file's index is not checked for this.
  template <class T>
  static void fetch(const T* base, std::uint64_t index) {
    __builtin_prefetch(
        reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(base) + index * sizeof(T)));
  }

  template <class Entry>
  Found find(int length, const FastEntry& entry, const Entry* entries, std::uint32_t token) const {
    const std::uint32_t narrow = entry.narrow_count();
    if (narrow == FastEntry::wide) return find_wide(length, entry.first, entries, token);
    const std::uint32_t limit = levels_[at(length + 1)].count;
    if (entry.first > limit || narrow > limit - entry.first) return {};
    for (std::uint32_t i = entry.first; i < entry.first + narrow; ++i) {
      if (entries[i].token() == token) return {i, entries[i].log_prob};
    }
    return {};
  }
  template <class Entry>
  Found find_wide(int length, std::uint32_t index, const Entry* entries, std::uint32_t token) const {
    const WideNode* const wide = wide_node(length, index);
    if (wide == nullptr) return {};
    const SlotTable table(wide->count);
    const auto slots = levels_[at(length)].slots;
    const std::uint64_t begin = std::uint64_t{wide->slots} * SlotTable::slot_step;
    const std::uint32_t limit = levels_[at(length + 1)].count;
    if (begin + table.size() > slots.size() || wide->first > limit || wide->count > limit - wide->first)
      return {};
    const std::uint32_t hashed = SlotTable::hash(token), mask = table.size() - 1;
    std::uint32_t at_slot = table.begin(hashed);
    for (std::uint32_t tried = 0; tried <= mask; ++tried, at_slot = (at_slot + 1) & mask) {
      const std::uint32_t slot = slots[begin + at_slot];
      if (slot == 0) return {};
      if (!table.may_be(slot, hashed)) continue;
      const std::uint32_t place = table.place(slot);
      if (place >= wide->count) continue;
      const Entry& found = entries[wide->first + place];
      if (found.token() == token) return {wide->first + place, found.log_prob};
    }
    return {};
  }

  int order_ = 0;
  std::uint32_t vocab_ = 0;
  std::array<Level, max_order + 1> levels_;  // by order, from 1; [0] holds the root's sums
  const FastLeaf* leaves_ = nullptr;         // the highest order
};

}  // namespace gradus::models::ngram
