#include <algorithm>

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
  shuffle(by_suffix_, team_);
  if (traits_.katz) weigh_katz();
  share_unigram_weights();
}

/// The weight of a word as a context was computed by the member that its range belongs to.
void Passes::share_unigram_weights() {
  if (team_.alone()) return;
  std::vector<std::uint64_t> bits(unigram_weights_.size());
  for (std::uint32_t w = 0; w <= begin_; ++w) {
    if (owner_of(by_end_->range(w), team_) == team_.rank()) bits[w] = one_double(unigram_weights_[w]);
  }
  team_.sum(bits);  // with zeros
  std::transform(bits.begin(), bits.end(), unigram_weights_.begin(), as_double);
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

}  // namespace gradus::models::ngram
