#include "models/ngram/estimate/passes.hpp"

namespace gradus::models::ngram {

Passes::Passes(int order, const TokenSource::Ids& ids, const NgramOptions& options, const BuildOptions& build,
               SegmentPool& pool)
    : order_(order),
      options_(options),
      build_(build),
      traits_(traits_of(options.method)),
      pool_(pool),
      team_(*build.team),
      ids_(ids),
      begin_(static_cast<std::uint32_t>(ids.vocab)),
      layout_{static_cast<int>(std::bit_width(static_cast<std::uint32_t>(ids.vocab)))},
      counts_of_counts_(static_cast<std::size_t>(order)),
      unigram_counts_(begin_ + 1),
      unigram_adjusted_(begin_ + 1),
      unigram_weights_(begin_ + 1) {}

std::vector<Passes::Worker> Passes::make_workers(std::vector<RecordStore>* outputs,
                                                 std::vector<RecordStore>* weights) const {
  std::vector<Worker> workers(static_cast<std::size_t>(threads()));
  const auto open = [&](std::vector<RecordStore>* stores, std::vector<RecordWriter>& writers) {
    for (std::size_t i = 0; stores != nullptr && i < stores->size(); ++i) writers.emplace_back((*stores)[i]);
  };
  for (Worker& worker : workers) {
    open(outputs, worker.writers);
    open(weights, worker.weights);
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

std::span<std::uint64_t> Passes::take_sorted(RecordStore& store, std::size_t range, WordBuffer& buffer,
                                             WordBuffer& spare, bool keep) const {
  const std::span<std::uint64_t> records = store.take(range, buffer, keep);
  sort_records(records.data(), records.size() / store.width(), store.width(), spare.reserve(records.size()));
  return records;
}

}  // namespace gradus::models::ngram
