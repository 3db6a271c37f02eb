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

/// What is true of a whole model. Ids are 0..vocab-1; the begin symbol, which is never predicted, is vocab.
struct NgramDescription {
  int order = 0;
  std::int32_t vocab = 0;
  std::int32_t sentence_end = -1;  // after it the context begins anew; -1: the text is one sentence
  NgramFallback fallback = NgramFallback::shorter;
  std::string method;  // in the literature's terms, for people
  /// What the model was estimated by; nothing where that is not known, as of most ARPA files.
  std::optional<NgramOptions> options{};
  /// Of each order, where it was estimated by a method that has discounts.
  std::vector<Discounts> discounts{};
};

/// Whether the model gives scores that do not sum to one, as stupid backoff does. ARPA files keep no more of
/// the method than its name.
inline bool gives_scores(const NgramDescription& about) {
  return (about.options && about.options->method == NgramMethod::stupid_backoff) ||
         about.method.starts_with("stupid backoff");
}

/// Receives an n-gram model order by order, ascending from 1; the n-grams of an order come in the
/// lexicographic order of their ids. Order 1 holds every id and, last, the begin symbol. Each n-gram's
/// context (all but its last token) and suffix (all but its first) stand in the order below.
class NgramSink {
 public:
  virtual ~NgramSink() = default;
  /// Before anything else, once.
  virtual void describe(const NgramDescription& description) = 0;
  /// After describe(), from those who know it by then: how many n-grams each order will have.
  virtual void expect(std::span<const std::int64_t> /*counts*/) {}
  /// `count` n-grams of this order follow.
  virtual void begin_order(int order, std::int64_t count) = 0;
  /// Natural logarithms: of p(last token | the others), -infinity for the begin symbol; and of the n-gram's
  /// weight as a context when what follows was not seen after it (0 in the highest order).
  virtual void add(std::span<const std::int32_t> ngram, float log_prob, float backoff) = 0;
  /// After the last n-gram, once.
  virtual void finish() = 0;
};

}  // namespace gradus::models
