#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "tensor/support/error.hpp"

namespace gradus::models::ngram {

/// A text to estimate a model from, read once from front to back. While it is read, tokens have provisional
/// ids, numbered from 0. The final ids are known only at the end, because a vocabulary sorted by counts needs
/// the whole text.
class TokenSource {
 public:
  virtual ~TokenSource() = default;
  /// Replaces `ids` by the provisional ids of the next tokens; false when there are no more.
  virtual bool read(std::vector<std::uint32_t>& ids) = 0;
  /// The provisional id of the token that ends a sentence; -1: the text is one sentence.
  virtual std::int64_t provisional_end() const = 0;

  struct Ids {
    std::vector<std::int32_t> final_id;  // of each provisional id
    std::int32_t vocab = 0;              // final ids are 0..vocab-1
    std::int32_t sentence_end = -1;      // a final id; -1: the text is one sentence
  };
  /// Called after the last read, once.
  virtual Ids finish() = 0;

  /// How much of the text has been read; `total` is 0 when it is not known.
  struct Progress {
    std::int64_t done = 0, total = 0;
  };
  virtual Progress progress() const { return {}; }
};

/// Tokens in memory, with their final ids.
class IdSource : public TokenSource {
 public:
  /// The tokens must outlive the source. Throws ArgumentError for an id out of 0..vocab-1.
  IdSource(std::span<const std::int32_t> tokens, std::int32_t vocab, std::int32_t sentence_end = -1)
      : tokens_(tokens), vocab_(vocab), sentence_end_(sentence_end) {
    if (sentence_end < -1 || sentence_end >= vocab)
      fail<ArgumentError>("an n-gram model: the sentence end {} is not in 0..{}", sentence_end, vocab - 1);
    for (const std::int32_t token : tokens) {
      if (token < 0 || token >= vocab)
        fail<ArgumentError>("an n-gram model: token {} is not in 0..{}", token, vocab - 1);
    }
  }

  bool read(std::vector<std::uint32_t>& ids) override {
    const std::size_t count = std::min(tokens_.size() - at_, std::size_t{1} << 18);
    ids.assign(tokens_.begin() + static_cast<std::ptrdiff_t>(at_),
               tokens_.begin() + static_cast<std::ptrdiff_t>(at_ + count));
    at_ += count;
    return count > 0;
  }
  std::int64_t provisional_end() const override { return sentence_end_; }
  Ids finish() override {
    std::vector<std::int32_t> same(static_cast<std::size_t>(vocab_));
    for (std::int32_t id = 0; id < vocab_; ++id) same[static_cast<std::size_t>(id)] = id;
    return {std::move(same), vocab_, sentence_end_};
  }
  Progress progress() const override {
    return {static_cast<std::int64_t>(at_), static_cast<std::int64_t>(tokens_.size())};
  }

 private:
  std::span<const std::int32_t> tokens_;
  std::size_t at_ = 0;
  std::int32_t vocab_ = 0, sentence_end_ = -1;
};

}  // namespace gradus::models::ngram
