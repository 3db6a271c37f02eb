#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "models/language_model.hpp"
#include "models/ngram/options.hpp"
#include "models/ngram/sink.hpp"
#include "models/ngram/state.hpp"
#include "tensor/random.hpp"
#include "tensor/support/function_ref.hpp"
#include "text/vocabulary.hpp"

namespace gradus::models {

/// How a file is read.
enum class NgramAccess {
  mapped,  // page by page as queries need it: ready at once, and shared between processes
  copied,  // completely, into memory on large pages: somewhat faster queries
};

struct GenerateOptions;
namespace ngram {
class Image;
}

/// An n-gram model over ids 0..vocab-1, stored in one of two layouts (NgramLayout), in memory or in a mapped
/// file. A handle: copies share the model, which never changes. Every id has a probability. The begin symbol,
/// with the id vocab, precedes the first token of a sentence and is never predicted.
///
/// The n-grams are stored in a forward trie, where the continuations of a context lie side by side, so that
/// the whole distribution of the next token, its likeliest tokens and samples from it are read in one place.
///
/// Reading order of this folder: options.hpp (methods and their formulas), sink.hpp (how a model is passed
/// on), estimate/estimate.hpp (counting and smoothing; its passes are listed in estimate/passes.hpp, their
/// external sort is in sort/record_store.hpp), store/image.hpp and store/fast_layout.hpp (the stored form),
/// store/query.hpp (the queries), arpa/arpa.hpp (exchange with other toolkits), prune.hpp.
class NgramModel {
 public:
  static constexpr int max_order = ngram::max_order;
  using State = NgramState;

  /// Estimates a model of tokens in memory; ngram::estimate does the same for larger texts. Throws
  /// ArgumentError for options out of range, such as an order below 1 or above max_order, for an id out of
  /// range, for no tokens, and for a closed vocabulary when the text holds the unknown word.
  NgramModel(std::span<const std::int32_t> tokens, std::int32_t vocab, const NgramOptions& options);

  /// The model of a file that NgramWriter wrote. For a damaged file, this or a later query either throws
  /// DataError naming the file or gives a wrong answer, but does nothing worse. The file may be replaced (by
  /// rename) while the model is in use, which then keeps the old file; it must not be modified in place.
  static NgramModel open(const std::filesystem::path& file, NgramAccess access = NgramAccess::mapped);
  /// The same of a file's bytes, which are copied; errors call it `name`.
  static NgramModel from_bytes(std::string_view bytes, const std::string& name);
  /// Whether the first bytes are those of such a file.
  static bool is_binary(std::string_view first_bytes);
  /// Reads the whole model and throws DataError for anything that is damaged or inconsistent.
  void verify() const;
  /// The vocabulary stored with the model. Throws DataError when it is missing or damaged.
  Vocabulary vocabulary() const;

  std::int32_t vocab_size() const;
  /// The properties of the model and how it was estimated. They are stored in its file too.
  const NgramDescription& description() const;
  NgramLayout layout() const;
  std::uint64_t bytes() const;
  /// The number of n-grams of each order, the begin symbol's unigram included.
  std::vector<std::int64_t> counts() const;
  /// The bytes of each order's n-grams; the vocabulary and the header are not included.
  std::vector<std::uint64_t> order_bytes() const;
  /// The options that the model was estimated with; empty where they are not known.
  const std::optional<NgramOptions>& options() const { return description().options; }
  /// The discounts of each order; empty where they are not known or the method has none.
  std::span<const Discounts> discounts() const { return description().discounts; }

  /// At the beginning of a sentence.
  State start() const;
  /// The state after these tokens and nothing before; the begin symbol may be the first.
  State context(std::span<const std::int32_t> tokens) const;
  State context(std::initializer_list<std::int32_t> tokens) const {
    return context(std::span(tokens.begin(), tokens.size()));
  }
  /// The state after a token; after the sentence's end, start().
  State advance(const State& state, std::int32_t token) const;

  /// log p of every token: (vocab) f32.
  Tensor log_probs(const State& state) const;
  /// log p(token | state) in nats, without looking at other tokens.
  double log_prob(const State& state, std::int32_t token) const;
  /// log_prob() and advance() in one search, in place: the quickest way through a text.
  NgramScore score(State& state, std::int32_t token) const;
  std::vector<double> score(State& state, std::span<const std::int32_t> tokens) const;
  /// The k likeliest tokens (at most vocab), the likeliest first, and of equals those of lower ids: the first
  /// of log_probs(), without looking at all of it.
  std::vector<Candidate> top_k(const State& state, std::int64_t k) const;
  /// A token drawn with the probabilities of log_probs(), divided by their sum. Throws NumericError when no
  /// token is possible.
  std::int32_t sample(const State& state, Rng& rng) const;
  /// `sample`, repeated while the token is banned, where the options keep the model's probabilities; else a
  /// draw from log_probs().
  std::int32_t draw(const State& state, const GenerateOptions& options, Rng& rng) const;

  /// Calls visit(ngram, log_prob, backoff) for each n-gram of an order, sorted by ids.
  void visit_entries(int order, FunctionRef<void(std::span<const std::int32_t>, double, double)> visit) const;
  /// Gives the whole model to a sink, such as a writer of another layout or place. `progress` counts n-grams.
  void write_to(NgramSink& sink, const NgramProgress& progress = {}) const;

 private:
  friend class NgramWriter;
  struct Core;
  explicit NgramModel(ngram::Image image);
  template <class F>
  auto ask(F&& question) const;
  std::uint32_t checked(std::int32_t token) const;

  std::shared_ptr<const Core> core_;
};

/// An n-gram model whose contexts end at unknown words, as in SRILM: n-grams do not extend across them, so
/// the word after an unknown one is predicted without context, the next one from a single word. A
/// LanguageModel. An unknown word itself has the probability that the model gives it, although SRILM's
/// convention does not count it.
class UnknownEndsContext : private NgramModel {
 public:
  using NgramModel::draw, NgramModel::log_prob, NgramModel::log_probs, NgramModel::start, NgramModel::State,
      NgramModel::top_k, NgramModel::vocab_size;

  /// `unknown`: the id of "<unk>".
  UnknownEndsContext(NgramModel model, std::int32_t unknown)
      : NgramModel(std::move(model)), unknown_(unknown) {}

  State advance(const State& state, std::int32_t token) const {
    return token == unknown_ ? State() : NgramModel::advance(state, token);
  }
  std::vector<double> score(State& state, std::span<const std::int32_t> tokens) const {
    std::vector<double> out;
    out.reserve(tokens.size());
    for (const std::int32_t token : tokens) {
      out.push_back(NgramModel::score(state, token).log_prob);
      if (token == unknown_) state = State();
    }
    return out;
  }

 private:
  std::int32_t unknown_;
};

}  // namespace gradus::models
