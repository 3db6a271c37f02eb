#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "autograd/variable.hpp"

namespace gradus::models {

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
  /// been appended. A query sees the last `window` tokens, its own included, and the first `sinks`; with a
  /// window of 0 all up to its own.
  Variable attend(const Variable& queries, std::int64_t window = 0, std::int64_t sinks = 0) const;
  /// Forgets all but the first `sinks` and the last `count` tokens.
  void keep_last(std::int64_t count, std::int64_t sinks = 0);
  KeyValues detached() const;

 private:
  struct Block;
  /// The tokens begin..end-1 of a block.
  struct Part {
    std::shared_ptr<Block> block;
    std::int64_t begin, end;
  };

  void append_blocks(const Tensor& keys, const Tensor& values);
  std::int64_t take_room(const Tensor& like, std::int64_t count);
  Tensor together(bool of_keys) const;

  Variable keys_, values_;   // while a tape records; else undefined
  std::vector<Part> parts_;  // else
};

}  // namespace gradus::models
