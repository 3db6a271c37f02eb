#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "models/ngram/bits.hpp"
#include "models/ngram/fast_layout.hpp"
#include "models/ngram/image.hpp"

namespace gradus::models::ngram {

// The compact layout: the same arrays as the fast one's, each number in as few bits as it needs.
//
//   entries        the last tokens, token_bits each (unigrams: none, the place is the id)
//   values         log p and backoff weight, log_prob_bits and backoff_bits each
//   log_probs,     the numbers that those are places in; where there is none, they are the floats themselves,
//     backoffs     log p without its sign
//   child_bits     how many continuations each has: a 1, and a 0 for each of them; so that the i-th 1 stands
//                  at i + the number of continuations before
//   child_samples  the continuations before every sample_step-th n-gram; of unigrams, before each of them
//   wide, masses   the n-grams with many continuations, and their sums of probabilities

/// An n-gram with at least `least` continuations; sorted by n-gram.
struct CompactWide {
  static constexpr std::uint32_t least = 128;
  std::uint32_t node;
  std::uint32_t masses;  // where its sums begin
};

inline constexpr std::uint32_t sample_step = 64;

/// Reads the compact layout of an image, as FastView the fast one.
class CompactView {
 public:
  CompactView() = default;
  explicit CompactView(const Image& image);

  int order() const { return order_; }
  std::uint32_t vocab() const { return vocab_; }
  std::uint32_t count(int length) const { return levels_[at(length)].count; }

  float unigram(std::uint32_t token) const { return log_prob(1, token); }
  std::uint32_t token(int length, std::uint32_t index) const {
    const Level& level = levels_[at(length)];
    if (level.token_bits == 0) return index;
    return read_bits(level.tokens, std::uint64_t{index} * level.token_bits, level.token_bits);
  }
  float log_prob(int length, std::uint32_t index) const {
    const Level& level = levels_[at(length)];
    const std::uint32_t code =
        read_bits(level.values, std::uint64_t{index} * level.value_bits, level.log_prob_bits);
    if (level.log_probs.empty()) return std::bit_cast<float>(code | 0x80000000u);
    return level.log_probs[std::min<std::size_t>(code, level.log_probs.size() - 1)];
  }
  float backoff(int length, std::uint32_t index) const {
    const Level& level = levels_[at(length)];
    const std::uint32_t code = read_bits(
        level.values, std::uint64_t{index} * level.value_bits + level.log_prob_bits, level.backoff_bits);
    if (level.backoffs.empty()) return std::bit_cast<float>(code);
    return level.backoffs[std::min<std::size_t>(code, level.backoffs.size() - 1)];
  }
  Children children(int length, std::uint32_t node) const {
    const Level& level = levels_[at(length)];
    const Children out = length == 1 ? listed_children(level, node) : counted_children(level, node);
    const std::uint32_t limit = levels_[at(length + 1)].count;
    return out.first <= limit && out.count <= limit - out.first ? out : Children{};
  }
  bool has_children(int length, std::uint32_t node) const { return children(length, node).count > 0; }
  Found find(int length, std::uint32_t node, std::uint32_t token) const;
  void prefetch(int length, std::uint32_t node) const {
    const Level& level = levels_[at(length)];
    if (length > 1) __builtin_prefetch(level.samples.data() + node / sample_step);
  }
  void prefetch(int, std::uint32_t, std::uint32_t) const {}
  std::span<const double> masses(int length, std::uint32_t node) const;

 private:
  struct Level {
    std::uint32_t count = 0;
    std::uint8_t token_bits = 0, log_prob_bits = 0, backoff_bits = 0, value_bits = 0;
    const std::uint64_t* tokens = nullptr;
    const std::uint64_t* values = nullptr;
    std::span<const float> log_probs, backoffs;
    std::span<const std::uint64_t> child_bits;
    std::span<const std::uint32_t> samples;
    std::span<const CompactWide> wide;
    std::span<const double> masses;
  };

  static std::size_t at(int length) { return static_cast<std::size_t>(length); }
  Children listed_children(const Level& level, std::uint32_t node) const {
    const std::uint32_t first = level.samples[node], end = level.samples[node + 1];
    return first <= end ? Children{first, end - first} : Children{};
  }
  Children counted_children(const Level& level, std::uint32_t node) const;

  int order_ = 0;
  std::uint32_t vocab_ = 0;
  std::array<Level, max_order + 1> levels_;  // by order, from 1
};

/// Writes the model into an image of the compact layout, which has been described; `quantize` as in
/// NgramStorage.
void write_compact(const Image& fast, ImageWriter& to, int quantize);

}  // namespace gradus::models::ngram
