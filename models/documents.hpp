#pragma once

// Internal: documents that stand one behind another in the texts of a batch.

#include <cstdint>

#include "tensor/indices.hpp"
#include "tensor/tensor.hpp"

namespace gradus::models::detail {

/// Where documents begin in x, (time, batch): at each token `end`, which ends one and is what the next one is
/// read behind, and at the beginning of each text.
struct PackedDocuments {
  Indices starts;     // (batch, time): the place of the first token of each token's document
  Indices positions;  // (batch, time): the place of each token in its document

  PackedDocuments(const Indices& x, std::int64_t end);
};

/// 1 at each token `end` of x, else 0: (time, batch, 1).
Tensor document_begins(const Indices& x, std::int64_t end, Dtype dtype);

/// The same documents as sequences of their own, in the order of the texts, as recurrent layers read them.
struct SeparateDocuments {
  Indices ids;      // (longest, documents); 0 past an end
  Indices lengths;  // (documents)
  Indices before;   // (documents): the text whose state a document goes on from, or the number of texts for
                    // the state at the beginning
  Indices places;   // (time * batch): where each token stands in (longest * documents)
  Indices last;     // (batch): the document that each text ends in

  SeparateDocuments(const Indices& x, std::int64_t end);
};

}  // namespace gradus::models::detail
