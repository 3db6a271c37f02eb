#include <algorithm>

#include "models/ngram/estimate/passes.hpp"
#include "tensor/support/error.hpp"

namespace gradus::models::ngram {

namespace {

/// The pairs of all members of a team.
std::vector<std::uint64_t> pairs_of_all(std::span<const std::uint64_t> own, Team& team) {
  std::vector<std::uint64_t> out;
  for (const Team::Bytes& bytes : team.gather_all(std::as_bytes(own))) {
    const std::size_t begin = out.size();
    out.resize(begin + bytes.size() / sizeof(std::uint64_t));
    TeamReader(bytes).get(std::span(out).subspan(begin));
  }
  return out;
}

}  // namespace

/// How many ranges: one should fit a core's cache, and the segments that are filled at the same time should
/// fit the memory of every member.
std::size_t Passes::count_ranges(NgramCounter& counter) const {
  const std::uint64_t records = team_.sum(static_cast<std::uint64_t>(counter.counts().size()));
  // The threads of the machines may differ, the ranges must not.
  const auto most_threads = static_cast<std::int64_t>(team_.most(static_cast<std::uint64_t>(threads())));
  const auto streams = static_cast<std::int64_t>(order_) * most_threads;
  const auto segment = static_cast<std::int64_t>(pool_.segment_words() * sizeof(std::uint64_t));
  std::int64_t wanted = static_cast<std::int64_t>(records * width(order_) / (std::uint64_t{1} << 16));
  if (!team_.alone()) wanted = std::max(wanted, std::int64_t{4} * team_.size());
  return static_cast<std::size_t>(
      std::clamp(wanted, std::int64_t{1},
                 std::clamp(build_.memory / (8 * segment * streams), std::int64_t{1}, std::int64_t{2048})));
}

/// Chooses the ranges by a sample of the n-grams, so that each gets about as many.
void Passes::partition(NgramCounter& counter) {
  const auto order = static_cast<std::size_t>(order_);
  std::vector<std::uint64_t> ends, starts;
  const std::span<const std::uint32_t> sample = counter.sample();
  for (std::size_t i = 0; i < sample.size(); i += order) {
    const auto id = [&](std::size_t n) { return std::uint64_t{final_id(sample[i + n])}; };
    ends.push_back(id(order - 1) << 32 | id(order - 2));
    // Any two neighbours, as n-grams of the lower orders begin anywhere in those of the highest.
    const std::size_t n = i / order % (order - 1);
    if (id(n + 1) != begin_) starts.push_back(id(n) << 32 | id(n + 1));
  }
  const std::size_t ranges = count_ranges(counter);
  by_end_.emplace(pairs_of_all(ends, team_), begin_ + 1, ranges);
  by_start_.emplace(pairs_of_all(starts, team_), begin_ + 1, ranges);
}

void Passes::spread(NgramCounter& counter) {
  const auto order = static_cast<std::size_t>(order_);
  RecordStore& raw = counter.counts();
  if (order_ > 1) {
    partition(counter);
    counts_ = make_stores(order_, order_, *by_end_);
  }
  std::vector<Worker> workers = make_workers(&counts_);
  run("distributing counts", raw.chunks(0), workers, [&](Worker& worker, std::size_t chunk) {
    const std::span<const std::uint64_t> records = raw.take_chunk(0, chunk, worker.records);
    Words read, ids;
    for (std::size_t i = 0; i < records.size(); i += raw.width()) {
      counter.read_ids(&records[i], read.data());
      for (std::size_t n = 0; n < order; ++n) ids[n] = final_id(read[order - 1 - n]);
      const std::uint64_t count = records[i + raw.width() - 1];
      if (order == 1) {
        add_to(unigram_counts_[ids[0]], count);
        continue;
      }
      std::uint64_t* const to = worker.writers[0].add(by_end_->range(ids[0], ids[1]));
      layout_.pack(ids.data(), order_, to);
      to[width(order_) - 1] = count;
    }
  });
  flush(workers);
  shuffle(counts_, team_);
}

/// Reads the counts of the highest order in suffix order and makes those of the lower orders: the own count
/// of an n-gram is the sum over those that end with it, its adjusted count the number of different words
/// before it (Chen and Goodman 1998, section 2.7; Heafield et al. 2013, section 3.2).
class Passes::Adjuster {
 public:
  Adjuster(Passes& passes, Worker& worker)
      : p_(passes), worker_(worker), order_(static_cast<std::size_t>(passes.order_)), found_(order_) {}

  /// The next n-gram, which shares its last `common` words with the one before.
  void add(const std::uint64_t* key, std::uint64_t count, std::size_t common) {
    close(common);
    // The n-grams that stay open have been seen `count` times more, the longest of them after one more word.
    for (std::size_t n = 1; n <= common; ++n) own_[n] += count;
    if (common > 0) ++before_[common];
    p_.layout_.unpack(key, p_.order_, words_.data());
    // At the beginning of a sentence one begin symbol is part of an n-gram; the others are padding.
    std::size_t length = order_;
    while (length > 1 && words_[length - 1] == p_.begin_ && words_[length - 2] == p_.begin_) --length;
    for (std::size_t n = common + 1; n <= length; ++n) {
      own_[n] = count;
      before_[n] = 1;
    }
    // Nothing is known to precede an n-gram of the highest order, and nothing precedes a sentence.
    before_[length] = count;
    open_ = length;
  }
  /// After the last n-gram.
  void finish() {
    close(0);
    for (std::size_t n = 0; n < order_; ++n) {
      for (std::size_t r = 0; r < found_[n].size(); ++r) add_to(p_.counts_of_counts_[n][r], found_[n][r]);
    }
  }

 private:
  /// Hands over the open n-grams of more than `keep` words.
  void close(std::size_t keep) {
    for (; open_ > keep; --open_) hand_over(open_);
  }
  void hand_over(std::size_t n) {
    const std::uint64_t own = own_[n];
    const std::uint64_t count = p_.traits_.adjusted_counts ? before_[n] : own;
    if (n == 1) {  // other ranges may hold the same word
      add_to(p_.unigram_counts_[words_[0]], own);
      add_to(p_.unigram_adjusted_[words_[0]], before_[1]);
      return;
    }
    CountsOfCounts& counts = found_[n - 1];
    ++counts[0];  // n-grams of any count
    if (count < counts.size()) ++counts[count];
    const std::vector<std::int64_t>& prune = p_.build_.prune;
    const std::int64_t threshold = prune.empty() ? 0 : prune[std::min(n, prune.size()) - 1];
    const bool pruned = own <= static_cast<std::uint64_t>(threshold);

    Words ids;  // in context order
    std::copy_n(words_.begin() + 1, n - 1, ids.begin());
    ids[n - 1] = words_[0];
    const int order = static_cast<int>(n);
    std::uint64_t* const to = worker_.writers[n - 2].add(p_.context_range(order, ids.data()));
    p_.layout_.pack(ids.data(), order, to);
    to[p_.width(order) - 1] = pruned_count(count, pruned);
  }

  Passes& p_;
  Worker& worker_;
  std::size_t order_;
  std::vector<CountsOfCounts> found_;
  Words words_{};  // of the last n-gram, in suffix order
  std::array<std::uint64_t, longest + 1> own_{}, before_{};
  std::size_t open_ = 0;
};

void Passes::adjust() {
  if (order_ > 1) {
    by_context_ = make_stores(2, order_, *by_end_);
    std::vector<Worker> workers = make_workers(&by_context_);
    run("adjusting counts", by_end_->ranges(), workers, [&](Worker& worker, std::size_t range) {
      const std::span<std::uint64_t> records = take_sorted(counts_[0], range, worker.records, worker.spare);
      Adjuster adjuster(*this, worker);
      const std::size_t step = width(order_), words = step - 1;
      for (std::size_t i = 0; i < records.size();) {
        const std::uint64_t* const key = &records[i];
        const int common = i == 0 ? 0 : layout_.common(key - step, key, words, order_);
        std::uint64_t count = key[words];
        // Counts of several batches, and of n-grams that became the same when their words became unknown.
        for (i += step; i < records.size() && std::equal(key, key + words, &records[i]); i += step)
          count += records[i + words];
        adjuster.add(key, count, static_cast<std::size_t>(common));
      }
      adjuster.finish();
    });
    flush(workers);
    counts_.clear();
    shuffle(by_context_, team_);
  }
  team_.sum(unigram_counts_);
  team_.sum(unigram_adjusted_);
  for (CountsOfCounts& counts : counts_of_counts_) {
    std::array<std::uint64_t, std::tuple_size_v<CountsOfCounts>> all{};
    std::copy(counts.begin(), counts.end(), all.begin());
    team_.sum(all);
    std::copy(all.begin(), all.end(), counts.begin());
  }
  smooth_unigrams();
}

void Passes::smooth_unigrams() {
  CountsOfCounts& counts = counts_of_counts_.front();
  for (const std::uint64_t count : smoothed_unigrams()) {
    counts[0] += count > 0;
    if (count > 0 && count < counts.size()) ++counts[count];
  }
  const bool closed = options_.impossible >= 0;
  if (closed && unigram_counts_[static_cast<std::size_t>(options_.impossible)] > 0) {
    fail<ArgumentError>(
        "the vocabulary is closed, but the unknown word stands {} times in the text; open the vocabulary, or "
        "give one that lists all words",
        unigram_counts_[static_cast<std::size_t>(options_.impossible)]);
  }
  for (std::size_t n = 0; n < counts_of_counts_.size(); ++n) {
    smoothing_.emplace_back(options_, counts_of_counts_[n], ids_.vocab - (closed ? 1 : 0),
                            build_.discounts.empty() ? nullptr : &build_.discounts[n]);
  }
  unigram_probs_ = smoothing_[0].unigrams(smoothed_unigrams().first(begin_), options_.impossible);
  // A context that was never seen has the weight 1.
  for (std::size_t w = 0; w < unigram_weights_.size(); ++w)
    unigram_weights_[w] = order_ > 1 && unigram_counts_[w] > 0 ? smoothing_[0].weight_unseen() : 1;
}

std::vector<Discounts> Passes::discounts() const {
  std::vector<Discounts> out;
  for (const Smoothing& smoothing : smoothing_) out.push_back(smoothing.discounts());
  return out;
}

void Passes::take_counts(FunctionRef<void(std::span<const std::int32_t>, std::int64_t)> visit) {
  std::array<std::int32_t, longest> ngram;
  for (std::uint32_t word = 0; word < begin_; ++word) {
    ngram[0] = static_cast<std::int32_t>(word);
    const std::uint64_t count = smoothed_unigrams()[word];
    if (count > 0) visit({ngram.data(), 1}, static_cast<std::int64_t>(count));
  }
  WordBuffer buffer;
  Words ids;
  for (int n = 2; n <= order_; ++n) {
    RecordStore& store = by_context_[at(n)];
    const auto words = static_cast<std::size_t>(n - 1);
    for (std::size_t range = 0; range < store.buckets(); ++range) {
      const std::span<const std::uint64_t> records = store.take(range, buffer);
      for (std::size_t i = 0; i < records.size(); i += width(n)) {
        layout_.unpack(&records[i], n, ids.data());
        std::reverse_copy(ids.begin(), ids.begin() + n - 1, ngram.begin());
        ngram[words] = static_cast<std::int32_t>(ids[words]);
        visit({ngram.data(), words + 1}, static_cast<std::int64_t>(records[i + width(n) - 1] >> 1));
      }
    }
  }
}

}  // namespace gradus::models::ngram
