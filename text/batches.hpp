#pragma once

#include <cstdint>
#include <iterator>
#include <span>
#include <string_view>
#include <vector>

#include "tensor/indices.hpp"
#include "tensor/random.hpp"

namespace gradus {

struct BatchOptions {
  /// The number of streams, which are the columns of a batch.
  std::int64_t batch = 20;
  /// Tokens of each stream in one batch: the length of truncated backpropagation.
  std::int64_t steps = 35;
  /// Whether to leave out a last batch of fewer steps.
  bool drop_last = false;
};

/// Input and target: y is x shifted by one token.
struct Batch {
  Indices x;  // (time, batch)
  Indices y;  // (time, batch)
};

/// Contiguous batches for truncated backpropagation through time. The tokens are cut into `batch` streams of
/// equal length (fewer than `batch` tokens at the end are left out), and each column of a batch continues in
/// the same column of the next one, so that the recurrent state can be carried over. A range:
///
///     for (const auto& [x, y] : batches(tokens, {.batch = 20, .steps = 35})) ...
///
/// It does not copy the tokens, which must outlive it.
class Batches {
 public:
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Batch;
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference = Batch;

    Iterator() = default;
    Iterator(const Batches* from, std::int64_t at) : from_(from), at_(at) {}
    Batch operator*() const { return (*from_)[at_]; }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    Iterator operator++(int) {
      Iterator before = *this;
      ++at_;
      return before;
    }
    bool operator==(const Iterator& other) const { return at_ == other.at_; }

   private:
    const Batches* from_ = nullptr;
    std::int64_t at_ = 0;
  };

  Batches(std::span<const std::int32_t> tokens, const BatchOptions& options, std::string_view name);

  /// The number of batches.
  std::int64_t size() const { return size_; }
  /// The number of targets in all batches together.
  std::int64_t tokens() const;
  /// The i-th batch, for example to resume a run in the middle. Throws ArgumentError when out of range.
  Batch operator[](std::int64_t i) const;
  /// The number of targets of each stream, and `steps` of all streams from a place of theirs on, for batches
  /// of lengths of one's own. Throws ArgumentError when out of range.
  std::int64_t stream() const { return stream_; }
  Batch part(std::int64_t first, std::int64_t steps) const;
  Iterator begin() const { return {this, 0}; }
  Iterator end() const { return {this, size_}; }

 private:
  std::span<const std::int32_t> tokens_;
  BatchOptions options_;
  std::int64_t stream_ = 0;  // the length of each stream
  std::int64_t size_ = 0;
};

/// Throws ArgumentError for options below 1; DataError, naming `name`, how many tokens there are and how many
/// are needed, for fewer than batch + 1 tokens (with drop_last, batch * steps + 1).
Batches batches(std::span<const std::int32_t> tokens, const BatchOptions& options = {},
                std::string_view name = "the text");
/// `batch` contexts of `steps` tokens that begin anywhere in the text, each place being as likely, and the
/// tokens after each: for networks that carry no state. Throws ArgumentError for sizes below 1, DataError for
/// a text of not more than `steps` tokens.
Batch random_batch(std::span<const std::int32_t> tokens, const BatchOptions& options, Rng& rng);
/// Deleted, because the tokens would be destroyed before the first batch.
Batches batches(std::vector<std::int32_t>&& tokens, const BatchOptions& options = {},
                std::string_view name = "the text") = delete;

}  // namespace gradus
