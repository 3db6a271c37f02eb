#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/team.hpp"

namespace gradus::models {

/// How probabilities are computed from counts. c(h w) is the number of times that the word w follows the
/// context h, c(h) their sum over w, N1+(h .) the number of different words that follow h, n_r the number of
/// n-grams of the order with the count r, h' the context h without its first word, V the size of the
/// vocabulary. Interpolated methods end in the uniform distribution 1 / V. CG: Chen and Goodman, "An
/// empirical study of smoothing techniques for language modeling", TR-10-98, Harvard 1998.
enum class NgramMethod : std::uint8_t {
  /// c(h w) / c(h); a word that never followed a known context is impossible after it (CG section 1).
  maximum_likelihood,
  /// (c(h w) + k) / (c(h) + k V), with the longest context only (CG section 2.1, additive smoothing).
  add_k,
  /// Interpolated modified Kneser-Ney: (c(h w) - D(c(h w))) / c(h) + gamma(h) p(w | h') (CG section 3, D by
  /// eq. 26, the counts of the lower orders by section 2.7), with sentence boundaries handled as in Heafield,
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
  /// d(c) c / c(h), with d from the Good-Turing estimate for c <= cutoff and 1 above. What is left goes to
  /// the words not seen after h, in proportion to p(w | h') (Katz 1987, "Estimation of probabilities from
  /// sparse data for the language model component of a speech recognizer"; CG section 2.4). A backoff method.
  /// Where all counts after a context are above the cutoff, nothing would be left, so c(h) is increased by
  /// one for the unseen words.
  katz,
  /// c(h w) / c(h), otherwise 0.4 times the score after the shorter context (Brants, Popat, Xu, Och and Dean
  /// 2007, "Large language models in machine translation", eq. 5). These are scores, not probabilities. As in
  /// every model of backoff weights, a context never seen has the weight 1.
  stupid_backoff,
};

/// "kneser-ney", "witten-bell" and so on.
std::string_view name_of(NgramMethod method);
/// The names of all methods, in the order of the enumerators.
std::span<const std::string_view> ngram_method_names();
/// The method of that name; throws ArgumentError and lists the names for any other.
NgramMethod ngram_method_named(std::string_view name);

struct NgramOptions {
  int order = 3;
  NgramMethod method = NgramMethod::kneser_ney;
  double k = 1;          // add_k
  int katz_cutoff = 7;   // katz, 1 to 20: higher counts are reliable and are not discounted
  double backoff = 0.4;  // stupid_backoff
  /// The id of the unknown word of a closed vocabulary: it has no probability, and the others share all of
  /// it. -1: the vocabulary is open, and the unknown word has a probability like any other.
  std::int32_t impossible = -1;
  /// For tokens given as ids: the token that ends a sentence, after which the context is reset. -1: the text
  /// is one sentence. Other sources of tokens know what ends their sentences.
  std::int32_t sentence_end = -1;

  bool operator==(const NgramOptions&) const = default;
};

/// The discounts of one order: for Kneser-Ney those of the counts 1, 2, and 3 or more, for absolute
/// discounting the only one, for Katz d(1) to d(cutoff). Empty for the other methods.
struct Discounts {
  std::vector<double> amount{};
  /// The counts of counts gave no valid discounts, so fixed ones were used: for Kneser-Ney 0.5, 1 and 1.5 (as
  /// with KenLM's --discount_fallback), for absolute discounting 0.5, for Katz d(r) = (r - 0.5) / r.
  bool fallback = false;

  bool operator==(const Discounts&) const = default;
};

/// Called with the name of the current phase and how much of it is done, from the thread that called the
/// function which reports. `total` is 0 when it is not known.
using NgramProgress = std::function<void(std::string_view phase, std::int64_t done, std::int64_t total)>;
/// How many n-grams are worked on between two calls, where they are what is counted.
inline constexpr std::int64_t ngrams_a_report = 1 << 14;

/// A report on the estimation of a model. The vectors have one entry for each order from 1.
struct NgramSummary {
  std::string method{};                  // in the literature's terms, with its parameters
  std::vector<std::int64_t> counts{};    // n-grams in the model; in order 1 every id and the begin symbol
  std::vector<std::int64_t> distinct{};  // n-grams in the text, before pruning
  std::vector<Discounts> discounts{};
  std::int64_t tokens = 0;  // that are predicted: words and sentence ends
  std::int64_t sentences = 0;
  std::int64_t vocab = 0;
  std::int64_t temporary_bytes = 0;  // written to temporary files, after compression
};

/// How a model is stored, in memory and in its file.
enum class NgramLayout : std::uint32_t {
  fast,     // whole numbers and hash tables: the fastest queries
  compact,  // packed bits: the smallest
};

struct NgramStorage {
  NgramLayout layout = NgramLayout::fast;
  /// Compact only, 2 to 16: the bits of a probability and of a backoff weight. Each number is then rounded to
  /// the nearest of 2^bits numbers chosen for its order: the means of bins of equally many numbers, refined
  /// to reduce the squared errors (Lloyd 1982). Zero and -infinity stay exact. 0: all numbers are exact.
  int quantize = 0;
};

namespace ngram {

struct BuildOptions {
  /// A bound in bytes on the memory for counting and sorting; data beyond it go to temporary files. The
  /// vocabulary is not included. The model is the same, bit for bit, for any bound.
  std::int64_t memory = std::int64_t{1} << 30;
  /// The folder for temporary files; empty: the system's.
  std::filesystem::path temporary{};
  /// prune[n - 1]: n-grams of order n that occur at most this many times are left out. The last number holds
  /// for the orders above too. The numbers must begin with 0 (reduce the vocabulary instead) and must not
  /// decrease.
  std::vector<std::int64_t> prune{};
  /// Kneser-Ney only: the three discounts of each order from 1, in place of those that the counts of counts
  /// give.
  std::vector<Discounts> discounts{};
  NgramProgress progress{};
  /// The processes that estimate one model together, with the same options but for `temporary` and
  /// `progress`: each counts the n-grams of its own source and works on its share of all; `memory` is of
  /// each.
  std::shared_ptr<Team> team = std::make_shared<Team>();
};

}  // namespace ngram
}  // namespace gradus::models
