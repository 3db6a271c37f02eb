#include "models/ngram/estimate/smoothing.hpp"

namespace gradus::models::ngram {

namespace {

double number(std::int64_t count) {
  return static_cast<double>(count);
}

}  // namespace

MethodTraits traits_of(NgramMethod method) {
  MethodTraits out{.adjusted_counts = method == NgramMethod::kneser_ney,
                   .interpolated = method == NgramMethod::kneser_ney || method == NgramMethod::witten_bell ||
                                   method == NgramMethod::absolute_discounting,
                   .katz = method == NgramMethod::katz};
  if (method == NgramMethod::maximum_likelihood) out.fallback = NgramFallback::nothing;
  if (method == NgramMethod::add_k) out.fallback = NgramFallback::uniform;
  return out;
}

Smoothing::Smoothing(const NgramOptions& options, const CountsOfCounts& counts, std::int64_t vocab,
                     const Discounts* given)
    : options_(options), vocab_(vocab) {
  if (options.method == NgramMethod::add_k) add_ = options.k;
  if (options.method == NgramMethod::kneser_ney) estimate_kneser_ney(counts, given);
  if (options.method == NgramMethod::absolute_discounting) estimate_absolute(counts);
  if (options.method == NgramMethod::katz) estimate_katz(counts);
}

/// Chen and Goodman 1998, eq. 26: D_r = r - (r + 1) Y t_{r+1} / t_r with Y = t_1 / (t_1 + 2 t_2).
void Smoothing::estimate_kneser_ney(const CountsOfCounts& t, const Discounts* given) {
  const double y = number(t[1]) / (number(t[1]) + 2 * number(t[2]));
  for (std::size_t r = 1; r <= 3; ++r) {
    const auto count = static_cast<double>(r);
    const double d = count - (count + 1) * y * number(t[r + 1]) / number(t[r]);
    // Where a t_r is 0, d is not a number.
    if (!(d >= 0 && d <= count)) discounts_.fallback = true;
    discounts_.amount.push_back(d);
  }
  if (discounts_.fallback) discounts_.amount = {0.5, 1, 1.5};
  if (given != nullptr) discounts_ = *given;
  by_count_.insert(by_count_.end(), discounts_.amount.begin(), discounts_.amount.end());
  constant_above_ = by_count_.back();
}

/// Ney, Essen and Kneser 1994: D = t_1 / (t_1 + 2 t_2).
void Smoothing::estimate_absolute(const CountsOfCounts& t) {
  discounts_.fallback = t[1] == 0 || t[2] == 0;
  const double d = discounts_.fallback ? 0.5 : number(t[1]) / (number(t[1]) + 2 * number(t[2]));
  discounts_.amount = {d};
  by_count_.push_back(d);
  constant_above_ = d;
}

/// Katz 1987: d_r = (r* / r - m) / (1 - m) for r <= k, with Good-Turing's r* = (r + 1) t_{r+1} / t_r and
/// m = (k + 1) t_{k+1} / t_1, so that what is taken from the counts is what Good and Turing give to the
/// n-grams not seen.
void Smoothing::estimate_katz(const CountsOfCounts& t) {
  const auto k = static_cast<std::size_t>(options_.katz_cutoff);
  const double m = static_cast<double>(k + 1) * number(t[k + 1]) / number(t[1]);
  // Otherwise both the numerator and the denominator of d may be negative.
  if (!(m < 1)) discounts_.fallback = true;
  for (std::size_t r = 1; r <= k; ++r) {
    const double adjusted = static_cast<double>(r + 1) * number(t[r + 1]) / number(t[r]);
    const double d = (adjusted / static_cast<double>(r) - m) / (1 - m);
    if (!(d > 0 && d <= 1)) discounts_.fallback = true;
    discounts_.amount.push_back(d);
  }
  for (std::size_t r = 1; r <= k; ++r) {
    const auto count = static_cast<double>(r);
    if (discounts_.fallback) discounts_.amount[r - 1] = (count - 0.5) / count;
    by_count_.push_back(count - discounts_.amount[r - 1] * count);
  }
}

Smoothing::Context Smoothing::context(const std::uint64_t* counts, std::size_t words,
                                      std::size_t stride) const {
  Totals totals{.words = static_cast<std::int64_t>(words)};
  std::uint64_t all = 0, pruned = 0;
  // The words of each count are counted first, so that the sum does not depend on the order of the words.
  std::array<std::int64_t, 22> kept{};
  std::int64_t above = 0;
  for (std::size_t i = 0; i < words; ++i) {
    const std::uint64_t count = count_of(counts[i * stride]);
    all += count;
    if (is_pruned(counts[i * stride])) {
      pruned += count;
    } else {
      ++totals.kept;
      ++(count < by_count_.size() ? kept[count] : above);
    }
  }
  totals.all = static_cast<double>(all);
  totals.pruned = static_cast<double>(pruned);
  for (std::size_t r = 1; r < by_count_.size(); ++r) totals.freed += by_count_[r] * number(kept[r]);
  totals.freed += constant_above_ * number(above);
  return context(totals);
}

Smoothing::Context Smoothing::context(const Totals& t) const {
  switch (options_.method) {
    case NgramMethod::maximum_likelihood:
      // Nothing else is possible, and pruned words count as never seen.
      if (t.kept == 0) return {};
      return {.denominator = t.all - t.pruned, .weight = 0};
    case NgramMethod::add_k: {
      const double denominator = t.all + options_.k * number(vocab_);
      if (t.kept == vocab_) return {.denominator = denominator, .weight = 0};
      // Each unseen word gets weight / vocab; the unseen words share the counts of the pruned ones.
      const double unseen = number(vocab_ - t.kept);
      return {.denominator = denominator,
              .weight = (t.pruned + options_.k * unseen) / denominator * (number(vocab_) / unseen)};
    }
    case NgramMethod::kneser_ney:
    case NgramMethod::absolute_discounting:
      return {.denominator = t.all, .weight = (t.freed + t.pruned) / t.all};
    case NgramMethod::witten_bell: {
      const double denominator = t.all + number(t.words);
      return {.denominator = denominator, .weight = (number(t.words) + t.pruned) / denominator};
    }
    case NgramMethod::katz:
      // Every word was seen, so there is none to give probability to.
      if (t.kept == vocab_) return {.denominator = t.all, .weight = 1, .discounted = false};
      // All counts are above the cutoff. One more unseen word is assumed, or unseen words would be
      // impossible.
      if (t.freed + t.pruned == 0) return {.denominator = t.all + 1, .weight = 1 / (t.all + 1)};
      return {.denominator = t.all, .weight = (t.freed + t.pruned) / t.all};
    case NgramMethod::stupid_backoff:
      break;
  }
  return {.denominator = t.all, .weight = options_.backoff};
}

std::vector<double> Smoothing::unigrams(std::span<const std::uint64_t> counts,
                                        std::int32_t impossible) const {
  // The words seen, as if they followed a context.
  std::vector<std::uint64_t> seen;
  for (const std::uint64_t count : counts) {
    if (count > 0) seen.push_back(pruned_count(count, false));
  }
  const Context empty = context(seen.data(), seen.size(), 1);
  const bool interpolated = traits_of(options_.method).interpolated;
  const double uniform = empty.weight / number(vocab_);
  double unseen = 0;
  if (interpolated || options_.method == NgramMethod::add_k) unseen = uniform;
  if (options_.method == NgramMethod::katz) {
    const std::int64_t words = vocab_ - static_cast<std::int64_t>(seen.size());
    unseen = words > 0 ? empty.weight / number(words) : 0;
  }
  std::vector<double> out(counts.size());
  for (std::size_t w = 0; w < counts.size(); ++w) {
    if (static_cast<std::int64_t>(w) == impossible) continue;
    out[w] = counts[w] == 0 ? unseen : own_part(empty, counts[w]) + (interpolated ? uniform : 0);
  }
  return out;
}

}  // namespace gradus::models::ngram
