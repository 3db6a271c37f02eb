#pragma once

// Internal: not part of the public interface.

#include <atomic>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "models/ngram/estimate/count.hpp"
#include "models/ngram/estimate/key.hpp"
#include "models/ngram/estimate/partition.hpp"
#include "models/ngram/estimate/record_store.hpp"
#include "models/ngram/estimate/smoothing.hpp"
#include "models/ngram/estimate/token_source.hpp"
#include "models/ngram/options.hpp"
#include "models/ngram/sink.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus::models::ngram {

/// The passes that turn counts into a model (Heafield, Pouzyrevsky, Clark and Koehn 2013, "Scalable modified
/// Kneser-Ney language model estimation", section 3), each over one range of n-grams after the other, the
/// ranges in parallel. What a pass needs together always lies in one range:
///   spread  -> counts of the highest order, distributed in suffix order
///   adjust     counts of all orders from those              -> distributed in context order
///   normalise  each context's denominator and weight        -> n-grams in suffix order, weights of contexts
///   (Katz: look up p(w | h') and sum it over each context, for its weight)
///   interpolate with the shorter context, join the weights  -> distributed in prefix order
///   emit       to the sink, order by order
/// Words alone (order 1) are arrays in memory.
class Passes {
 public:
  Passes(int order, const TokenSource::Ids& ids, const NgramOptions& options, const BuildOptions& build,
         SegmentPool& pool);

  void spread(NgramCounter& counter);
  void adjust();
  /// After adjust: those of each order.
  std::vector<Discounts> discounts() const;
  void normalise();
  void interpolate();
  void emit(NgramSink& sink, NgramSummary& summary);

 private:
  /// What one thread works with.
  struct Worker {
    WordBuffer records, spare;
    std::vector<RecordWriter> writers;  // into the pass's stores, by order
  };

  /// Calls work(worker, i) for each i below count on all threads, in any order.
  template <class Work>
  void run(std::string_view phase, std::size_t count, std::vector<Worker>& workers, Work&& work) {
    // In waves, between which progress is told.
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
  std::vector<Worker> make_workers(std::vector<RecordStore>* outputs = nullptr) const;
  static void flush(std::vector<Worker>& workers);
  std::vector<RecordStore> make_stores(int first_order, int last_order, const Partition& partition,
                                       std::size_t values = 1) const;
  std::span<std::uint64_t> take_sorted(RecordStore& store, std::size_t range, Worker& worker,
                                       bool keep = false) const;

  /// Words of a record: the key and one value.
  std::size_t width(int order) const { return layout_.words(order) + 1; }
  /// Of a record of by_suffix_: interpolation needs the own part and the context's weight.
  std::size_t suffix_values() const { return traits_.interpolated ? 2 : 1; }
  std::size_t at(int order) const { return static_cast<std::size_t>(order - 2); }

  class Adjuster;
  void smooth_unigrams(const std::vector<CountsOfCounts>& counts);
  void normalise_range(Worker& worker, RecordWriter* weights, int order, std::size_t range);
  void weigh_katz();
  struct Level;

  int order_;
  const NgramOptions& options_;
  const BuildOptions& build_;
  MethodTraits traits_;
  SegmentPool& pool_;
  const TokenSource::Ids& ids_;
  std::uint32_t begin_;  // the begin symbol
  KeyLayout layout_;

  std::optional<Partition> by_end_, by_start_;
  // Of orders 2 and up, by at(order).
  std::vector<RecordStore> counts_;  // the highest order alone, in suffix order
  std::vector<RecordStore> by_context_;
  std::vector<RecordStore> by_suffix_;
  std::vector<RecordStore> weights_;  // in suffix order, sorted
  std::vector<RecordStore> by_prefix_;

  std::vector<std::uint64_t> unigram_counts_, unigram_adjusted_;  // by id, the begin symbol last
  std::vector<double> unigram_probs_, unigram_weights_;
  std::vector<Smoothing> smoothing_;  // by order - 1
  std::vector<std::int64_t> distinct_;
};

}  // namespace gradus::models::ngram
