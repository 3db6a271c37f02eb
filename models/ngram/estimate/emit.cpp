#include <algorithm>
#include <bit>
#include <cmath>
#include <string>
#include <utility>

#include "models/ngram/estimate/passes.hpp"

namespace gradus::models::ngram {

namespace {

/// The records of one range: sorted here, or received.
struct Sorted {
  WordBuffer buffer;
  std::span<const std::uint64_t> records;
};

}  // namespace

/// Hands the ranges of one order to the sink. One window of ranges goes to the sink while the members sort
/// the next one.
class Passes::Emitter {
 public:
  Emitter(Passes& passes, NgramSink* sink)
      : p_(passes),
        sink_(sink),
        spare_(static_cast<std::size_t>(threads())),
        coming_(static_cast<std::size_t>(std::max<std::uint64_t>(p_.team_.most(2 * spare_.size()),
                                                                 static_cast<std::size_t>(p_.team_.size())))),
        ready_(coming_.size()) {}

  void emit(int order) {
    RecordStore& store = p_.by_prefix_[at(order)];
    const std::size_t window = coming_.size();
    for (std::size_t begin = 0; begin < store.buckets() + window; begin += window) {
      if (p_.build_.progress) {
        p_.build_.progress("writing order " + std::to_string(order), static_cast<std::int64_t>(begin),
                           static_cast<std::int64_t>(store.buckets()));
      }
      std::atomic<std::size_t> next{begin};
      const std::size_t end = std::min(begin + window, store.buckets());
      parallel::for_chunks(std::ssize(spare_), [&](std::int64_t t) {
        if (t == 0) hand_over(order);
        for (std::size_t i = next++; i < end; i = next++) {
          Sorted& range = coming_[i - begin];
          range.records = p_.take_sorted(store, i, range.buffer, spare_[static_cast<std::size_t>(t)]);
        }
      });
      gather(begin, end);
      std::swap(coming_, ready_);
    }
  }

 private:
  static std::size_t at(int order) { return static_cast<std::size_t>(order - 2); }

  /// Brings the ranges of all members to the one that has the sink.
  void gather(std::size_t begin, std::size_t end) {
    if (p_.team_.alone()) return;
    Team::Bytes own;
    for (std::size_t i = begin; i < end && sink_ == nullptr; ++i) {
      Sorted& range = coming_[i - begin];
      if (owner_of(i, p_.team_) == p_.team_.rank()) {
        put(own, std::uint64_t{range.records.size()});
        put(own, range.records);
      }
      range = {};
    }
    const std::vector<Team::Bytes> all = p_.team_.collect(own);
    std::vector<TeamReader> from(all.begin(), all.end());
    for (std::size_t i = begin; i < end && sink_ != nullptr; ++i) {
      const int owner = owner_of(i, p_.team_);
      if (owner == p_.team_.rank()) continue;
      TeamReader& reader = from[static_cast<std::size_t>(owner)];
      const auto words = static_cast<std::size_t>(reader.get<std::uint64_t>());
      Sorted& range = coming_[i - begin];
      const std::span<std::uint64_t> records(range.buffer.reserve(words), words);
      reader.get(records);
      range.records = records;
    }
  }

  void hand_over(int order) {
    Words ids;
    std::array<std::int32_t, longest> ngram;
    const std::size_t step = p_.width(order);
    for (Sorted& range : ready_) {
      for (std::size_t i = 0; i < range.records.size(); i += step) {
        p_.layout_.unpack(&range.records[i], order, ids.data());
        std::copy_n(ids.begin(), order, ngram.begin());
        const auto values = std::bit_cast<PrefixValues>(range.records[i + step - 1]);
        sink_->add({ngram.data(), static_cast<std::size_t>(order)}, values.log_prob, values.backoff);
      }
      range = {};  // ranges differ in size: buffers that were kept would all grow to the largest
    }
  }

  Passes& p_;
  NgramSink* sink_;
  std::vector<WordBuffer> spare_;
  std::vector<Sorted> coming_, ready_;
};

void Passes::emit(NgramSink* sink, NgramSummary& summary) {
  summary.counts = {std::int64_t{begin_} + 1};
  for (const RecordStore& store : by_prefix_) {
    const std::uint64_t all = team_.sum(static_cast<std::uint64_t>(store.size()));
    summary.counts.push_back(static_cast<std::int64_t>(all));
  }
  if (sink != nullptr) emit_unigrams(*sink, summary.counts);
  Emitter emitter(*this, sink);
  for (int n = 2; n <= order_; ++n) {
    if (sink != nullptr) sink->begin_order(n, summary.counts[static_cast<std::size_t>(n - 1)]);
    emitter.emit(n);
  }
  by_prefix_.clear();
  pool_.clear();
  for (const CountsOfCounts& counts : counts_of_counts_) summary.distinct.push_back(counts[0]);
  summary.vocab = ids_.vocab;
}

void Passes::emit_unigrams(NgramSink& sink, std::span<const std::int64_t> counts) const {
  sink.expect(counts);
  sink.begin_order(1, counts.front());
  for (std::uint32_t w = 0; w <= begin_; ++w) {
    const auto id = static_cast<std::int32_t>(w);
    const double p = w == begin_ ? 0 : unigram_probs_[w];
    sink.add({&id, 1}, static_cast<float>(std::log(p)), static_cast<float>(std::log(unigram_weights_[w])));
  }
}

}  // namespace gradus::models::ngram
