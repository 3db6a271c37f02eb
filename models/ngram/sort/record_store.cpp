#include "models/ngram/sort/record_store.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace gradus::models::ngram {

constexpr std::size_t large = std::size_t{2} << 20;  // bytes of a page

SegmentPool::Segment SegmentPool::acquire() {
  used_ += static_cast<std::int64_t>(segment_words_ * sizeof(std::uint64_t));
  const std::lock_guard lock(mutex_);
  if (!free_.empty()) {
    Segment segment = std::move(free_.back());
    free_.pop_back();
    return segment;
  }
  if (slabs_.empty() || slabs_.back().bytes().size() < (cut_ + segment_words_) * sizeof(std::uint64_t)) {
    slabs_.push_back(Mapping::memory());
    slabs_.back().resize(std::max(large, segment_words_ * sizeof(std::uint64_t)));
    cut_ = 0;
  }
  auto* const words = reinterpret_cast<std::uint64_t*>(slabs_.back().bytes().data());
  return Segment(words + std::exchange(cut_, cut_ + segment_words_));
}

void SegmentPool::release(Segment segment) {
  used_ -= static_cast<std::int64_t>(segment_words_ * sizeof(std::uint64_t));
  const std::lock_guard lock(mutex_);
  free_.push_back(std::move(segment));
}

void SegmentPool::trim() {
  const std::lock_guard lock(mutex_);
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto address = [](const Segment& segment) { return reinterpret_cast<std::uintptr_t>(segment.get()); };
  std::sort(free_.begin(), free_.end(),
            [&](const Segment& a, const Segment& b) { return address(a) < address(b); });
  for (std::size_t i = 0; i < free_.size();) {
    // Neighbours as one: a segment may be smaller than a page, and pages are shared with segments in use.
    std::uintptr_t begin = address(free_[i]), end = begin;
    for (; i < free_.size() && address(free_[i]) == end; ++i) end += segment_words_ * sizeof(std::uint64_t);
    begin = (begin + page - 1) / page * page;
    end = end / page * page;
    if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  }
}

void SegmentPool::clear() {
  const std::lock_guard lock(mutex_);
  std::vector<Segment>().swap(free_);
  slabs_.clear();
}

std::uint64_t* WordBuffer::reserve(std::size_t words) {
  if (words <= capacity()) return data();
  few_.reset();
  many_ = {};
  if (words * sizeof(std::uint64_t) < large) {
    few_ = std::make_unique_for_overwrite<std::uint64_t[]>(words);
    few_words_ = words;
  } else {
    many_ = Mapping::memory();
    many_.resize(words * sizeof(std::uint64_t));
  }
  return data();
}

RecordStore::RecordStore(SegmentPool& pool, std::size_t width, std::size_t buckets)
    : pool_(pool),
      width_(width),
      buckets_(buckets),
      mutex_(std::make_unique<std::mutex>()),
      file_(std::make_unique<TemporaryFile>(pool.temporary())) {}

std::int64_t RecordStore::size() const {
  std::int64_t sum = 0;
  for (const Bucket& bucket : buckets_) sum += bucket.records;
  return sum;
}

void RecordStore::append(std::size_t bucket, SegmentPool::Segment segment, std::size_t records,
                         bool to_disk) {
  Chunk chunk{std::move(segment), records, {}};
  if (to_disk || pool_.full()) {
    chunk.place = file_->write({chunk.segment.get(), records * width_}, width_);
    pool_.release(std::move(chunk.segment));
    pool_.spilled += chunk.place.packed;
  }
  const std::lock_guard lock(*mutex_);
  buckets_[bucket].records += static_cast<std::int64_t>(records);
  buckets_[bucket].chunks.push_back(std::move(chunk));
}

void RecordStore::fetch(Chunk& chunk, std::uint64_t* to, bool keep) {
  const std::size_t words = chunk.records * width_;
  if (!chunk.segment) {
    file_->read(chunk.place, {to, words}, width_);
    return;
  }
  std::memcpy(to, chunk.segment.get(), words * sizeof(std::uint64_t));
  if (!keep) pool_.release(std::move(chunk.segment));
}

std::span<std::uint64_t> RecordStore::take(std::size_t bucket, WordBuffer& buffer, bool keep) {
  const std::size_t words = static_cast<std::size_t>(buckets_[bucket].records) * width_;
  std::uint64_t* const data = buffer.reserve(words);
  std::uint64_t* to = data;
  for (Chunk& chunk : buckets_[bucket].chunks) {
    fetch(chunk, to, keep);
    to += chunk.records * width_;
  }
  if (!keep) std::vector<Chunk>().swap(buckets_[bucket].chunks);
  return {data, words};
}

std::span<std::uint64_t> RecordStore::take_chunk(std::size_t bucket, std::size_t chunk, WordBuffer& buffer) {
  Chunk& from = buckets_[bucket].chunks[chunk];
  const std::size_t words = from.records * width_;
  fetch(from, buffer.reserve(words), false);
  return {buffer.data(), words};
}

RecordWriter::RecordWriter(RecordStore& store)
    : store_(&store), width_(store.width()), open_(store.buckets()) {}

void RecordWriter::flush(std::size_t bucket) {
  Open& open = open_[bucket];
  if (!open.segment) return;
  const auto records = static_cast<std::size_t>(open.at - open.segment.get()) / width_;
  store_->append(bucket, std::move(open.segment), records);
  open = {};
}

void RecordWriter::flush() {
  for (std::size_t bucket = 0; bucket < open_.size(); ++bucket) flush(bucket);
}

void RecordWriter::renew(std::size_t bucket) {
  flush(bucket);
  Open& open = open_[bucket];
  open.segment = store_->pool().acquire();
  open.at = open.segment.get();
  open.end = open.at + store_->pool().segment_words() / width_ * width_;
}

}  // namespace gradus::models::ngram
