#pragma once

// Internal: not part of the public interface.

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "models/ngram/options.hpp"
#include "models/ngram/sink.hpp"

namespace gradus::models::ngram {

/// What a method asks of the passes over the counts.
struct MethodTraits {
  bool adjusted_counts = false;  // the lower orders count the different words before an n-gram
  bool interpolated = false;     // p = own part + weight of the context * p(w | h'), else the own part alone
  bool katz = false;             // the weight needs the shorter context's probabilities
  NgramFallback fallback = NgramFallback::shorter;
};
MethodTraits traits_of(NgramMethod method);

/// How many n-grams of an order have a count of r, at [r]; those above are not needed.
using CountsOfCounts = std::array<std::int64_t, 22>;

/// One order's formulas. A count comes with whether the n-gram is pruned, in its lowest bit: see
/// pruned_count.
class Smoothing {
 public:
  /// `vocab`: the number of words that share the probability.
  Smoothing(const NgramOptions& options, const CountsOfCounts& counts, std::int64_t vocab);

  const Discounts& discounts() const { return discounts_; }

  /// What the counts of all words after one context make of it.
  struct Context {
    double denominator = 1;
    double weight = 1;  // of what the fallback says; for Katz what is left for the words not seen
    bool discounted = true;
  };
  /// `counts`: of each word after the context, `stride` apart.
  Context context(const std::uint64_t* counts, std::size_t words, std::size_t stride) const;
  /// A word's own part of its probability after the context.
  double own_part(const Context& context, std::uint64_t count) const {
    const auto c = static_cast<double>(count);
    return (c + add_ - (context.discounted ? discount(count) : 0)) / context.denominator;
  }
  /// The probabilities of single words; counts[w], 0 for those not seen. The one that is `impossible` (or -1)
  /// gets none.
  std::vector<double> unigrams(std::span<const std::uint64_t> counts, std::int32_t impossible) const;
  /// The weight of a context after which nothing was seen.
  double weight_unseen() const {
    return options_.method == NgramMethod::stupid_backoff ? options_.backoff : 1;
  }

 private:
  struct Totals {
    double all = 0, pruned = 0, freed = 0;  // counts; of these, those of pruned words; what discounts take
    std::int64_t words = 0, kept = 0;
  };
  Context context(const Totals& totals) const;
  /// What is taken from a count.
  double discount(std::uint64_t count) const {
    return count < by_count_.size() ? by_count_[count] : constant_above_;
  }
  void estimate_kneser_ney(const CountsOfCounts& t);
  void estimate_absolute(const CountsOfCounts& t);
  void estimate_katz(const CountsOfCounts& t);

  NgramOptions options_;
  std::int64_t vocab_;
  Discounts discounts_;
  double add_ = 0;
  std::vector<double> by_count_{0.0};
  double constant_above_ = 0;
};

/// A count and whether its n-gram is left out.
inline std::uint64_t pruned_count(std::uint64_t count, bool pruned) {
  return count << 1 | static_cast<std::uint64_t>(pruned);
}

}  // namespace gradus::models::ngram
