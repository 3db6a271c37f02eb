#pragma once

#include <cstdint>

#include "models/ngram/estimate/token_source.hpp"
#include "models/ngram/options.hpp"
#include "models/ngram/sink.hpp"

namespace gradus::models::ngram {

/// Estimates an n-gram model of the source's tokens and hands it to the sink. Before the first token of a
/// sentence stands a symbol that is never predicted; no n-gram crosses a sentence's end. Every id has a
/// unigram, seen or not. The same bits for any number of threads and any bound of memory.
///
/// Throws ArgumentError for options out of range, no tokens at all, or a vocabulary that is closed while the
/// unknown word stands in the text; DataError for what the source refuses and when a temporary file cannot be
/// written. The sink's finish() is then not called, and nothing stays behind.
NgramSummary estimate(TokenSource& source, const NgramOptions& options, const BuildOptions& build,
                      NgramSink& sink);

}  // namespace gradus::models::ngram
