#include "models/ngram/merge.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace gradus::models {

namespace {

/// The n-grams of one order, sorted by ids, without doubles.
class Ngrams {
 public:
  Ngrams(std::span<const NgramModel> models, int order) : order_(static_cast<std::size_t>(order)) {
    std::vector<std::int32_t> ids;
    for (const NgramModel& model : models) {
      if (order > model.description().order) continue;
      model.visit_entries(order, [&](std::span<const std::int32_t> ngram, double, double) {
        ids.insert(ids.end(), ngram.begin(), ngram.end());
      });
    }
    std::vector<std::size_t> places(ids.size() / order_);
    std::iota(places.begin(), places.end(), std::size_t{0});
    const auto at = [&](std::size_t i) { return std::span(ids).subspan(i * order_, order_); };
    std::ranges::sort(places, [&](std::size_t a, std::size_t b) {
      return std::ranges::lexicographical_compare(at(a), at(b));
    });
    ids_.reserve(ids.size());
    for (const std::size_t i : places) {
      const auto ngram = at(i);
      if (!ids_.empty() && std::ranges::equal(ngram, std::span(ids_).last(order_))) continue;
      ids_.insert(ids_.end(), ngram.begin(), ngram.end());
    }
  }
  std::size_t size() const { return ids_.size() / order_; }
  std::span<const std::int32_t> operator[](std::size_t i) const {
    return std::span(ids_).subspan(i * order_, order_);
  }

 private:
  std::size_t order_;
  std::vector<std::int32_t> ids_;
};

/// What the models together say.
class Together {
 public:
  Together(std::span<const NgramModel> models, std::span<const double> weights)
      : models_(models), weights_(weights), states_(models.size()) {}

  /// The tokens that the next ones are asked after.
  void set_context(std::span<const std::int32_t> context) {
    for (std::size_t i = 0; i < models_.size(); ++i) states_[i] = models_[i].context(context);
  }
  double probability(std::int32_t token) const {
    double p = 0;
    for (std::size_t i = 0; i < models_.size(); ++i)
      p += weights_[i] * std::exp(models_[i].log_prob(states_[i], token));
    return p;
  }

 private:
  std::span<const NgramModel> models_;
  std::span<const double> weights_;
  std::vector<NgramState> states_;
};

void check(std::span<const NgramModel> models, std::span<const double> weights) {
  if (models.empty() || weights.size() != models.size())
    fail<ArgumentError>("merging {} n-gram models by {} weights: there must be one for each", models.size(),
                        weights.size());
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  const bool negative = std::ranges::any_of(weights, [](double w) { return !(w >= 0); });
  if (negative || !(std::abs(sum - 1) <= 1e-6))
    fail<ArgumentError>("merging n-gram models by weights that are negative or add up to {}, not to 1", sum);
  if (!can_merge(models))
    fail<ArgumentError>("n-gram models that do not back off, or end sentences elsewhere, cannot be merged");
}

/// The backoff weight of a context: `first` to `last` are the n-grams that begin with it.
double backoff_of(Together& longer, Together& shorter, std::span<const std::int32_t> context,
                  const Ngrams& ngrams, std::size_t first, std::size_t last) {
  if (first == last) return 0;
  longer.set_context(context);
  shorter.set_context(context.subspan(1));
  double left = 1, left_of_shorter = 1;
  for (std::size_t i = first; i < last; ++i) {
    left -= longer.probability(ngrams[i].back());
    left_of_shorter -= shorter.probability(ngrams[i].back());
  }
  // Where every token is listed, none is left to back off to.
  constexpr double rounding = 1e-12;
  return left > rounding && left_of_shorter > rounding ? std::log(left / left_of_shorter) : 0;
}

}  // namespace

bool can_merge(std::span<const NgramModel> models) {
  return std::ranges::all_of(models, [&](const NgramModel& model) {
    const NgramDescription& about = model.description();
    return about.fallback == NgramFallback::shorter && !gives_scores(about) &&
           about.sentence_end == models.front().description().sentence_end &&
           about.vocab == models.front().description().vocab;
  });
}

void merge(std::span<const NgramModel> models, std::span<const double> weights, NgramSink& sink,
           const NgramProgress& progress) {
  check(models, weights);
  NgramDescription about = models.front().description();
  about.options.reset();
  about.discounts.clear();
  about.method = fmt::format("interpolation of {} models", models.size());
  for (const NgramModel& model : models) about.order = std::max(about.order, model.description().order);
  sink.describe(about);
  std::vector<Ngrams> orders;
  std::vector<std::int64_t> counts;
  for (int order = 1; order <= about.order; ++order) {
    orders.emplace_back(models, order);
    counts.push_back(static_cast<std::int64_t>(orders.back().size()));
  }
  sink.expect(counts);
  const std::int64_t all = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  std::int64_t done = 0;
  Together here(models, weights), longer(models, weights), shorter(models, weights);
  for (int order = 1; order <= about.order; ++order) {
    const Ngrams& ngrams = orders[static_cast<std::size_t>(order - 1)];
    const Ngrams* const next = order < about.order ? &orders[static_cast<std::size_t>(order)] : nullptr;
    sink.begin_order(order, counts[static_cast<std::size_t>(order - 1)]);
    std::size_t follower = 0;  // the first n-gram of the next order that is not behind this one
    for (std::size_t i = 0; i < ngrams.size(); ++i) {
      const auto ngram = ngrams[i];
      const auto context = ngram.first(ngram.size() - 1);
      if (i == 0 || !std::ranges::equal(context, ngrams[i - 1].first(context.size())))
        here.set_context(context);
      const bool begin = ngram.back() == about.vocab;
      const double log_prob =
          begin ? -std::numeric_limits<double>::infinity() : std::log(here.probability(ngram.back()));
      double backoff = 0;
      if (next != nullptr) {
        const std::size_t first = follower;
        while (follower < next->size() && std::ranges::equal((*next)[follower].first(ngram.size()), ngram))
          ++follower;
        backoff = backoff_of(longer, shorter, ngram, *next, first, follower);
      }
      sink.add(ngram, static_cast<float>(log_prob), static_cast<float>(backoff));
      if (progress && ++done % 65536 == 0) progress("merging", done, all);
    }
  }
  sink.finish();
}

}  // namespace gradus::models
