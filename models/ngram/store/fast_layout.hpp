#pragma once

// Internal: not part of the public interface.

#include <array>
#include <cstdint>
#include <span>

#include "models/ngram/store/image.hpp"
#include "models/ngram/store/masses.hpp"

namespace gradus::models::ngram {

/// Where the n-grams that begin with another one stand in the order above: in a run of places, some of which
/// may be empty.
struct Block {
  std::uint32_t first, size;
};

// The fast layout: for each order an array of places, in which the continuations of an n-gram stand together.
// Few continuations are sorted by token and searched by reading them, one cache line mostly. Many are a hash
// table in place: sorted by the hash of the token, each as near behind the place its hash asks for as those
// before it allow, and empty places between.

/// The sizes of blocks, which an entry names by 7 bits: exact ones, then steps of an eighth or so.
struct BlockSizes {
  static constexpr std::uint32_t most_narrow = 8;  // continuations that are sorted by token
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

/// An n-gram of an order below the highest. Of an empty place only the token is set.
struct FastEntry {
  static constexpr int token_bits = 25;
  static constexpr std::uint32_t empty = (1u << token_bits) - 1;
  static_assert(max_vocab < static_cast<std::int32_t>(empty));

  std::uint32_t token_and_size;  // the last token, and the code of its block's size
  float log_prob, backoff;
  std::uint32_t first;  // place of its block

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
/// Where in a block of many continuations a hash is looked for first.
inline std::uint32_t wanted_place(std::uint32_t hash, std::uint32_t size) {
  return static_cast<std::uint32_t>((std::uint64_t{hash} * size) >> 32);
}

/// The place of a token in a block, or none.
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

/// Reads the fast layout of an image. Nothing read from it as an index is used unchecked.
class FastView {
 public:
  explicit FastView(const Image& image);

  int order() const { return order_; }
  std::uint32_t vocab() const { return vocab_; }
  std::uint32_t count(int length) const { return levels_[at(length)].count; }
  /// Places of n-grams of this length, empty ones included.
  std::uint32_t places(int length) const { return levels_[at(length)].places; }

  /// A unigram's place is its id.
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
  /// Whether asking each n-gram of this length for its continuations takes time in proportion to their
  /// number: here each is read from one entry.
  bool children_add_up(int) const { return true; }
  /// The place of the continuation by a token in the block of an n-gram of this length, or none.
  std::uint32_t find(int length, const Block& block, std::uint32_t token) const {
    if (length + 1 < order_) return find_in_block(block, levels_[at(length + 1)].entries, token);
    return find_in_block(block, leaves_, token);
  }
  /// Asks for what find() will read.
  void prefetch(int length, const Block& block, std::uint32_t token) const {
    const bool narrow = block.size <= BlockSizes::most_narrow;
    const std::uint32_t place = block.first + (narrow ? 0 : wanted_place(token_hash(token), block.size));
    if (length + 1 < order_) {
      __builtin_prefetch(levels_[at(length + 1)].entries + place);
    } else {
      __builtin_prefetch(leaves_ + place);
    }
  }
  /// Asks for what children() and backoff() will read: here, what find() has read.
  void prefetch(int, std::uint32_t) const {}
  /// The stored sums of the continuations' probabilities; none for few continuations.
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
  const FastLeaf* leaves_ = nullptr;         // the highest order
};

}  // namespace gradus::models::ngram
