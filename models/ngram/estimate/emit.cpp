#include <algorithm>
#include <bit>
#include <cmath>
#include <string>
#include <utility>

#include "models/ngram/estimate/passes.hpp"

namespace gradus::models::ngram {

void Passes::emit(NgramSink& sink, NgramSummary& summary) {
  summary.counts = {std::int64_t{begin_} + 1};
  for (const RecordStore& store : by_prefix_) summary.counts.push_back(store.size());
  sink.expect(summary.counts);
  sink.begin_order(1, std::int64_t{begin_} + 1);
  for (std::uint32_t w = 0; w <= begin_; ++w) {
    const auto id = static_cast<std::int32_t>(w);
    const double p = w == begin_ ? 0 : unigram_probs_[w];
    sink.add({&id, 1}, static_cast<float>(std::log(p)), static_cast<float>(std::log(unigram_weights_[w])));
  }
  // One window of ranges goes to the sink while the next one is sorted.
  struct Range {
    WordBuffer buffer;
    std::span<const std::uint64_t> records;
  };
  std::vector<WordBuffer> spare(static_cast<std::size_t>(threads()));
  const std::size_t window = 2 * spare.size();
  std::vector<Range> coming(window), ready(window);
  for (int n = 2; n <= order_; ++n) {
    RecordStore& store = by_prefix_[at(n)];
    sink.begin_order(n, store.size());
    Words ids;
    std::array<std::int32_t, longest> ngram;
    const std::size_t step = width(n);
    const auto hand_over = [&] {
      for (Range& range : ready) {
        for (std::size_t i = 0; i < range.records.size(); i += step) {
          layout_.unpack(&range.records[i], n, ids.data());
          std::copy_n(ids.begin(), n, ngram.begin());
          const auto values = std::bit_cast<PrefixValues>(range.records[i + step - 1]);
          sink.add({ngram.data(), static_cast<std::size_t>(n)}, values.log_prob, values.backoff);
        }
        range = {};  // ranges differ in size: buffers that were kept would all grow to the largest
      }
    };
    for (std::size_t begin = 0; begin < store.buckets() + window; begin += window) {
      if (build_.progress) {
        build_.progress("writing order " + std::to_string(n), static_cast<std::int64_t>(begin),
                        static_cast<std::int64_t>(store.buckets()));
      }
      std::atomic<std::size_t> next{begin};
      const std::size_t end = std::min(begin + window, store.buckets());
      parallel::for_chunks(std::ssize(spare), [&](std::int64_t t) {
        if (t == 0) hand_over();
        for (std::size_t i = next++; i < end; i = next++) {
          Range& range = coming[i - begin];
          range.records = take_sorted(store, i, range.buffer, spare[static_cast<std::size_t>(t)]);
        }
      });
      std::swap(coming, ready);
    }
  }
  by_prefix_.clear();
  pool_.clear();
  for (const CountsOfCounts& counts : counts_of_counts_) summary.distinct.push_back(counts[0]);
  summary.vocab = ids_.vocab;
}

}  // namespace gradus::models::ngram
