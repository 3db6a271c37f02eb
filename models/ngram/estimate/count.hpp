#pragma once

// Internal: not part of the public interface.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "models/ngram/sort/record_store.hpp"

namespace gradus::models::ngram {

/// Counts the n-grams of one order: each word with the order - 1 words before it, where a sentence is
/// preceded by as many begin symbols as needed. So these counts contain those of all lower orders (Heafield
/// et al. 2013, 3.1). Equal n-grams are counted in hash tables, one for each thread. When the tables outgrow
/// their memory, their n-grams go to a store; counts of the same n-gram from several such batches are added
/// up later, when they are sorted.
class NgramCounter {
 public:
  static constexpr std::uint32_t begin_symbol = 0xFFFFFFFFU;

  /// `sentence_end`: the id that ends a sentence, -1 for none. `memory`: a bound in bytes on the tables.
  NgramCounter(int order, std::int64_t sentence_end, std::int64_t memory, SegmentPool& pool);

  void add(std::span<const std::uint32_t> ids);
  /// Called after the last ids.
  void finish();

  std::int64_t tokens() const { return tokens_; }
  std::int64_t sentences() const { return sentences_; }

  /// After finish: one bucket of records. A record has two ids in each of its words, the first one in the
  /// lower half, and the count in the last word.
  RecordStore& counts() { return counts_; }
  void read_ids(const std::uint64_t* record, std::uint32_t* ids) const {
    std::memcpy(ids, record, order_ * sizeof *ids);
  }
  /// An even sample of the n-grams: the ids of one after the other.
  std::span<const std::uint32_t> sample() const { return sample_; }

 private:
  /// The n-grams whose hash belongs to one thread.
  struct Table {
    Mapping memory;
    std::span<std::uint64_t> slots;  // hash and record number + 1, or 0
    std::vector<SegmentPool::Segment> segments;
    std::size_t in_last = 0;            // records of the last segment
    std::size_t used = 0;               // slots in use
    std::vector<std::uint32_t> places;  // where the n-grams to be counted end in stream_
  };

  void add_part(std::span<const std::uint32_t> ids);
  void hash_range(std::size_t begin, std::size_t end);
  void count(Table& table);
  std::uint64_t* record(const Table& table, std::uint64_t number) const {
    return table.segments[number >> segment_shift_].get() +
           (number & ((std::uint64_t{1} << segment_shift_) - 1)) * width_;
  }
  bool same(const std::uint64_t* record, const std::uint32_t* ids) const;
  std::uint64_t add_record(Table& table, const std::uint32_t* ids) const;
  static void set_slots(Table& table, std::size_t count);
  static void grow(Table& table);
  std::int64_t memory() const;
  /// Whether the numbers of the records may soon need more than the 32 bits that slots have for them.
  bool numbers_run_out() const {
    return std::any_of(tables_.begin(), tables_.end(), [&](const Table& table) {
      return (table.segments.size() + 1) << segment_shift_ >= std::size_t{1} << 31;
    });
  }
  void flush(bool to_disk);
  void keep_sample(const std::uint64_t* record);

  SegmentPool& pool_;
  std::size_t order_;
  std::int64_t sentence_end_;
  std::int64_t limit_;
  std::size_t width_;
  std::size_t per_segment_;  // a record's number is the segment's, shifted, and its place in it
  int segment_shift_;
  RecordStore counts_;
  std::vector<Table> tables_;
  std::vector<std::uint32_t> stream_;  // the words to be counted, after the order - 1 words before them
  std::vector<std::uint64_t> hashes_;  // of the n-grams that end at each word
  bool open_ = false;                  // inside a sentence
  std::int64_t tokens_ = 0, sentences_ = 0;
  std::vector<std::uint32_t> sample_;
  std::uint64_t sample_every_ = 1, sample_next_ = 0;
};

}  // namespace gradus::models::ngram
