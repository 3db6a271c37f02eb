#pragma once

// Internal: not part of the public interface.

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "models/ngram/options.hpp"
#include "models/ngram/sink.hpp"

namespace gradus::models::ngram {

/// What a method needs of the passes over the counts.
struct MethodTraits {
  bool adjusted_counts = false;  // the lower orders count the different words before an n-gram
  bool interpolated = false;     // p = own part + weight of the context * p(w | h'), else the own part alone
  bool katz = false;             // the weight needs the shorter context's probabilities
  NgramFallback fallback = NgramFallback::shorter;
};
MethodTraits traits_of(NgramMethod method);

/// [r]: how many n-grams of an order have the count r; [0]: how many have any. Higher counts are not needed.
using CountsOfCounts = std::array<std::int64_t, 22>;

/// A count and, in the lowest bit, whether its n-gram is pruned.
inline std::uint64_t pruned_count(std::uint64_t count, bool pruned) {
  return count << 1 | static_cast<std::uint64_t>(pruned);
}
inline bool is_pruned(std::uint64_t count) {
  return (count & 1) != 0;
}
inline std::uint64_t count_of(std::uint64_t count) {
  return count >> 1;
}

/// One order's formulas.
class Smoothing {
 public:
  /// `vocab`: the number of words that share the probability. `given`: Kneser-Ney's discounts, where they are
  /// not to be estimated from the counts of counts.
  Smoothing(const NgramOptions& options, const CountsOfCounts& counts, std::int64_t vocab,
            const Discounts* given = nullptr);

  const Discounts& discounts() const { return discounts_; }

  /// What the counts of all words after one context make of it.
  struct Context {
    double denominator = 1;
    double weight = 1;  // of the fallback's probability; for Katz the probability left for the unseen words
    bool discounted = true;
  };
  /// `counts`: the pruned_count of each word after the context, `stride` apart.
  Context context(const std::uint64_t* counts, std::size_t words, std::size_t stride) const;
  /// The part of a word's probability after the context that its own count gives.
  double own_part(const Context& context, std::uint64_t count) const {
    const auto c = static_cast<double>(count);
    return (c + add_ - (context.discounted ? discount(count) : 0)) / context.denominator;
  }
  /// The probabilities of single words of these counts, 0 for a word not seen. The word `impossible`, unless
  /// it is -1, gets none.
  std::vector<double> unigrams(std::span<const std::uint64_t> counts, std::int32_t impossible) const;
  /// The weight of a context after which nothing was seen.
  double weight_unseen() const {
    return options_.method == NgramMethod::stupid_backoff ? options_.backoff : 1;
  }

 private:
  struct Totals {
    double all = 0;     // counts
    double pruned = 0;  // those of pruned words
    double freed = 0;   // what the discounts take from the others
    std::int64_t words = 0, kept = 0;
  };
  Context context(const Totals& totals) const;
  /// What is subtracted from a count.
  double discount(std::uint64_t count) const {
    return count < by_count_.size() ? by_count_[count] : constant_above_;
  }
  void estimate_kneser_ney(const CountsOfCounts& t, const Discounts* given);
  void estimate_absolute(const CountsOfCounts& t);
  void estimate_katz(const CountsOfCounts& t);

  NgramOptions options_;
  std::int64_t vocab_;
  Discounts discounts_;
  double add_ = 0;
  std::vector<double> by_count_{0.0};
  double constant_above_ = 0;
};

}  // namespace gradus::models::ngram
