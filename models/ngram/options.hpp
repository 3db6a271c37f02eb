#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gradus::models {

/// How probabilities are made of counts. c(h w): how often the word w follows the context h in the text;
/// c(h): their sum over w; N1+(h .): how many different words follow h; n_r: how many n-grams of the order
/// stand r times; h': h without its first word; V: the words of the vocabulary. Interpolated methods end at
/// the uniform distribution 1 / V. CG: Chen and Goodman, "An empirical study of smoothing techniques for
/// language modeling", TR-10-98, Harvard 1998.
enum class NgramMethod : std::uint8_t {
  /// c(h w) / c(h); nothing else is possible after a context that was followed by something (CG section 1).
  maximum_likelihood,
  /// (c(h w) + k) / (c(h) + k V), over the longest context (CG section 2.1, additive smoothing).
  add_k,
  /// Interpolated modified Kneser-Ney: (c(h w) - D(c(h w))) / c(h) + gamma(h) p(w | h') (CG section 3, D by
  /// eq. 26, the lower orders' counts by section 2.7), with the borders of sentences of Heafield,
  /// Pouzyrevsky, Clark and Koehn 2013, "Scalable modified Kneser-Ney language model estimation", sections
  /// 3.2 to 3.4.
  kneser_ney,
  /// max(c(h w) - D, 0) / c(h) + D N1+(h .) / c(h) p(w | h'), D = n1 / (n1 + 2 n2) for each order (Ney, Essen
  /// and Kneser 1994, "On structuring probabilistic dependences in stochastic language modelling"; CG section
  /// 2.6). Interpolated.
  absolute_discounting,
  /// (c(h w) + N1+(h .) p(w | h')) / (c(h) + N1+(h .)) (Witten and Bell 1991, "The zero-frequency problem",
  /// method C; CG section 2.5). Interpolated.
  witten_bell,
  /// d(c) c / c(h), d from Good-Turing's estimate for c <= cutoff, 1 above; what is left goes to the words
  /// not seen after h, in proportion to p(w | h') (Katz 1987, "Estimation of probabilities from sparse data
  /// for the language model component of a speech recognizer"; CG section 2.4). Backing off. After a context
  /// whose words all stand more often than the cutoff, one word more is taken to have been seen that is none
  /// of them, as the others would have no probability.
  katz,
  /// c(h w) / c(h), else 0.4 times the score of the shorter context (Brants, Popat, Xu, Och and Dean 2007,
  /// "Large language models in machine translation", eq. 5): scores, no probabilities. As in every file of
  /// backoff weights, a context never seen costs nothing.
  stupid_backoff,
};

/// "kneser-ney", "witten-bell" and so on.
std::string_view name_of(NgramMethod method);
/// Those of all methods, in their order.
std::span<const std::string_view> ngram_method_names();
/// The method of that name; throws ArgumentError and lists the names for any other.
NgramMethod ngram_method_named(std::string_view name);

struct NgramOptions {
  int order = 3;
  NgramMethod method = NgramMethod::kneser_ney;
  double k = 1;          // add_k
  int katz_cutoff = 7;   // katz: counts above are reliable, and not discounted; 1 to 20
  double backoff = 0.4;  // stupid_backoff
  /// The id of the unknown word when the vocabulary is closed: it has no probability, and the others share
  /// all of it. -1: the vocabulary is open, and the unknown word has a probability like any other.
  std::int32_t impossible = -1;
  /// Of tokens given as ids: the one that ends a sentence, after which the context begins anew. -1: the text
  /// is one sentence. A TokenSource says itself what ends its sentences.
  std::int32_t sentence_end = -1;

  bool operator==(const NgramOptions&) const = default;
};

/// The discounts of one order: Kneser-Ney's for counts of 1, 2, and 3 or more; absolute discounting's one;
/// Katz's d(1) to d(cutoff). Empty for the other methods.
struct Discounts {
  std::vector<double> amount{};
  /// The counts of counts gave none that is valid, so fixed ones were taken: Kneser-Ney 0.5, 1 and 1.5 (as
  /// KenLM's --discount_fallback), absolute discounting 0.5, Katz d(r) = (r - 0.5) / r.
  bool fallback = false;

  bool operator==(const Discounts&) const = default;
};

/// Called from the calling thread: what is being done, and how much of it. `total` is 0 when unknown.
using NgramProgress = std::function<void(std::string_view phase, std::int64_t done, std::int64_t total)>;
/// How many n-grams are worked on between two calls, where they are what is counted.
inline constexpr std::int64_t ngrams_a_report = 1 << 16;

/// What was found while a model was built. Vectors hold one entry for each order from 1.
struct NgramSummary {
  std::string method{};                  // in the literature's terms, with its parameters
  std::vector<std::int64_t> counts{};    // n-grams in the model; of order 1: every id and the begin symbol
  std::vector<std::int64_t> distinct{};  // n-grams in the text, before pruning
  std::vector<Discounts> discounts{};
  std::int64_t tokens = 0;  // predicted ones: words and sentence ends
  std::int64_t sentences = 0;
  std::int64_t vocab = 0;
  std::int64_t temporary_bytes = 0;  // written to temporary files, packed
};

namespace ngram {

struct BuildOptions {
  /// Bytes that the counts and the sorting may take; what is more goes to temporary files. The vocabulary
  /// comes on top. The model is the same, bit for bit, for any bound.
  std::int64_t memory = std::int64_t{1} << 30;
  /// The folder of the temporary files; empty: that of the system.
  std::filesystem::path temporary{};
  /// prune[n - 1]: n-grams of order n that stand at most so many times in the text are left out; the last one
  /// holds for the orders above. Must begin with 0 (cut the vocabulary instead) and not fall.
  std::vector<std::int64_t> prune{};
  /// Kneser-Ney only: the three discounts of each order from 1, in place of those that the counts of counts
  /// give.
  std::vector<Discounts> discounts{};
  NgramProgress progress{};
};

}  // namespace ngram
}  // namespace gradus::models
