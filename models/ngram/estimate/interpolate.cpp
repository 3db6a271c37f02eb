#include <algorithm>
#include <bit>
#include <cmath>

#include "models/ngram/estimate/passes.hpp"

namespace gradus::models::ngram {

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
  shuffle(shorter, team_);
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
  shuffle(by_prefix_, team_);
  // There is less to hold from here on, and the sink needs memory too.
  pool_.trim();
}

}  // namespace gradus::models::ngram
