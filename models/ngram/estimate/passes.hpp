#pragma once

// Internal: not part of the public interface.

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "models/ngram/estimate/count.hpp"
#include "models/ngram/estimate/estimate.hpp"
#include "models/ngram/estimate/smoothing.hpp"
#include "models/ngram/options.hpp"
#include "models/ngram/sink.hpp"
#include "models/ngram/sort/key.hpp"
#include "models/ngram/sort/record_store.hpp"
#include "models/ngram/sort/shuffle.hpp"
#include "models/ngram/state.hpp"
#include "tensor/support/function_ref.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus::models::ngram {

/// The passes that turn counts into a model (Heafield, Pouzyrevsky, Clark and Koehn 2013, "Scalable modified
/// Kneser-Ney language model estimation", section 3). Each pass works through ranges of n-grams on all
/// threads and distributes its results over the ranges of the next one, so that whatever a pass needs
/// together lies in one range. In the order in which they run (the first two in adjust.cpp, the others in
/// interpolate.cpp):
///
///   spread       counts of the highest order               -> in suffix order
///   adjust       counts of all orders, from those          -> in context order
///   normalise    own parts of the probabilities            -> in suffix order
///                and backoff weights of the contexts
///   weigh_katz   for Katz: the weights again, from the sum of p(w | h') for each context
///   interpolate  probabilities, joined by backoff weights  -> in prefix order
///   emit         the model, order by order                 -> to the sink
///
/// Unigrams are arrays in memory. A team shares out the ranges: behind each pass, the results of all members
/// are shuffled to those that the ranges belong to, so that a pass knows nothing of it.
class Passes {
 public:
  Passes(int order, const TokenSource::Ids& ids, const NgramOptions& options, const BuildOptions& build,
         SegmentPool& pool);

  void spread(NgramCounter& counter);
  void adjust();
  /// After adjust: the discounts of each order.
  std::vector<Discounts> discounts() const;
  /// After adjust, in place of the passes below: calls visit(ngram, count) for each n-gram with the count
  /// that its probability is made of, order by order. The order within an order is not fixed.
  void take_counts(FunctionRef<void(std::span<const std::int32_t>, std::int64_t)> visit);
  void normalise();
  void interpolate();
  /// `sink`: of the member of rank 0 alone.
  void emit(NgramSink* sink, NgramSummary& summary);

 private:
  static constexpr auto longest = static_cast<std::size_t>(max_order);
  using Words = std::array<std::uint32_t, longest>;

  /// What one thread works with.
  struct Worker {
    WordBuffer records, spare;
    std::vector<RecordWriter> writers;  // into the pass's stores, by at(order)
    std::vector<RecordWriter> weights;  // the same for stores of the contexts' weights
  };

  /// Calls work(worker, i) for each i below count on all threads, in any order.
  template <class Work>
  void run(std::string_view phase, std::size_t count, std::vector<Worker>& workers, Work&& work) {
    // In waves, so that progress is reported between them, from the calling thread.
    const std::size_t wave = std::max(count / 16, 4 * workers.size());
    for (std::size_t begin = 0; begin < count; begin += wave) {
      if (build_.progress)
        build_.progress(phase, static_cast<std::int64_t>(begin), static_cast<std::int64_t>(count));
      const std::size_t end = std::min(begin + wave, count);
      std::atomic<std::size_t> next{begin};
      parallel::for_chunks(static_cast<std::int64_t>(workers.size()), [&](std::int64_t w) {
        for (std::size_t i = next++; i < end; i = next++) work(workers[static_cast<std::size_t>(w)], i);
      });
    }
  }
  std::vector<Worker> make_workers(std::vector<RecordStore>* outputs = nullptr,
                                   std::vector<RecordStore>* weights = nullptr) const;
  static void flush(std::vector<Worker>& workers);
  std::vector<RecordStore> make_stores(int first_order, int last_order, const Partition& partition,
                                       std::size_t values = 1) const;
  /// The records of one range, sorted, in the buffer.
  std::span<std::uint64_t> take_sorted(RecordStore& store, std::size_t range, WordBuffer& buffer,
                                       WordBuffer& spare, bool keep = false) const;

  /// Words of a record with one value.
  std::size_t width(int order) const { return layout_.words(order) + 1; }
  /// Values of a record of by_suffix_: interpolation needs the own part and the context's weight.
  std::size_t suffix_values() const { return traits_.interpolated ? 2 : 1; }
  std::size_t at(int order) const { return static_cast<std::size_t>(order - 2); }
  /// The final id of a provisional one.
  std::uint32_t final_id(std::uint32_t id) const {
    return id == NgramCounter::begin_symbol ? begin_ : static_cast<std::uint32_t>(ids_.final_id[id]);
  }
  /// The counts that the unigrams' probabilities are made of.
  std::span<const std::uint64_t> smoothed_unigrams() const {
    return traits_.adjusted_counts && order_ > 1 ? unigram_adjusted_ : unigram_counts_;
  }
  /// The range of an n-gram in context order, which is also that of its context in suffix order.
  std::size_t context_range(int order, const std::uint32_t* ids) const {
    return order == 2 ? by_end_->range(ids[0]) : by_end_->range(ids[0], ids[1]);
  }
  /// Of sorted records in context order: the end of those with the context of the one at `begin`.
  std::size_t end_of_context(std::span<const std::uint64_t> records, std::size_t begin, int order) const {
    const std::size_t words = layout_.words(order), step = words + 1;
    std::size_t end = begin + step;
    while (end < records.size() && layout_.common(&records[begin], &records[end], words, order) >= order - 1)
      end += step;
    return end;
  }

  class Adjuster;
  void partition(NgramCounter& counter);
  std::size_t count_ranges(NgramCounter& counter) const;
  void share_unigram_weights();
  class Emitter;
  void emit_unigrams(NgramSink& sink, std::span<const std::int64_t> counts) const;
  void smooth_unigrams();
  void normalise_range(Worker& worker, int order, std::size_t range);
  template <class Open>
  void walk_suffixes(std::string_view phase, std::vector<Worker>& workers, bool keep, Open&& open);
  void weigh_katz();

  int order_;
  const NgramOptions& options_;
  const BuildOptions& build_;
  MethodTraits traits_;
  SegmentPool& pool_;
  Team& team_;
  const TokenSource::Ids& ids_;
  std::uint32_t begin_;  // the begin symbol
  KeyLayout layout_;

  // Ranges by the last two words of an n-gram, for suffix and context order, and by the first two.
  std::optional<Partition> by_end_, by_start_;
  // Of orders 2 and up, by at(order).
  std::vector<RecordStore> counts_;  // the highest order alone, in suffix order
  std::vector<RecordStore> by_context_;
  std::vector<RecordStore> by_suffix_;
  std::vector<RecordStore> weights_;  // in suffix order, sorted
  std::vector<RecordStore> by_prefix_;

  std::vector<CountsOfCounts> counts_of_counts_;                  // by order - 1
  std::vector<std::uint64_t> unigram_counts_, unigram_adjusted_;  // by id, the begin symbol last
  std::vector<double> unigram_probs_, unigram_weights_;
  std::vector<Smoothing> smoothing_;  // by order - 1
};

/// The last words of records: one number, or the two of a record in prefix order.
inline std::uint64_t one_double(double value) {
  return std::bit_cast<std::uint64_t>(value);
}
inline double as_double(std::uint64_t word) {
  return std::bit_cast<double>(word);
}

struct PrefixValues {
  float backoff, log_prob;
};

/// Adds to a sum that other threads add to as well.
template <class Integer>
void add_to(Integer& sum, Integer more) {
  std::atomic_ref(sum).fetch_add(more, std::memory_order_relaxed);
}

}  // namespace gradus::models::ngram
