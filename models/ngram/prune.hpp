#pragma once

#include <cstdint>
#include <vector>

#include "models/ngram/ngram.hpp"
#include "models/ngram/sink.hpp"

namespace gradus::models {

/// The n-grams of each order, before and after.
struct PruneSummary {
  std::vector<std::int64_t> before, after;
};

/// Pruning by relative entropy (Stolcke, "Entropy-based pruning of backoff language models", 1998): leaves
/// out the n-grams h w without which the model's perplexity, by its own distribution, grows by less than a
/// fraction `threshold`: exp(D) - 1 < threshold, where D is the relative entropy of the model without h w,
///
///   D = -p(h) { p(w|h) [log p(w|h') + log a'(h) - log p(w|h)] + [log a'(h) - log a(h)] sum_v p(v|h) },
///
/// v being the words not listed after h, h' the context without its first word, a(h) and a'(h) the backoff
/// weights with h w and without:
///
///   a(h) = (1 - sum of p(v|h) over the words listed) / (1 - sum of p(v|h') over the same).
///
/// Each n-gram is judged by the whole model, from the longest on; n-grams that are contexts or suffixes of
/// ones kept stay. The backoff weights are renormalized, so the probabilities after each context add up to
/// one as before. p(h) is the product of the model's own probabilities, p(<s>) that of the sentence end.
///
/// Kneser-Ney's lower orders are made to be backed off to and say little about how frequent a context is, so
/// p(h) is poor and such models lose more by this than Katz's or Witten and Bell's (Chelba et al., "Study on
/// interaction between entropy pruning and Kneser-Ney smoothing", 2010): prune them lightly, or prune a
/// model of another method.
///
/// Holds about 25 bytes an n-gram. Throws ArgumentError for a negative threshold or a model that does not
/// back off (add-k, maximum likelihood) or whose scores are no probabilities (stupid backoff); DataError for
/// a damaged model. Of an n-gram whose suffix the model does not hold, p(w|h') is what backing off gives.
PruneSummary prune(const NgramModel& model, double threshold, NgramSink& sink,
                   const NgramProgress& progress = {});

}  // namespace gradus::models
