#pragma once

#include <cstdint>
#include <vector>

#include "models/ngram/ngram.hpp"
#include "models/ngram/sink.hpp"

namespace gradus::models {

/// The number of n-grams of each order, before and after pruning.
struct PruneSummary {
  std::vector<std::int64_t> before, after;
};

/// Pruning by relative entropy (Stolcke, "Entropy-based pruning of backoff language models", 1998): removes
/// each n-gram h w whose removal raises the perplexity of the model, under its own distribution, by less than
/// the fraction `threshold`: exp(D) - 1 < threshold, where D is the relative entropy of the model without h
/// w,
///
///   D = -p(h) { p(w|h) [log p(w|h') + log a'(h) - log p(w|h)] + [log a'(h) - log a(h)] sum_v p(v|h) },
///
/// v being the words not listed after h, h' the context without its first word, and a(h) and a'(h) the
/// backoff weights with h w and without it:
///
///   a(h) = (1 - sum of p(v|h) over the words listed) / (1 - sum of p(v|h') over the same).
///
/// Each n-gram is judged by the unpruned model, the longest first; contexts and suffixes of n-grams that are
/// kept are kept too. The backoff weights are recomputed, so the probabilities after each context still sum
/// to one. p(h) is the product of the model's own probabilities, with p(<s>) that of the sentence end.
///
/// The lower orders of Kneser-Ney models are made for backing off and do not estimate how frequent a context
/// is, so p(h) is inaccurate, and such models suffer more from pruning than Katz or Witten-Bell models
/// (Chelba et al., "Study on interaction between entropy pruning and Kneser-Ney smoothing", 2010): prune them
/// lightly, or use another method.
///
/// Takes about 25 bytes of memory an n-gram. Where the model does not hold the suffix of an n-gram, p(w|h')
/// is what backing off gives. Throws ArgumentError for a negative threshold, a model that does not back off
/// (add-k, maximum likelihood) and one whose scores are not probabilities (stupid backoff); DataError for a
/// damaged model.
PruneSummary prune(const NgramModel& model, double threshold, NgramSink& sink,
                   const NgramProgress& progress = {});

}  // namespace gradus::models
