#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "autograd/variable.hpp"

namespace gradus::nn {

/// Which of the keys that a cache holds a query sees; it never sees those after its own.
struct CacheSight {
  std::int64_t window = 0;  // the last ones, its own included; 0: all
  std::int64_t sinks = 0;   // and the first ones, where there is a window
  /// What those first keys are multiplied by in place of the queries, of the queries' shape; or undefined.
  /// Rotary positions by places in the cache turn a query otherwise for them.
  Variable sink_queries = {};
};

/// The keys and values of the tokens that a layer of attention has read. A value: what one copy appends,
/// another does not see.
///
/// While a tape records, they are Variables, to which each step adds behind, so that gradients flow through
/// them as through any state. Otherwise they lie in blocks of some tokens, which copies share: appending to a
/// copy writes behind what all have, or, where another copy has been there before, in a copy of the last
/// block. So a token costs no copy of the others, and of many continuations each costs what differs, rounded
/// up to blocks. (One buffer with room behind it would make a token as cheap, but each branch a copy of
/// everything.) A few queries read the blocks where they lie; for many, whose products want keys side by side
/// and take much longer than a copy, they are put together.
class KeyValues {
 public:
  /// Tokens of a block.
  static constexpr std::int64_t block_tokens = 64;

  /// How many tokens there are.
  std::int64_t size() const;
  /// (batch, time, heads, width of a head); undefined before the first token.
  Variable keys() const;
  Variable values() const;
  /// Puts tokens of these shapes behind the others. Throws ShapeError for a shape that does not fit these.
  void append(const Variable& keys, const Variable& values);
  /// Causal attention of the last tokens' queries, (batch, queries, heads, width of a head), which must have
  /// been appended. Throws ShapeError for queries that do not fit.
  Variable attend(const Variable& queries, const CacheSight& sight = {}) const;
  /// Forgets all but the first `sinks` and the last `count` tokens.
  void keep_last(std::int64_t count, std::int64_t sinks = 0);
  KeyValues detached() const;

  // The next token of each of several texts, of one entry each and of any lengths: token i of (1, texts,
  // heads, width of a head) is that of text i. Each has the bits that it has alone.

  static void append_each(std::span<KeyValues> texts, const Variable& keys, const Variable& values);
  static Variable attend_each(std::span<const KeyValues> texts, const Variable& queries,
                              const CacheSight& sight = {});

 private:
  struct Block;
  /// The tokens begin..end-1 of a block.
  struct Part {
    std::shared_ptr<Block> block;
    std::int64_t begin, end;
  };
  template <class T>
  class Calls;

  void append_blocks(const Tensor& keys, const Tensor& values);
  std::int64_t take_room(const Tensor& like, std::int64_t count);
  Tensor together(bool of_keys) const;
  Variable attend_together(const Variable& queries, const CacheSight& sight) const;
  void check_queries(const Variable& queries, std::int64_t batch, std::int64_t count) const;

  Variable keys_, values_;   // while a tape records; else undefined
  std::vector<Part> parts_;  // else
};

}  // namespace gradus::nn
