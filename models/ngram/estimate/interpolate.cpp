#include <algorithm>
#include <bit>
#include <cmath>
#include <string>
#include <utility>

#include "models/ngram/estimate/passes.hpp"

namespace gradus::models::ngram {

/// p(w | h) = own part + weight(h) p(w | h'), the own part being (c(h w) - D) / c(h) for Kneser-Ney. Both the
/// own part and the weight need the counts of all words after h.
void Passes::normalise() {
  if (order_ == 1) return;
  by_suffix_ = make_stores(2, order_, *by_end_, suffix_values());
  weights_ = make_stores(2, order_ - 1, *by_end_);
  std::vector<Worker> workers = make_workers(&by_suffix_, &weights_);
  const std::size_t ranges = by_end_->ranges();
  run("normalising", ranges * by_context_.size(), workers, [&](Worker& worker, std::size_t i) {
    const int order = static_cast<int>(i / ranges) + 2;
    normalise_range(worker, order, i % ranges);
    // At once, so that the weights of a range stay in order.
    if (order > 2) worker.weights[at(order - 1)].flush(i % ranges);
  });
  flush(workers);
  by_context_.clear();
  if (traits_.katz) weigh_katz();
}

void Passes::normalise_range(Worker& worker, int order, std::size_t range) {
  const Smoothing& smoothing = smoothing_[static_cast<std::size_t>(order - 1)];
  const std::span<const std::uint64_t> records =
      take_sorted(by_context_[at(order)], range, worker.records, worker.spare);
  RecordWriter& writer = worker.writers[at(order)];
  const std::size_t step = width(order), words = step - 1;
  Words ids, suffix;  // in context and in suffix order
  for (std::size_t begin = 0, end = 0; begin < records.size(); begin = end) {
    end = end_of_context(records, begin, order);
    const Smoothing::Context context = smoothing.context(&records[begin + words], (end - begin) / step, step);
    layout_.unpack(&records[begin], order, ids.data());
    if (order > 2) {
      std::uint64_t* const to = worker.weights[at(order - 1)].add(range);
      layout_.truncate(&records[begin], order - 1, to);
      to[width(order - 1) - 1] = one_double(context.weight);
    } else {
      unigram_weights_[ids[0]] = context.weight;
    }
    std::copy_n(ids.begin(), order - 1, suffix.begin() + 1);
    for (std::size_t i = begin; i < end; i += step) {
      const std::uint64_t count = records[i + words];
      if (is_pruned(count)) continue;
      if (i != begin) layout_.unpack(&records[i], order, ids.data());
      suffix[0] = ids[static_cast<std::size_t>(order - 1)];
      std::uint64_t* const to = writer.add(by_end_->range(suffix[0], suffix[1]));
      layout_.pack(suffix.data(), order, to);
      to[words] = one_double(smoothing.own_part(context, count_of(count)));
      if (traits_.interpolated) to[words + 1] = one_double(context.weight);
    }
  }
}

/// Goes through the n-grams in suffix order, in each range from the shortest order to the longest, so that
/// the probability p(w | h') after the shorter context is that of an n-gram just visited. For each order of a
/// range open(worker, range, n) gives a visitor: visit(key, ids, shorter) is called with each n-gram, its ids
/// in suffix order and p(w | h'), and returns p(w | h). With `keep` the records stay for the final walk. In
/// the final walk p(w | h') is looked up for interpolated methods only, as no other needs it.
template <class Open>
void Passes::walk_suffixes(std::string_view phase, std::vector<Worker>& workers, bool keep, Open&& open) {
  struct Level {
    WordBuffer records;
    std::vector<double> probs;
  };
  const bool look_up = keep || traits_.interpolated;
  run(phase, by_end_->ranges(), workers, [&](Worker& worker, std::size_t range) {
    Level levels[2];
    Words ids;
    for (int n = 2; n <= order_; ++n) {
      Level &here = levels[n % 2], &shorter = levels[1 - n % 2];
      const std::span<const std::uint64_t> records =
          take_sorted(by_suffix_[at(n)], range, here.records, worker.spare, keep);
      const std::size_t step = layout_.words(n) + suffix_values();
      const std::size_t shorter_words = n > 2 ? layout_.words(n - 1) : 0;
      const std::size_t shorter_step = shorter_words + suffix_values();
      here.probs.resize(records.size() / step);
      auto visit = open(worker, range, n);
      std::size_t j = 0;
      for (std::size_t i = 0; i < here.probs.size(); ++i) {
        const std::uint64_t* const key = &records[i * step];
        layout_.unpack(key, n, ids.data());
        double p = unigram_probs_[ids[0]];
        if (n > 2 && look_up) {
          while (layout_.common(key, shorter.records.data() + j * shorter_step, shorter_words, n - 1) < n - 1)
            ++j;
          p = shorter.probs[j];
        }
        here.probs[i] = visit(key, ids, p);
      }
    }
  });
}

/// Katz's weight of a context: what is left for the words not seen after it, divided by their probability
/// after the shorter context: left / (1 - sum of p(w | h') over the words seen).
void Passes::weigh_katz() {
  std::vector<RecordStore> shorter = make_stores(2, order_, *by_end_);  // p(w | h'), in context order
  {
    std::vector<Worker> workers = make_workers(&shorter);
    walk_suffixes("looking up shorter contexts", workers, true, [&](Worker& worker, std::size_t, int n) {
      return [&, n, words = layout_.words(n)](const std::uint64_t* key, const Words& ids, double p) {
        Words context;
        std::copy_n(ids.begin() + 1, n - 1, context.begin());
        context[static_cast<std::size_t>(n - 1)] = ids[0];
        std::uint64_t* const to = worker.writers[at(n)].add(context_range(n, context.data()));
        layout_.pack(context.data(), n, to);
        to[words] = one_double(p);
        return as_double(key[words]);
      };
    });
    flush(workers);
  }
  std::vector<RecordStore> weights = make_stores(2, order_ - 1, *by_end_);
  std::vector<Worker> workers = make_workers(&weights);
  const std::size_t ranges = by_end_->ranges();
  run("weighing contexts", ranges * shorter.size(), workers, [&](Worker& worker, std::size_t i) {
    const int n = static_cast<int>(i / ranges) + 2;
    const std::size_t range = i % ranges, step = width(n);
    const std::span<const std::uint64_t> records =
        take_sorted(shorter[at(n)], range, worker.records, worker.spare);
    // Every context has its weight so far; those whose words were all pruned have no records here.
    const std::size_t words = layout_.words(n - 1);
    WordBuffer buffer;
    std::span<std::uint64_t> contexts;
    if (n > 2) contexts = weights_[at(n - 1)].take(range, buffer);
    for (std::size_t begin = 0, end = 0, c = 0; begin < records.size(); begin = end) {
      end = end_of_context(records, begin, n);
      double seen = 0;
      for (std::size_t at_word = begin; at_word < end; at_word += step)
        seen += as_double(records[at_word + step - 1]);
      const auto weight_of = [&](double left) { return 1 - seen > 1e-12 ? left / (1 - seen) : 1; };
      if (n == 2) {
        std::uint32_t word = 0;
        layout_.unpack(&records[begin], 1, &word);
        unigram_weights_[word] = weight_of(unigram_weights_[word]);
        continue;
      }
      while (layout_.common(&contexts[c], &records[begin], words, n - 1) < n - 1) c += words + 1;
      contexts[c + words] = one_double(weight_of(as_double(contexts[c + words])));
    }
    for (std::size_t c = 0; c < contexts.size(); c += words + 1)
      std::copy_n(&contexts[c], words + 1, worker.writers[at(n - 1)].add(range));
    if (n > 2) worker.writers[at(n - 1)].flush(range);
  });
  weights_ = std::move(weights);
}

void Passes::interpolate() {
  if (order_ == 1) return;
  by_prefix_ = make_stores(2, order_, *by_start_);
  std::vector<Worker> workers = make_workers(&by_prefix_);
  walk_suffixes("interpolating", workers, false, [&](Worker& worker, std::size_t range, int n) {
    std::span<const std::uint64_t> weights;
    if (n < order_) weights = weights_[at(n)].take(range, worker.records);
    const double unseen =
        n < order_ ? std::log(smoothing_[static_cast<std::size_t>(n - 1)].weight_unseen()) : 0;
    return [&, n, weights, unseen, words = layout_.words(n), w = std::size_t{0}](
               const std::uint64_t* key, const Words& ids, double shorter) mutable {
      const double own = as_double(key[words]);
      const double p = traits_.interpolated ? own + as_double(key[words + 1]) * shorter : own;
      double backoff = unseen;
      // In the same order; but some n-grams have nothing after them, and some contexts are pruned.
      while (w < weights.size() &&
             std::lexicographical_compare(&weights[w], &weights[w] + words, key, key + words))
        w += words + 1;
      if (w < weights.size() && std::equal(key, key + words, &weights[w])) {
        backoff = std::log(as_double(weights[w + words]));
        w += words + 1;
      }
      Words prefix;
      std::reverse_copy(ids.begin(), ids.begin() + n, prefix.begin());
      std::uint64_t* const to = worker.writers[at(n)].add(by_start_->range(prefix[0], prefix[1]));
      layout_.pack(prefix.data(), n, to);
      to[words] = std::bit_cast<std::uint64_t>(
          PrefixValues{static_cast<float>(backoff), static_cast<float>(std::log(p))});
      return p;
    };
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
