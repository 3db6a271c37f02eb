#pragma once

#include <cstdint>
#include <span>

#include "models/ngram/estimate/token_source.hpp"
#include "models/ngram/options.hpp"
#include "models/ngram/sink.hpp"
#include "tensor/support/function_ref.hpp"

namespace gradus::models::ngram {

/// Estimates an n-gram model of the source's tokens and hands it to a sink. A begin symbol, which is never
/// predicted, precedes the first token of each sentence; no n-gram crosses the end of a sentence. Every id
/// has a unigram, whether it occurs or not. The model has the same bits for any number of threads and any
/// bound of memory.
///
/// `sink` is called once, when the text has been read and its vocabulary is known, and gives the sink.
///
/// Throws ArgumentError for options out of range, for a text without tokens, and for a closed vocabulary when
/// the text holds the unknown word; DataError for what the source refuses and when a temporary file cannot be
/// written. The sink's finish() is then not called, and no temporary file is left behind.
NgramSummary estimate(TokenSource& source, const NgramOptions& options, const BuildOptions& build,
                      FunctionRef<NgramSink&()> sink);
/// The same for a sink that is there already.
NgramSummary estimate(TokenSource& source, const NgramOptions& options, const BuildOptions& build,
                      NgramSink& sink);

/// The counts that estimate() would make the probabilities of: calls visit(ngram, count) for each n-gram of
/// each order from 1 up to options.order that occurs. The count is the number of occurrences or, for
/// Kneser-Ney below the highest order, of different words before the n-gram. The ids are the final ones, the
/// begin symbol is the size of the vocabulary. Throws as estimate() does.
void visit_counts(TokenSource& source, const NgramOptions& options, const BuildOptions& build,
                  FunctionRef<void(std::span<const std::int32_t> ngram, std::int64_t count)> visit);

}  // namespace gradus::models::ngram
