#pragma once

// Internal: not part of the public interface.

#include <atomic>
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

/// Memory for records in segments of one size, which are used again, and its bound. They are cut from large
/// pages: as many segments are written to at the same time as there are ranges to sort into.
class SegmentPool {
 public:
  /// Memory of the pool, which must outlive it.
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
  /// Whether a segment that is full should leave memory.
  bool full() const { return used() > limit_; }
  /// Gives the memory of segments that are not in use back to the system until they are used again, but for
  /// the pages that they share with segments in use.
  void trim();
  /// Gives all memory back. No segment may be in use.
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
  std::size_t cut_ = 0;  // words of the last one that are given out
};

/// Words of memory to work in, on large pages when there are many.
class WordBuffer {
 public:
  /// At least so many words; what was in them is lost.
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

/// Records of some 64-bit words each, distributed over buckets as they come: the first step of a sort that
/// may be larger than memory. The buckets are ranges of the order that is wanted; each is then taken and
/// sorted in memory by itself, so that all threads have work and memory is given back on the way. (This is a
/// distribution sort; runs and a merge would do, but need one more pass over the records, and the merge is
/// one thread's.) When the pool is full, segments go to a temporary file as they fill.
class RecordStore {
 public:
  RecordStore(SegmentPool& pool, std::size_t width, std::size_t buckets);
  RecordStore(RecordStore&&) = default;

  std::size_t width() const { return width_; }
  std::size_t buckets() const { return buckets_.size(); }
  /// Records in a bucket, and in all.
  std::int64_t size(std::size_t bucket) const { return buckets_[bucket].records; }
  std::int64_t size() const;

  /// Hands over the segment's first records. Any thread.
  void append(std::size_t bucket, SegmentPool::Segment segment, std::size_t records, bool to_disk = false);

  /// All records of a bucket, in a buffer of its own; they leave the store unless `keep`. Any thread, each
  /// bucket once. The order is that of append.
  std::span<std::uint64_t> take(std::size_t bucket, WordBuffer& buffer, bool keep = false);

  /// The chunks of a bucket, for several threads to take: those of one segment.
  std::size_t chunks(std::size_t bucket) const { return buckets_[bucket].chunks.size(); }
  std::span<std::uint64_t> take_chunk(std::size_t bucket, std::size_t chunk, WordBuffer& buffer);

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

/// One thread's way into a store: a segment for each bucket, handed over when it is full.
class RecordWriter {
 public:
  explicit RecordWriter(RecordStore& store, SegmentPool& pool);
  RecordWriter(RecordWriter&&) = default;
  RecordWriter& operator=(RecordWriter&&) = default;

  /// Where the next record of the bucket is to be written: width words.
  std::uint64_t* add(std::size_t bucket) {
    Open& open = open_[bucket];
    if (open.at == open.end) renew(bucket);
    std::uint64_t* const to = open.at;
    open.at += width_;
    return to;
  }
  /// Hands over what a bucket, or all, hold so far.
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
  SegmentPool* pool_;
  std::size_t width_;
  std::vector<Open> open_;
};

}  // namespace gradus::models::ngram
