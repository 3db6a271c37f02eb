#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "models/ngram/options.hpp"

namespace gradus::models {

/// What a model does with a word that its context has not seen.
enum class NgramFallback : std::uint8_t {
  shorter,  // backoff weight of the context times p(word | shorter context): all backoff models
  uniform,  // backoff weight of the context times 1 / vocabulary: add-k
  nothing,  // probability 0, once the context was seen before any word: maximum likelihood
};

/// Properties of a whole model. Ids are 0..vocab-1; the begin symbol, which is never predicted, is vocab.
struct NgramDescription {
  int order = 0;
  std::int32_t vocab = 0;
  std::int32_t sentence_end = -1;  // the context is reset after it; -1: the text is one sentence
  NgramFallback fallback = NgramFallback::shorter;
  std::string method;  // a description for people, in the literature's terms
  /// The options that the model was estimated with; empty where they are not known, as for most ARPA files.
  std::optional<NgramOptions> options{};
  /// Those of each order; empty where they are not known or the method has none.
  std::vector<Discounts> discounts{};
};

/// Whether the model gives scores that do not sum to one, as stupid backoff does. Of the method, ARPA files
/// keep only the description.
inline bool gives_scores(const NgramDescription& about) {
  return (about.options && about.options->method == NgramMethod::stupid_backoff) ||
         about.method.starts_with("stupid backoff");
}

/// Receives an n-gram model. It connects what makes models (estimation, the reader of ARPA files, pruning)
/// with what keeps them (the writers of ARPA and of binary files).
///
/// A model comes order by order, from 1 up, and the n-grams of an order in the lexicographic order of their
/// ids. Order 1 has every id and, last, the begin symbol. The context of an n-gram (all but its last token)
/// and its suffix (all but its first) are among the n-grams one shorter.
class NgramSink {
 public:
  virtual ~NgramSink() = default;
  /// Called first, once.
  virtual void describe(const NgramDescription& description) = 0;
  /// Called after describe() where the number of n-grams of each order is known by then.
  virtual void expect(std::span<const std::int64_t> /*counts*/) {}
  /// `count` n-grams of this order follow.
  virtual void begin_order(int order, std::int64_t count) = 0;
  /// Natural logarithms: log p(last token | the others), which is -infinity for the begin symbol, and the
  /// backoff weight of the n-gram as a context, for tokens not listed after it (0 in the highest order).
  virtual void add(std::span<const std::int32_t> ngram, float log_prob, float backoff) = 0;
  /// Called after the last n-gram, once.
  virtual void finish() = 0;
};

}  // namespace gradus::models
