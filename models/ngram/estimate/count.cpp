#include "models/ngram/estimate/count.hpp"

#include <bit>
#include <utility>

#include "tensor/support/parallel.hpp"

namespace gradus::models::ngram {

namespace {

constexpr std::uint64_t base = 0x9E3779B97F4A7C15U;  // of the rolling hash, a polynomial modulo 2^64
constexpr std::size_t first_slots = std::size_t{1} << 12;
constexpr std::uint64_t number_mask = 0xFFFFFFFFU;
constexpr std::size_t sample_size = std::size_t{1} << 16;

std::uint64_t scatter(std::uint64_t x) {
  x ^= x >> 32;
  x *= 0xD6E8FEB86659FD93U;
  x ^= x >> 32;
  x *= 0xD6E8FEB86659FD93U;
  return x ^ x >> 32;
}

// The highest 16 bits of a hash choose the table, the lower 32 the slot, which holds them too.
std::uint32_t tag_of(std::uint64_t hash) {
  return static_cast<std::uint32_t>(hash);
}

}  // namespace

NgramCounter::NgramCounter(int order, std::int64_t sentence_end, std::int64_t memory, SegmentPool& pool)
    : pool_(pool),
      order_(static_cast<std::size_t>(order)),
      sentence_end_(sentence_end),
      limit_(memory),
      width_((order_ + 1) / 2 + 1),
      per_segment_(pool.segment_words() / width_),
      segment_shift_(static_cast<int>(std::bit_width(per_segment_ - 1))),
      counts_(pool, width_, 1),
      tables_(static_cast<std::size_t>(threads())),
      stream_(order_ - 1, begin_symbol) {
  for (Table& table : tables_) set_slots(table, first_slots);
}

void NgramCounter::add(std::span<const std::uint32_t> ids) {
  // In parts, so that the tables cannot exceed their memory by much.
  const auto record_bytes = static_cast<std::int64_t>((width_ + 4) * sizeof(std::uint64_t));
  const auto part = static_cast<std::size_t>(
      std::clamp(limit_ / (16 * record_bytes), std::int64_t{1} << 10, std::int64_t{1} << 18));
  for (std::size_t at = 0; at < ids.size(); at += part) {
    add_part(ids.subspan(at, std::min(part, ids.size() - at)));
    if (memory() > limit_ || numbers_run_out()) flush(true);
  }
}

void NgramCounter::add_part(std::span<const std::uint32_t> ids) {
  stream_.erase(stream_.begin(), stream_.end() - static_cast<std::ptrdiff_t>(order_ - 1));
  for (const std::uint32_t id : ids) {
    stream_.push_back(id);
    sentences_ += !open_;
    open_ = static_cast<std::int64_t>(id) != sentence_end_;
    if (!open_) stream_.insert(stream_.end(), order_ - 1, begin_symbol);
  }
  tokens_ += static_cast<std::int64_t>(ids.size());

  hashes_.resize(stream_.size());
  const std::int64_t ends = static_cast<std::int64_t>(stream_.size() - (order_ - 1));
  parallel::for_range(ends, 4, [&](std::int64_t begin, std::int64_t end) {
    hash_range(static_cast<std::size_t>(begin) + order_ - 1, static_cast<std::size_t>(end) + order_ - 1);
  });
  const std::uint64_t tables = tables_.size();
  parallel::for_chunks(static_cast<std::int64_t>(tables), [&](std::int64_t t) {
    Table& table = tables_[static_cast<std::size_t>(t)];
    table.places.clear();
    for (std::size_t i = order_ - 1; i < stream_.size(); ++i) {
      const std::uint64_t chosen = (hashes_[i] >> 48) * tables >> 16;
      if (chosen == static_cast<std::uint64_t>(t) && stream_[i] != begin_symbol)
        table.places.push_back(static_cast<std::uint32_t>(i));
    }
    count(table);
  });
}

void NgramCounter::hash_range(std::size_t begin, std::size_t end) {
  std::uint64_t power = 1;  // the factor of the word that leaves the window
  for (std::size_t n = 1; n < order_; ++n) power *= base;
  std::uint64_t sum = 0;
  for (std::size_t i = begin + 1 - order_; i < begin; ++i) sum = sum * base + stream_[i];
  for (std::size_t i = begin; i < end; ++i) {
    sum = sum * base + stream_[i];
    hashes_[i] = scatter(sum);
    sum -= stream_[i + 1 - order_] * power;
  }
}

/// Each n-gram needs two accesses to memory that is not cached, so those of a batch are prefetched before any
/// is used.
void NgramCounter::count(Table& table) {
  constexpr std::size_t batch = 32;
  for (std::size_t from = 0; from < table.places.size(); from += batch) {
    const std::span<const std::uint32_t> places =
        std::span(table.places).subspan(from, std::min(batch, table.places.size() - from));
    while ((table.used + places.size()) * 3 > table.slots.size() * 2) grow(table);
    const int shift = 32 - std::countr_zero(table.slots.size());
    for (const std::uint32_t place : places)
      __builtin_prefetch(&table.slots[tag_of(hashes_[place]) >> shift]);
    for (const std::uint32_t place : places) {
      const std::uint32_t tag = tag_of(hashes_[place]);
      const std::uint64_t slot = table.slots[tag >> shift];
      if (slot != 0 && slot >> 32 == tag) __builtin_prefetch(record(table, (slot & number_mask) - 1));
    }
    for (const std::uint32_t place : places) {
      const std::uint32_t tag = tag_of(hashes_[place]);
      const std::uint32_t* const ids = stream_.data() + place + 1 - order_;
      for (std::size_t i = tag >> shift;; ++i) {
        std::uint64_t& slot = table.slots[i & (table.slots.size() - 1)];
        if (slot == 0) {
          slot = std::uint64_t{tag} << 32 | (add_record(table, ids) + 1);
          break;
        }
        if (slot >> 32 != tag) continue;
        std::uint64_t* const found = record(table, (slot & number_mask) - 1);
        if (same(found, ids)) {
          ++found[width_ - 1];
          break;
        }
      }
    }
  }
}

bool NgramCounter::same(const std::uint64_t* record, const std::uint32_t* ids) const {
  std::size_t n = 0;
  for (; n + 1 < order_; n += 2, ++record) {
    std::uint64_t two = 0;
    std::memcpy(&two, ids + n, sizeof two);
    if (*record != two) return false;
  }
  return n == order_ || static_cast<std::uint32_t>(*record) == ids[n];
}

std::uint64_t NgramCounter::add_record(Table& table, const std::uint32_t* ids) const {
  if (table.segments.empty() || table.in_last == per_segment_) {
    table.segments.push_back(pool_.acquire());
    table.in_last = 0;
  }
  const std::uint64_t number = (table.segments.size() - 1) << segment_shift_ | table.in_last;
  ++table.in_last;
  ++table.used;
  std::uint64_t* const to = record(table, number);
  std::fill_n(to, width_, 0);
  std::memcpy(to, ids, order_ * sizeof *ids);
  to[width_ - 1] = 1;
  return number;
}

/// Makes empty slots, on large pages, as accesses to them are random.
void NgramCounter::set_slots(Table& table, std::size_t count) {
  table.memory = Mapping::memory();
  table.memory.resize(count * sizeof(std::uint64_t));
  table.slots = {reinterpret_cast<std::uint64_t*>(table.memory.bytes().data()), count};
}

void NgramCounter::grow(Table& table) {
  const Mapping old_memory = std::move(table.memory);
  const std::span<const std::uint64_t> old = table.slots;
  set_slots(table, 2 * old.size());
  const int shift = 32 - std::countr_zero(table.slots.size());
  for (const std::uint64_t slot : old) {
    if (slot == 0) continue;
    std::size_t i = slot >> 32 >> shift;
    while (table.slots[i & (table.slots.size() - 1)] != 0) ++i;
    table.slots[i & (table.slots.size() - 1)] = slot;
  }
}

std::int64_t NgramCounter::memory() const {
  std::size_t words = 0;
  for (const Table& table : tables_) {
    // While a table grows it has both the old slots and the new ones.
    words += table.slots.size() * 3 / 2 + table.segments.size() * pool_.segment_words();
  }
  return static_cast<std::int64_t>(words * sizeof(std::uint64_t));
}

void NgramCounter::flush(bool to_disk) {
  for (Table& table : tables_) {
    for (std::size_t s = 0; s < table.segments.size(); ++s) {
      const std::size_t records = s + 1 < table.segments.size() ? per_segment_ : table.in_last;
      for (std::size_t i = 0; i < records; ++i) keep_sample(table.segments[s].get() + i * width_);
      counts_.append(0, std::move(table.segments[s]), records, to_disk);
    }
    table.segments.clear();
    table.used = table.in_last = 0;
    std::fill(table.slots.begin(), table.slots.end(), 0);
  }
}

/// Keeps one n-gram of every sample_every_, a number that doubles whenever the sample is full.
void NgramCounter::keep_sample(const std::uint64_t* record) {
  if (sample_next_++ % sample_every_ != 0) return;
  const std::size_t at = sample_.size();
  sample_.resize(at + order_);
  read_ids(record, sample_.data() + at);
  if (sample_.size() < sample_size * order_) return;
  for (std::size_t i = 0; i < sample_size / 2; ++i)
    std::copy_n(sample_.data() + 2 * i * order_, order_, sample_.data() + i * order_);
  sample_.resize(sample_size / 2 * order_);
  sample_every_ *= 2;
}

void NgramCounter::finish() {
  flush(false);
  tables_.clear();
  stream_ = {};
  hashes_ = {};
}

}  // namespace gradus::models::ngram
