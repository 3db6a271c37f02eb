#pragma once

// Internal: not part of the public interface.

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "models/ngram/store/bits.hpp"
#include "models/ngram/store/fast_layout.hpp"
#include "models/ngram/store/image.hpp"
#include "tensor/support/function_ref.hpp"

namespace gradus::models::ngram {

// The compact layout: for each order an array of n-grams, where each number has as few bits as it needs.
//
//   entries        for each n-gram the key of its last token, log p in log_prob_bits and the backoff weight
//                  in backoff_bits (unigrams have no key, as their place is their id)
//   log_probs,     the codebooks that these two are indices of; where a codebook is empty, they are floats,
//     backoffs     log p without its sign
//   child_bits     the number of continuations of each n-gram: a 1, followed by a 0 for each continuation,
//                  so that the position of the i-th 1 is i + the number of continuations before
//   child_samples  the number of continuations before every sample_step-th n-gram; for unigrams, before each
//   wide, masses   the sums of probabilities
//
// The continuations of an n-gram are sorted by key. Keys are a permutation of the ids that spreads any set of
// them evenly, so that the place of a key can be guessed from its size (interpolation search).

inline constexpr std::uint32_t sample_step = 16;

/// The permutation of 0..2^bits-1 that gives the keys.
struct TokenKeys {
  explicit TokenKeys(int width = 1)
      : bits(width), mask((std::uint32_t{1} << width) - 1), factor((0x9E3779B1u >> (32 - width)) | 1) {
    // Newton's iteration for the inverse modulo 2^32 doubles the number of correct bits, 3 at first.
    inverse = factor;
    for (int i = 0; i < 4; ++i) inverse *= 2 - factor * inverse;
  }
  std::uint32_t key(std::uint32_t token) const { return (token * factor) & mask; }
  std::uint32_t token(std::uint32_t key) const { return (key * inverse) & mask; }

  int bits;
  std::uint32_t mask, factor, inverse;
};

/// Reads the compact layout of an image, with the members of FastView.
class CompactView {
 public:
  explicit CompactView(const Image& image);

  int order() const { return order_; }
  std::uint32_t vocab() const { return vocab_; }
  std::uint32_t count(int length) const { return levels_[at(length)].count; }

  std::uint32_t places(int length) const { return count(length); }

  std::uint32_t token(int length, std::uint32_t index) const {
    return length == 1 ? index : keys_.token(key(levels_[at(length)], index));
  }
  float log_prob(int length, std::uint32_t index) const {
    const Level& level = levels_[at(length)];
    const std::uint64_t bit = std::uint64_t{index} * level.entry_bits + level.key_bits;
    const std::uint32_t code = read_bits(level.entries, bit, level.log_prob_bits);
    if (level.log_probs.empty()) return std::bit_cast<float>(code | 0x80000000u);
    return level.log_probs[std::min<std::size_t>(code, level.log_probs.size() - 1)];
  }
  float backoff(int length, std::uint32_t index) const {
    const Level& level = levels_[at(length)];
    const std::uint64_t bit = std::uint64_t{index} * level.entry_bits + level.key_bits + level.log_prob_bits;
    const std::uint32_t code = read_bits(level.entries, bit, level.backoff_bits);
    if (level.backoffs.empty()) return std::bit_cast<float>(code);
    return level.backoffs[std::min<std::size_t>(code, level.backoffs.size() - 1)];
  }
  Block children(int length, std::uint32_t node) const {
    const Level& level = levels_[at(length)];
    const Block out = length == 1 ? listed_children(level, node) : counted_children(level, node);
    const std::uint32_t limit = levels_[at(length + 1)].count;
    return out.first <= limit && out.size <= limit - out.first ? out : Block{};
  }
  bool has_children(int length, std::uint32_t node) const { return children(length, node).size > 0; }
  /// Whether the blocks of the n-grams of this length are consecutive and make up the next order, and the
  /// samples agree. If not, as in a damaged file, finding the continuations of one n-gram may take as long as
  /// reading all bits.
  bool children_add_up(int length) const;
  std::uint32_t find(int length, const Block& block, std::uint32_t token) const;
  void prefetch(int length, const Block& block, std::uint32_t token) const {
    const std::uint32_t place = block.first + wanted_place(keys_.key(token), block.size);
    const Level& next = levels_[at(length + 1)];
    fetch(next.entries, std::uint64_t{place} * next.entry_bits);
  }
  void prefetch(int length, std::uint32_t node) const {
    const Level& level = levels_[at(length)];
    if (length == 1) {
      __builtin_prefetch(level.samples.data() + node);
    } else {
      fetch(level.child_bits.data(), first_bit(level, node));
    }
  }
  std::span<const double> masses(int length, std::uint32_t node) const {
    return levels_[at(length)].masses.of(node, children(length, node).size);
  }

 private:
  struct Level {
    std::uint32_t count = 0;
    std::uint8_t key_bits = 0, log_prob_bits = 0, backoff_bits = 0, entry_bits = 0;
    const std::uint64_t* entries = nullptr;
    std::span<const float> log_probs, backoffs;
    std::span<const std::uint64_t> child_bits;
    std::span<const std::uint32_t> samples;
    Masses masses;
  };

  static std::size_t at(int length) { return static_cast<std::size_t>(length); }
  /// Prefetches a bit, at any position: the numbers of a damaged file are not checked for this.
  static void fetch(const std::uint64_t* words, std::uint64_t bit) {
    __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(words) + bit / 8));
  }
  std::uint32_t key(const Level& level, std::uint32_t index) const {
    return read_bits(level.entries, std::uint64_t{index} * level.entry_bits, keys_.bits);
  }
  /// The place where the search for a key begins.
  std::uint32_t wanted_place(std::uint32_t key, std::uint32_t size) const {
    return static_cast<std::uint32_t>((std::uint64_t{key} * size) >> keys_.bits);
  }
  static Block listed_children(const Level& level, std::uint32_t node) {
    const std::uint32_t first = level.samples[node], end = level.samples[node + 1];
    return first <= end ? Block{first, end - first} : Block{};
  }
  /// The position of the 1 that the sample at or before a node is for.
  static std::uint64_t first_bit(const Level& level, std::uint32_t node) {
    return std::uint64_t{level.samples[node / sample_step]} + node / sample_step * sample_step;
  }
  static Block counted_children(const Level& level, std::uint32_t node);

  int order_ = 0;
  std::uint32_t vocab_ = 0;
  TokenKeys keys_;
  std::array<Level, max_order + 1> levels_;  // by order, from 1
};

/// Gives the i-th of `count` numbers.
using Numbers = FunctionRef<float(std::uint64_t)>;

/// A sorted list of floats. Numbers are stored as indices into it.
struct Codebook {
  std::vector<float> floats;  // empty: the numbers are stored as they are

  int bits() const;
  /// The index of the float nearest to x.
  std::uint32_t code(float x) const;
};

/// A codebook of all different numbers, if this takes less room than storing each in `float_bits` bits;
/// otherwise an empty one. Memory is bounded: for more than a million different numbers the codebook is
/// empty.
Codebook exact_codebook(std::uint64_t count, Numbers numbers, int float_bits);

/// A codebook of at most 2^bits floats: the means of bins that have equally many numbers (Federico and
/// Bertoldi 2006, "How many bits are needed to store probabilities for phrase-based translation?"), then
/// improved by a few rounds in which each is moved to the mean of the numbers nearest to it (Lloyd 1982).
/// Zero and -infinity, if they occur, are represented exactly. When there are very many numbers, an even
/// sample is used.
Codebook quantized_codebook(std::uint64_t count, Numbers numbers, int bits);

/// The number of bits of a key.
int key_bits(std::uint32_t vocab);

/// Writes a model to an image of the compact layout, which must have been described; `quantize` is that of
/// NgramStorage. In addition to the images, it holds 8 bytes for each n-gram of an order.
///
/// The model comes as an image of the fast layout and not as a stream of n-grams, because the compact layout
/// needs all n-grams of an order before it can write the first: they are sorted by their keys, not by their
/// ids, and the codebooks depend on all numbers. So the n-grams must first be stored in a form where those of
/// any context are found, and the fast layout is one. Filling it is a small part of the time of a build,
/// about 7% for order 5 on one thread. Looking up each context in the compact layout written so far would
/// save nothing, as it is slower to query.
void write_compact(const Image& fast, ImageWriter& to, int quantize);

}  // namespace gradus::models::ngram
