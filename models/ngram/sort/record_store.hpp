#pragma once

// Internal: not part of the public interface.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "models/ngram/sort/temporary_file.hpp"
#include "models/ngram/store/mapping.hpp"

namespace gradus::models::ngram {

/// Memory for records, in segments of one size that are recycled, with a bound. Segments are cut from large
/// pages, because as many of them are written to at the same time as there are ranges to sort into.
class SegmentPool {
 public:
  /// Segments are memory of the pool, which must outlive them, so nothing is freed.
  struct Return {
    void operator()(std::uint64_t*) const {}
  };
  using Segment = std::unique_ptr<std::uint64_t[], Return>;

  SegmentPool(std::int64_t bytes, std::size_t segment_words, std::filesystem::path temporary)
      : limit_(bytes), segment_words_(segment_words), temporary_(std::move(temporary)) {}

  std::size_t segment_words() const { return segment_words_; }
  const std::filesystem::path& temporary() const { return temporary_; }
  Segment acquire();
  void release(Segment segment);
  /// The bytes of all segments in use.
  std::int64_t used() const { return used_.load(std::memory_order_relaxed); }
  /// Whether the bound is exceeded, so that a segment that has been filled should go to the disk.
  bool full() const { return used() > limit_; }
  /// Returns the memory of segments that are not in use to the system until they are used again, except for
  /// pages that they share with segments in use.
  void trim();
  /// Returns all memory to the system. No segment may be in use.
  void clear();
  /// All bytes written to temporary files.
  std::atomic<std::int64_t> spilled{0};

 private:
  std::int64_t limit_;
  std::size_t segment_words_;
  std::filesystem::path temporary_;
  std::atomic<std::int64_t> used_{0};
  std::mutex mutex_;
  std::vector<Segment> free_;
  std::vector<Mapping> slabs_;
  std::size_t cut_ = 0;  // words of the last slab that were made into segments
};

/// A buffer of words, on large pages when there are many.
class WordBuffer {
 public:
  /// Makes room for at least this many words; the contents are lost.
  std::uint64_t* reserve(std::size_t words);
  std::uint64_t* data() { return few_ ? few_.get() : reinterpret_cast<std::uint64_t*>(many_.bytes().data()); }

 private:
  std::size_t capacity() const {
    return few_ ? few_words_ : std::as_const(many_).bytes().size() / sizeof(std::uint64_t);
  }

  std::unique_ptr<std::uint64_t[]> few_;
  std::size_t few_words_ = 0;
  Mapping many_;
};

/// Records of several 64-bit words each, distributed over buckets as they come: the first step of a sort of
/// more data than fits in memory. The buckets are ranges of the wanted order. Each bucket is later taken and
/// sorted in memory by itself, so that all threads have work and memory is released on the way. (This is a
/// distribution sort. A merge sort would need one more pass over the records, and its merge would be
/// sequential.) When the pool is full, segments go to a temporary file as they are filled.
class RecordStore {
 public:
  RecordStore(SegmentPool& pool, std::size_t width, std::size_t buckets);
  RecordStore(RecordStore&&) = default;

  std::size_t width() const { return width_; }
  std::size_t buckets() const { return buckets_.size(); }
  /// The number of records in all buckets.
  std::int64_t size() const;
  SegmentPool& pool() const { return pool_; }

  /// Adds the first `records` records of a segment. Thread-safe.
  void append(std::size_t bucket, SegmentPool::Segment segment, std::size_t records, bool to_disk = false);

  /// All records of a bucket, copied to the buffer in the order of append; they leave the store unless
  /// `keep`. Threads may take different buckets at the same time.
  std::span<std::uint64_t> take(std::size_t bucket, WordBuffer& buffer, bool keep = false);

  /// The number of chunks of a bucket, each from one segment, which several threads can share.
  std::size_t chunks(std::size_t bucket) const { return buckets_[bucket].chunks.size(); }
  std::span<std::uint64_t> take_chunk(std::size_t bucket, std::size_t chunk, WordBuffer& buffer);
  /// Forgets a bucket whose chunks have all been taken.
  void clear(std::size_t bucket) { buckets_[bucket] = {}; }

 private:
  struct Chunk {
    SegmentPool::Segment segment;  // none: on disk
    std::size_t records = 0;
    TemporaryFile::Place place;
  };
  struct Bucket {
    std::vector<Chunk> chunks;
    std::int64_t records = 0;
  };
  void fetch(Chunk& chunk, std::uint64_t* to, bool keep);

  SegmentPool& pool_;
  std::size_t width_;
  std::vector<Bucket> buckets_;
  std::unique_ptr<std::mutex> mutex_;
  std::unique_ptr<TemporaryFile> file_;
};

/// Adds records to a store from one thread: fills a segment for each bucket and hands it over when it is
/// full.
class RecordWriter {
 public:
  explicit RecordWriter(RecordStore& store);
  RecordWriter(RecordWriter&&) = default;
  RecordWriter& operator=(RecordWriter&&) = default;

  /// Where to write the next record of the bucket, which has width() words.
  std::uint64_t* add(std::size_t bucket) {
    Open& open = open_[bucket];
    if (open.at == open.end) renew(bucket);
    std::uint64_t* const to = open.at;
    open.at += width_;
    return to;
  }
  /// Hands over the records so far of one bucket, or of all.
  void flush(std::size_t bucket);
  void flush();

 private:
  struct Open {
    SegmentPool::Segment segment;
    std::uint64_t* at = nullptr;
    std::uint64_t* end = nullptr;
  };
  void renew(std::size_t bucket);

  RecordStore* store_;
  std::size_t width_;
  std::vector<Open> open_;
};

/// Sorts records of `width` words by all their words except the last; the first word is the most significant.
/// `spare` must have room for as many records.
void sort_records(std::uint64_t* records, std::size_t count, std::size_t width, std::uint64_t* spare);

}  // namespace gradus::models::ngram
