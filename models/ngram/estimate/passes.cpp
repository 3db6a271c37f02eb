#include "models/ngram/estimate/passes.hpp"

#include <bit>
#include <cmath>
#include <utility>

#include "models/ngram/estimate/record_sort.hpp"
#include "models/ngram/state.hpp"
#include "tensor/support/error.hpp"

namespace gradus::models::ngram {

namespace {

constexpr auto longest = static_cast<std::size_t>(max_order);

/// Two numbers in the last word of a record.
std::uint64_t two_floats(float first, float second) {
  return std::uint64_t{std::bit_cast<std::uint32_t>(first)} << 32 | std::bit_cast<std::uint32_t>(second);
}
float first_float(std::uint64_t word) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(word >> 32));
}
float second_float(std::uint64_t word) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(word));
}
std::uint64_t one_double(double value) {
  return std::bit_cast<std::uint64_t>(value);
}
double as_double(std::uint64_t word) {
  return std::bit_cast<double>(word);
}

void add_to(std::uint64_t& sum, std::uint64_t more) {
  std::atomic_ref(sum).fetch_add(more, std::memory_order_relaxed);
}

}  // namespace

Passes::Passes(int order, const TokenSource::Ids& ids, const NgramOptions& options, const BuildOptions& build,
               SegmentPool& pool)
    : order_(order),
      options_(options),
      build_(build),
      traits_(traits_of(options.method)),
      pool_(pool),
      ids_(ids),
      begin_(static_cast<std::uint32_t>(ids.vocab)),
      layout_{static_cast<int>(std::bit_width(static_cast<std::uint32_t>(ids.vocab)))},
      unigram_counts_(begin_ + 1),
      unigram_adjusted_(begin_ + 1),
      unigram_weights_(begin_ + 1),
      distinct_(static_cast<std::size_t>(order)) {}

std::vector<Passes::Worker> Passes::make_workers(std::vector<RecordStore>* outputs) const {
  std::vector<Worker> workers(static_cast<std::size_t>(threads()));
  for (Worker& worker : workers) {
    for (std::size_t i = 0; outputs != nullptr && i < outputs->size(); ++i)
      worker.writers.emplace_back((*outputs)[i], pool_);
  }
  return workers;
}

void Passes::flush(std::vector<Worker>& workers) {
  for (Worker& worker : workers) {
    for (RecordWriter& writer : worker.writers) writer.flush();
  }
}

std::vector<RecordStore> Passes::make_stores(int first_order, int last_order, const Partition& partition,
                                             std::size_t values) const {
  std::vector<RecordStore> stores;
  for (int n = first_order; n <= last_order; ++n)
    stores.emplace_back(pool_, layout_.words(n) + values, partition.ranges());
  return stores;
}

std::span<std::uint64_t> Passes::take_sorted(RecordStore& store, std::size_t range, Worker& worker,
                                             bool keep) const {
  const std::span<std::uint64_t> records = store.take(range, worker.records, keep);
  sort_records(records.data(), records.size() / store.width(), store.width(),
               worker.spare.reserve(records.size()));
  return records;
}

void Passes::spread(NgramCounter& counter) {
  const auto order = static_cast<std::size_t>(order_);
  const auto final_id = [&](std::uint32_t id) {
    return id == NgramCounter::begin_symbol ? begin_ : static_cast<std::uint32_t>(ids_.final_id[id]);
  };
  RecordStore& raw = counter.counts();
  if (order_ > 1) {
    std::vector<std::uint64_t> ends, starts;
    const std::span<const std::uint32_t> sample = counter.sample();
    for (std::size_t i = 0; i < sample.size(); i += order) {
      const auto id = [&](std::size_t n) { return std::uint64_t{final_id(sample[i + n])}; };
      ends.push_back(id(order - 1) << 32 | id(order - 2));
      // Any two that stand together, as the lower orders begin everywhere in the highest.
      const std::size_t n = i / order % (order - 1);
      if (id(n + 1) != begin_) starts.push_back(id(n) << 32 | id(n + 1));
    }
    // Ranges that fit a core's cache, if the segments that are filled at the same time fit the memory.
    const auto streams = static_cast<std::int64_t>(order) * threads();
    const auto segment = static_cast<std::int64_t>(pool_.segment_words() * sizeof(std::uint64_t));
    const std::int64_t wanted =
        raw.size() * static_cast<std::int64_t>(width(order_)) / (std::int64_t{1} << 16);
    const auto ranges = static_cast<std::size_t>(
        std::clamp(wanted, std::int64_t{1},
                   std::clamp(build_.memory / (8 * segment * streams), std::int64_t{1}, std::int64_t{2048})));
    by_end_.emplace(std::move(ends), begin_ + 1, ranges);
    by_start_.emplace(std::move(starts), begin_ + 1, ranges);
    counts_ = make_stores(order_, order_, *by_end_);
  }

  std::vector<Worker> workers = make_workers(&counts_);
  run("distributing counts", raw.chunks(0), workers, [&](Worker& worker, std::size_t chunk) {
    const std::span<const std::uint64_t> records = raw.take_chunk(0, chunk, worker.records);
    std::array<std::uint32_t, longest> read, ids;
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
}

/// Goes through counts of the highest order in suffix order and counts the lower orders: an n-gram's own
/// count is the sum of those that end with it, its adjusted count the number of different words before it
/// (Chen and Goodman 1998, section 2.7; Heafield et al. 2013, section 3.2).
class Passes::Adjuster {
 public:
  Adjuster(Passes& passes, Worker& worker, std::vector<CountsOfCounts>& counts)
      : p_(passes),
        worker_(worker),
        counts_of_counts_(counts),
        order_(static_cast<std::size_t>(passes.order_)) {}

  void add(const std::uint64_t* key, std::uint64_t count, std::size_t common) {
    close(common);
    // Those that stay open have one word more before the longest of them.
    for (std::size_t n = 1; n <= common; ++n) own_[n] += count;
    if (common > 0) ++before_[common];
    p_.layout_.unpack(key, p_.order_, words_.data());
    // At a sentence's begin, one begin symbol is part of an n-gram and the others fill it up.
    std::size_t length = order_;
    while (length > 1 && words_[length - 1] == p_.begin_ && words_[length - 2] == p_.begin_) --length;
    for (std::size_t n = common + 1; n <= length; ++n) {
      own_[n] = count;
      before_[n] = 1;
    }
    // Nothing stands before these: neither before the highest order's nor before a sentence.
    before_[length] = count;
    open_ = length;
  }
  /// Hands over the open n-grams of more than so many words.
  void close(std::size_t keep) {
    for (; open_ > keep; --open_) hand_over(open_);
  }

 private:
  void hand_over(std::size_t n) {
    const std::uint64_t own = own_[n];
    const std::uint64_t count = p_.traits_.adjusted_counts ? before_[n] : own;
    if (n == 1) {  // other ranges may hold the same word
      add_to(p_.unigram_counts_[words_[0]], own);
      add_to(p_.unigram_adjusted_[words_[0]], before_[1]);
      return;
    }
    CountsOfCounts& counts = counts_of_counts_[n - 1];
    ++counts[0];  // all of them
    if (count < counts.size()) ++counts[count];
    const std::vector<std::int64_t>& prune = p_.build_.prune;
    const std::int64_t threshold = prune.empty() ? 0 : prune[std::min(n, prune.size()) - 1];
    const bool pruned = own <= static_cast<std::uint64_t>(threshold);

    const std::size_t range = n == 2 ? p_.by_end_->range(words_[1]) : p_.by_end_->range(words_[1], words_[2]);
    std::array<std::uint32_t, longest> ids;  // in context order
    std::copy_n(words_.begin() + 1, n - 1, ids.begin());
    ids[n - 1] = words_[0];
    const int order = static_cast<int>(n);
    std::uint64_t* const to = worker_.writers[n - 2].add(range);
    p_.layout_.pack(ids.data(), order, to);
    to[p_.width(order) - 1] = pruned_count(count, pruned);
  }

  Passes& p_;
  Worker& worker_;
  std::vector<CountsOfCounts>& counts_of_counts_;
  std::size_t order_;
  std::array<std::uint32_t, longest> words_{};  // of the last n-gram, in suffix order
  std::array<std::uint64_t, longest + 1> own_{}, before_{};
  std::size_t open_ = 0;
};

void Passes::adjust() {
  std::vector<CountsOfCounts> counts(static_cast<std::size_t>(order_));
  if (order_ > 1) {
    by_context_ = make_stores(2, order_, *by_end_);
    std::vector<Worker> workers = make_workers(&by_context_);
    std::vector<std::vector<CountsOfCounts>> found(workers.size(), counts);
    run("adjusting counts", by_end_->ranges(), workers, [&](Worker& worker, std::size_t range) {
      const std::span<std::uint64_t> records = take_sorted(counts_[0], range, worker);
      Adjuster adjuster(*this, worker, found[static_cast<std::size_t>(&worker - workers.data())]);
      const std::size_t step = width(order_), words = step - 1;
      for (std::size_t i = 0; i < records.size();) {
        const std::uint64_t* const key = &records[i];
        const int common = i == 0 ? 0 : layout_.common(key - step, key, words, order_);
        std::uint64_t count = key[words];
        // What was counted in several batches, or became the same by the cut of the vocabulary.
        for (i += step; i < records.size() && std::equal(key, key + words, &records[i]); i += step)
          count += records[i + words];
        adjuster.add(key, count, static_cast<std::size_t>(common));
      }
      adjuster.close(0);
    });
    flush(workers);
    counts_.clear();
    for (const std::vector<CountsOfCounts>& of_worker : found) {
      for (std::size_t n = 0; n < counts.size(); ++n) {
        for (std::size_t r = 0; r < counts[n].size(); ++r) counts[n][r] += of_worker[n][r];
      }
    }
  }
  smooth_unigrams(counts);
}

void Passes::smooth_unigrams(const std::vector<CountsOfCounts>& found) {
  std::vector<CountsOfCounts> counts = found;
  const bool adjusted = traits_.adjusted_counts && order_ > 1;
  std::vector<std::uint64_t>& unigrams = adjusted ? unigram_adjusted_ : unigram_counts_;
  for (const std::uint64_t count : unigrams) {
    counts[0][0] += count > 0;
    if (count > 0 && count < counts[0].size()) ++counts[0][count];
  }
  const bool closed = options_.impossible >= 0;
  if (closed && unigram_counts_[static_cast<std::size_t>(options_.impossible)] > 0) {
    fail<ArgumentError>(
        "the vocabulary is closed, but the unknown word stands {} times in the text; open the vocabulary, or "
        "give "
        "one that lists all words",
        unigram_counts_[static_cast<std::size_t>(options_.impossible)]);
  }
  for (std::size_t n = 0; n < counts.size(); ++n) {
    distinct_[n] = counts[n][0];
    smoothing_.emplace_back(options_, counts[n], ids_.vocab - (closed ? 1 : 0));
  }
  unigram_probs_ = smoothing_[0].unigrams(std::span(unigrams).first(begin_), options_.impossible);
  // Those never seen cost nothing as contexts.
  for (std::size_t w = 0; w < unigram_weights_.size(); ++w)
    unigram_weights_[w] = order_ > 1 && unigram_counts_[w] > 0 ? smoothing_[0].weight_unseen() : 1;
}

std::vector<Discounts> Passes::discounts() const {
  std::vector<Discounts> out;
  for (const Smoothing& smoothing : smoothing_) out.push_back(smoothing.discounts());
  return out;
}

/// p(w | h) = (c(h w) - D) / c(h) + weight(h) p(w | h'): the first part and the weight need all words after
/// h.
void Passes::normalise() {
  if (order_ == 1) return;
  by_suffix_ = make_stores(2, order_, *by_end_, suffix_values());
  weights_ = make_stores(2, order_ - 1, *by_end_);
  std::vector<Worker> workers = make_workers(&by_suffix_);
  std::vector<std::vector<RecordWriter>> weight_writers(workers.size());
  for (std::vector<RecordWriter>& writers : weight_writers) {
    for (RecordStore& store : weights_) writers.emplace_back(store, pool_);
  }
  const std::size_t ranges = by_end_->ranges();
  run("normalising", ranges * by_context_.size(), workers, [&](Worker& worker, std::size_t i) {
    const int order = static_cast<int>(i / ranges) + 2;
    auto& writers = weight_writers[static_cast<std::size_t>(&worker - workers.data())];
    RecordWriter* const weights = order > 2 ? &writers[at(order - 1)] : nullptr;
    normalise_range(worker, weights, order, i % ranges);
    // So that they stay in order.
    if (weights != nullptr) weights->flush(i % ranges);
  });
  flush(workers);
  by_context_.clear();
  if (traits_.katz) weigh_katz();
}

void Passes::normalise_range(Worker& worker, RecordWriter* weights, int order, std::size_t range) {
  const Smoothing& smoothing = smoothing_[static_cast<std::size_t>(order - 1)];
  const std::span<const std::uint64_t> records = take_sorted(by_context_[at(order)], range, worker);
  RecordWriter& writer = worker.writers[at(order)];
  const std::size_t step = width(order), words = step - 1;
  std::array<std::uint32_t, longest> ids, suffix;
  for (std::size_t begin = 0, end = 0; begin < records.size(); begin = end) {
    end = begin + step;
    while (end < records.size() && layout_.common(&records[begin], &records[end], words, order) >= order - 1)
      end += step;
    const Smoothing::Context context = smoothing.context(&records[begin + words], (end - begin) / step, step);
    layout_.unpack(&records[begin], order, ids.data());
    if (weights != nullptr) {
      std::uint64_t* const to = weights->add(range);
      layout_.truncate(&records[begin], order - 1, to);
      to[width(order - 1) - 1] = one_double(context.weight);
    } else {
      unigram_weights_[ids[0]] = context.weight;
    }
    std::copy_n(ids.begin(), order - 1, suffix.begin() + 1);
    for (std::size_t i = begin; i < end; i += step) {
      const std::uint64_t count = records[i + words];
      if ((count & 1) != 0) continue;
      if (i != begin) layout_.unpack(&records[i], order, ids.data());
      suffix[0] = ids[static_cast<std::size_t>(order - 1)];
      std::uint64_t* const to = writer.add(by_end_->range(suffix[0], suffix[1]));
      layout_.pack(suffix.data(), order, to);
      to[words] = one_double(smoothing.own_part(context, count >> 1));
      if (traits_.interpolated) to[words + 1] = one_double(context.weight);
    }
  }
}

/// The n-grams of one order in one range, in suffix order, and what is known of them; the next order's find
/// their shorter context's there.
struct Passes::Level {
  WordBuffer records;
  std::size_t count = 0;
  std::vector<double> probs;
};

/// Katz's weight of a context: what is left for the words not seen after it, over what they have after the
/// shorter one: left / (1 - sum of p(w | h') over the words seen).
void Passes::weigh_katz() {
  const std::size_t ranges = by_end_->ranges();
  std::vector<RecordStore> lower = make_stores(2, order_, *by_end_);
  {
    std::vector<Worker> workers = make_workers(&lower);
    run("looking up shorter contexts", ranges, workers, [&](Worker& worker, std::size_t range) {
      Level levels[2];
      std::array<std::uint32_t, longest> ids, context;
      for (int n = 2; n <= order_; ++n) {
        Level &here = levels[n % 2], &shorter = levels[1 - n % 2];
        std::swap(here.records, worker.records);
        const std::span<const std::uint64_t> records = take_sorted(by_suffix_[at(n)], range, worker, true);
        std::swap(here.records, worker.records);
        const std::size_t step = width(n);
        here.count = records.size() / step;
        here.probs.resize(here.count);
        std::size_t j = 0;
        for (std::size_t i = 0; i < here.count; ++i) {
          const std::uint64_t* const key = &records[i * step];
          here.probs[i] = as_double(key[step - 1]);
          layout_.unpack(key, n, ids.data());
          double p = unigram_probs_[ids[0]];
          if (n > 2) {
            const std::size_t lower_step = width(n - 1);
            while (layout_.common(key, shorter.records.data() + j * lower_step, lower_step - 1, n - 1) <
                   n - 1)
              ++j;
            p = shorter.probs[j];
          }
          std::copy_n(ids.begin() + 1, n - 1, context.begin());
          context[static_cast<std::size_t>(n - 1)] = ids[0];
          const std::size_t to_range =
              n == 2 ? by_end_->range(context[0]) : by_end_->range(context[0], context[1]);
          std::uint64_t* const to = worker.writers[at(n)].add(to_range);
          layout_.pack(context.data(), n, to);
          to[step - 1] = one_double(p);
        }
      }
    });
    flush(workers);
  }
  std::vector<RecordStore> weights = make_stores(2, order_ - 1, *by_end_);
  std::vector<Worker> workers = make_workers(&weights);
  run("weighing contexts", ranges * lower.size(), workers, [&](Worker& worker, std::size_t i) {
    const int n = static_cast<int>(i / ranges) + 2;
    const std::size_t range = i % ranges, step = width(n);
    const std::span<const std::uint64_t> records = take_sorted(lower[at(n)], range, worker);
    const auto weight_of = [](double left, double seen) { return 1 - seen > 1e-12 ? left / (1 - seen) : 1; };
    std::size_t at_record = 0;
    // What stands at the current context's words, summed in their order.
    const auto sum_of = [&](const std::uint64_t* context, std::size_t words) {
      double sum = 0;
      while (at_record < records.size() &&
             layout_.common(context, &records[at_record], words, n - 1) >= n - 1) {
        sum += as_double(records[at_record + step - 1]);
        at_record += step;
      }
      return sum;
    };
    if (n == 2) {
      while (at_record < records.size()) {
        std::uint32_t word = 0;
        layout_.unpack(&records[at_record], 1, &word);
        std::uint64_t key = 0;
        layout_.pack(&word, 1, &key);
        unigram_weights_[word] = weight_of(unigram_weights_[word], sum_of(&key, 1));
      }
      return;
    }
    WordBuffer buffer;
    const std::span<const std::uint64_t> contexts = weights_[at(n - 1)].take(range, buffer);
    const std::size_t context_step = width(n - 1);
    RecordWriter& writer = worker.writers[at(n - 1)];
    for (std::size_t c = 0; c < contexts.size(); c += context_step) {
      std::uint64_t* const to = writer.add(range);
      std::copy_n(&contexts[c], context_step - 1, to);
      to[context_step - 1] = one_double(
          weight_of(as_double(contexts[c + context_step - 1]), sum_of(&contexts[c], context_step - 1)));
    }
    writer.flush(range);
  });
  flush(workers);
  weights_ = std::move(weights);
}

void Passes::interpolate() {
  if (order_ == 1) return;
  by_prefix_ = make_stores(2, order_, *by_start_);
  std::vector<Worker> workers = make_workers(&by_prefix_);
  run("interpolating", by_end_->ranges(), workers, [&](Worker& worker, std::size_t range) {
    Level levels[2];
    WordBuffer weight_buffer;
    std::array<std::uint32_t, longest> ids;
    for (int n = 2; n <= order_; ++n) {
      Level &here = levels[n % 2], &shorter = levels[1 - n % 2];
      std::swap(here.records, worker.records);
      const std::span<const std::uint64_t> records = take_sorted(by_suffix_[at(n)], range, worker);
      std::swap(here.records, worker.records);
      std::span<const std::uint64_t> weights;
      if (n < order_) weights = weights_[at(n)].take(range, weight_buffer);
      const double unseen =
          n < order_ ? std::log(smoothing_[static_cast<std::size_t>(n - 1)].weight_unseen()) : 0;
      const std::size_t words = layout_.words(n), step = words + suffix_values();
      const std::size_t lower_words = n > 2 ? layout_.words(n - 1) : 0;
      const std::size_t lower_step = lower_words + suffix_values();
      here.count = records.size() / step;
      here.probs.resize(here.count);
      RecordWriter& writer = worker.writers[at(n)];
      std::size_t j = 0, w = 0;
      for (std::size_t i = 0; i < here.count; ++i) {
        const std::uint64_t* const key = &records[i * step];
        layout_.unpack(key, n, ids.data());
        double p = 0;
        if (traits_.interpolated) {
          double lower = unigram_probs_[ids[0]];
          if (n > 2) {
            while (layout_.common(key, shorter.records.data() + j * lower_step, lower_words, n - 1) < n - 1)
              ++j;
            lower = shorter.probs[j];
          }
          p = as_double(key[words]) + as_double(key[words + 1]) * lower;
        } else {
          p = as_double(key[words]);
        }
        here.probs[i] = p;
        double backoff = unseen;
        // In the same order; but some n-grams have nothing after them, and some contexts are pruned.
        while (w < weights.size() &&
               std::lexicographical_compare(&weights[w], &weights[w] + words, key, key + words))
          w += words + 1;
        if (w < weights.size() && std::equal(key, key + words, &weights[w])) {
          backoff = std::log(as_double(weights[w + words]));
          w += words + 1;
        }
        std::reverse(ids.begin(), ids.begin() + n);
        std::uint64_t* const to = writer.add(by_start_->range(ids[0], ids[1]));
        layout_.pack(ids.data(), n, to);
        to[words] = two_floats(static_cast<float>(std::log(p)), static_cast<float>(backoff));
      }
    }
  });
  flush(workers);
  by_suffix_.clear();
  weights_.clear();
  // There is less to hold from here on, and the sink needs memory too.
  pool_.trim();
}

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
  std::vector<Worker> workers = make_workers();
  const std::size_t window = 2 * workers.size();
  std::vector<WordBuffer> coming(window), ready(window);
  std::vector<std::span<const std::uint64_t>> coming_records(window), ready_records(window);
  for (int n = 2; n <= order_; ++n) {
    RecordStore& store = by_prefix_[at(n)];
    sink.begin_order(n, store.size());
    std::array<std::uint32_t, longest> ids;
    std::array<std::int32_t, longest> ngram;
    const std::size_t step = width(n);
    const auto hand_over = [&] {
      for (std::size_t r = 0; r < window; ++r) {
        std::span<const std::uint64_t>& records = ready_records[r];
        for (std::size_t i = 0; i < records.size(); i += step) {
          layout_.unpack(&records[i], n, ids.data());
          std::copy_n(ids.begin(), n, ngram.begin());
          const std::uint64_t values = records[i + step - 1];
          sink.add({ngram.data(), static_cast<std::size_t>(n)}, first_float(values), second_float(values));
        }
        records = {};
        ready[r] = {};  // ranges differ in size, and all of the largest would be too much
      }
    };
    for (std::size_t begin = 0; begin < store.buckets() + window; begin += window) {
      if (build_.progress) {
        build_.progress("writing order " + std::to_string(n), static_cast<std::int64_t>(begin),
                        static_cast<std::int64_t>(store.buckets()));
      }
      std::atomic<std::size_t> next{begin};
      const std::size_t end = std::min(begin + window, store.buckets());
      parallel::for_chunks(static_cast<std::int64_t>(workers.size()), [&](std::int64_t t) {
        if (t == 0) hand_over();
        Worker& worker = workers[static_cast<std::size_t>(t)];
        for (std::size_t i = next++; i < end; i = next++) {
          coming_records[i - begin] = take_sorted(store, i, worker);
          std::swap(coming[i - begin], worker.records);
        }
      });
      std::swap(coming, ready);
      std::swap(coming_records, ready_records);
    }
  }
  by_prefix_.clear();
  pool_.clear();
  summary.distinct = distinct_;
  summary.vocab = ids_.vocab;
}

}  // namespace gradus::models::ngram
