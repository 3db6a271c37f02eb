#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "models/ngram/options.hpp"
#include "models/ngram/sink.hpp"
#include "tensor/support/error.hpp"
#include "tensor/support/function_ref.hpp"

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
  /// Called after the last read, once. Where a team estimates, the ids are those of all its members.
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

/// Estimates an n-gram model of the source's tokens and hands it to a sink. A begin symbol, which is never
/// predicted, precedes the first token of each sentence; no n-gram crosses the end of a sentence. Every id
/// has a unigram, whether it occurs or not. The model has the same bits for any number of threads and any
/// bound of memory.
///
/// `sink` is called once, when the text has been read and its vocabulary is known, and gives the sink. Where
/// a team estimates (BuildOptions), the member of rank 0 alone has a sink, which gets the model of all texts;
/// it is the one that one process makes of these texts one after the other, bit for bit.
///
/// Throws ArgumentError for options out of range, for a text without tokens, and for a closed vocabulary when
/// the text holds the unknown word; DataError for what the source refuses and when a temporary file cannot be
/// written. The sink's finish() is then not called, and no temporary file is left behind.
NgramSummary estimate(TokenSource& source, const NgramOptions& options, const BuildOptions& build,
                      FunctionRef<NgramSink&()> sink);
/// The same for a sink that is there already.
NgramSummary estimate(TokenSource& source, const NgramOptions& options, const BuildOptions& build,
                      NgramSink& sink);

/// The counts that estimate() would make the probabilities of: calls visit(ngram, count) for each n-gram of
/// each order from 1 up to options.order that occurs. The count is the number of occurrences or, for
/// Kneser-Ney below the highest order, of different words before the n-gram. The ids are the final ones, the
/// begin symbol is the size of the vocabulary. Throws as estimate() does, and ArgumentError for a team.
void visit_counts(TokenSource& source, const NgramOptions& options, const BuildOptions& build,
                  FunctionRef<void(std::span<const std::int32_t> ngram, std::int64_t count)> visit);

}  // namespace gradus::models::ngram
