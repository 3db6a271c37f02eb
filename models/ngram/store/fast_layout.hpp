#pragma once

// Internal: not part of the public interface.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <span>

#include "models/ngram/store/image.hpp"

namespace gradus::models::ngram {

// Sums of the probabilities of continuations, for sampling from many of them without reading all.

/// There is a sum after every `mass_step` places, and one after the last place.
inline constexpr std::uint32_t mass_step = 32;
/// Smaller blocks have no sums.
inline constexpr std::uint32_t least_for_masses = 64;

inline std::uint64_t mass_count(std::uint64_t places) {
  return (places + mass_step - 1) / mass_step;
}

/// An n-gram whose continuations have sums.
struct WideNode {
  std::uint32_t node;
  std::uint32_t masses;  // where its sums begin
};

/// log_prob(i) is that of place i, or -infinity for an empty place.
template <class LogProb>
void sum_masses(std::uint32_t places, std::span<double> out, LogProb&& log_prob) {
  double sum = 0;
  for (std::uint32_t i = 0; i < places; ++i) {
    sum += std::exp(static_cast<double>(log_prob(i)));
    out[i / mass_step] = sum;
  }
}

/// Reads the sums of one order.
struct Masses {
  std::span<const WideNode> wide;  // sorted by node
  std::span<const double> sums;

  std::span<const double> of(std::uint32_t node, std::uint32_t places) const {
    if (places < least_for_masses) return {};
    const auto found = std::lower_bound(wide.begin(), wide.end(), node,
                                        [](const WideNode& w, std::uint32_t n) { return w.node < n; });
    if (found == wide.end() || found->node != node) return {};
    const std::uint64_t count = mass_count(places);
    if (found->masses > sums.size() || count > sums.size() - found->masses) return {};
    return sums.subspan(found->masses, count);
  }
};

/// The places of the continuations of an n-gram in the next order: a run of places, some of which may be
/// empty.
struct Block {
  std::uint32_t first, size;
};

// The fast layout: for each order an array of places, where the continuations of an n-gram lie side by side
// in a block. A small block is sorted by token and searched linearly, mostly in one cache line. A large block
// is a hash table sorted by the hash of the token: each entry has the first free place from the one that its
// hash asks for, and there are empty places between the entries.

/// The possible sizes of blocks, which an entry stores as a code of 7 bits: every small size, then steps of
/// about 1/7.
struct BlockSizes {
  static constexpr std::uint32_t most_narrow = 8;  // the largest block that is sorted by token
  std::array<std::uint32_t, 128> of_code{};

  constexpr BlockSizes() {
    std::uint32_t size = 0;
    for (std::uint32_t code = 0; code < of_code.size(); ++code) {
      size = code <= most_narrow ? code : code == most_narrow + 1 ? 12 : size + size / 7 + 1;
      of_code[code] = size;
    }
  }
};
inline constexpr BlockSizes block_sizes;
static_assert(block_sizes.of_code.back() / 2 > static_cast<std::uint32_t>(max_vocab));

/// An n-gram of an order below the highest. An empty place has the token `empty`.
struct FastEntry {
  static constexpr int token_bits = 25;
  static constexpr std::uint32_t empty = (1u << token_bits) - 1;
  static_assert(max_vocab < static_cast<std::int32_t>(empty));

  std::uint32_t token_and_size;  // the last token, and the code of the size of the block of continuations
  float log_prob, backoff;
  std::uint32_t first;  // the first place of that block

  std::uint32_t token() const { return token_and_size & empty; }
  std::uint32_t size_code() const { return token_and_size >> token_bits; }
};
static_assert(sizeof(FastEntry) == 16);

/// An n-gram of the highest order.
struct FastLeaf {
  std::uint32_t last_token;
  float log_prob;
  std::uint32_t token() const { return last_token; }
};

inline std::uint32_t token_hash(std::uint32_t token) {
  return token * 0x9E3779B1u;  // Knuth's multiplicative hash by the golden ratio
}
/// The place in a large block where the search for a hash begins.
inline std::uint32_t wanted_place(std::uint32_t hash, std::uint32_t size) {
  return static_cast<std::uint32_t>((std::uint64_t{hash} * size) >> 32);
}

/// The place of a token in a block, or `none`.
template <class Entry>
inline std::uint32_t find_in_block(const Block& block, const Entry* entries, std::uint32_t token) {
  const std::uint32_t end = block.first + block.size;
  if (block.size <= BlockSizes::most_narrow) {
    for (std::uint32_t i = block.first; i < end; ++i) {
      if (entries[i].token() == token) return i;
    }
    return none;
  }
  const std::uint32_t hash = token_hash(token);
  for (std::uint32_t i = block.first + wanted_place(hash, block.size); i < end; ++i) {
    const std::uint32_t here = entries[i].token();
    if (here == token) return i;
    if (here == FastEntry::empty || token_hash(here) > hash) return none;
  }
  return none;
}

/// Reads the fast layout of an image. An index read from the image is checked before it is used.
class FastView {
 public:
  explicit FastView(const Image& image);

  int order() const { return order_; }
  std::uint32_t vocab() const { return vocab_; }
  std::uint32_t count(int length) const { return levels_[at(length)].count; }
  /// The number of places for n-grams of this length, including empty ones.
  std::uint32_t places(int length) const { return levels_[at(length)].places; }

  /// The last token of the n-gram at a place. The place of a unigram is its id.
  std::uint32_t token(int length, std::uint32_t index) const {
    return length < order_ ? levels_[at(length)].entries[index].token() : leaves_[index].token();
  }
  float log_prob(int length, std::uint32_t index) const {
    return length < order_ ? levels_[at(length)].entries[index].log_prob : leaves_[index].log_prob;
  }
  float backoff(int length, std::uint32_t node) const { return levels_[at(length)].entries[node].backoff; }
  Block children(int length, std::uint32_t node) const {
    const FastEntry& entry = levels_[at(length)].entries[node];
    const Block out{entry.first, block_sizes.of_code[entry.size_code()]};
    const std::uint32_t limit = levels_[at(length + 1)].places;
    return out.first <= limit && out.size <= limit - out.first ? out : Block{};
  }
  bool has_children(int length, std::uint32_t node) const {
    return levels_[at(length)].entries[node].size_code() > 0;
  }
  /// Whether the blocks of continuations of all n-grams of this length can be read in time linear in their
  /// number, even in a damaged file. Here each is read from one entry.
  bool children_add_up(int) const { return true; }
  /// The place, in the block of an n-gram of this length, of the continuation by a token, or `none`.
  std::uint32_t find(int length, const Block& block, std::uint32_t token) const {
    if (length + 1 < order_) return find_in_block(block, levels_[at(length + 1)].entries, token);
    return find_in_block(block, leaves_, token);
  }
  /// Prefetches what find() will read.
  void prefetch(int length, const Block& block, std::uint32_t token) const {
    const bool narrow = block.size <= BlockSizes::most_narrow;
    const std::uint32_t place = block.first + (narrow ? 0 : wanted_place(token_hash(token), block.size));
    if (length + 1 < order_) {
      __builtin_prefetch(levels_[at(length + 1)].entries + place);
    } else {
      __builtin_prefetch(leaves_ + place);
    }
  }
  /// Prefetches what children() and backoff() will read: here nothing, as find() has read it.
  void prefetch(int, std::uint32_t) const {}
  /// The stored sums of the probabilities of the continuations; empty for a small block.
  std::span<const double> masses(int length, std::uint32_t node) const {
    return levels_[at(length)].masses.of(node, children(length, node).size);
  }

 private:
  struct Level {
    const FastEntry* entries = nullptr;
    std::uint32_t count = 0, places = 0;
    Masses masses;
  };

  static std::size_t at(int length) { return static_cast<std::size_t>(length); }
  int order_ = 0;
  std::uint32_t vocab_ = 0;
  std::array<Level, max_order + 1> levels_;  // by order, from 1
  const FastLeaf* leaves_ = nullptr;         // of the highest order
};

}  // namespace gradus::models::ngram
