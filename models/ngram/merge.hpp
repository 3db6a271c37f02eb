#pragma once

#include <span>

#include "models/ngram/ngram.hpp"
#include "models/ngram/sink.hpp"

namespace gradus::models {

/// Whether models can be merged: they back off, give probabilities, and end their sentences at the same
/// token.
bool can_merge(std::span<const NgramModel> models);

/// The linear interpolation of n-gram models as one n-gram model (Stolcke 2002, "SRILM", section 3.2; as its
/// `ngram -mix-lm -write-lm` does). Every n-gram that any of the models lists has
///   p(w | h) = sum_i weight_i p_i(w | h),
/// and each context a backoff weight with which its probabilities sum to one,
///   a(h) = (1 - sum of p(w | h)) / (1 - sum of p(w | h')),  over the words listed after h, h' being h
///   without its first.
/// So it is the interpolation itself for the n-grams that are listed, and for others an approximation of it.
///
/// Takes 4 bytes of memory a token of the n-grams of an order and its neighbour. Throws ArgumentError unless
/// there is a weight for each model, none negative, together 1 to within 1e-6, all models are over as many
/// ids and can_merge.
void merge(std::span<const NgramModel> models, std::span<const double> weights, NgramSink& sink,
           const NgramProgress& progress = {});

}  // namespace gradus::models
