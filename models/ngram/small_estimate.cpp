#include "models/ngram/small_estimate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gradus::models::ngram {

namespace {

constexpr double impossible = -std::numeric_limits<double>::infinity();

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

/// Sentences, each begun by the begin symbol and followed by a stop (-1) that no n-gram crosses.
std::vector<std::int32_t> with_borders(std::span<const std::int32_t> tokens, std::int32_t begin,
                                       std::int32_t sentence_end) {
  std::vector<std::int32_t> out{begin};
  bool open = true;
  for (const std::int32_t token : tokens) {
    if (!open) out.push_back(begin);
    out.push_back(token);
    open = token != sentence_end;
    if (!open) out.push_back(-1);
  }
  if (open) out.push_back(-1);
  return out;
}

}  // namespace

SmallEstimate::SmallEstimate(std::span<const std::int32_t> tokens, std::int32_t vocab,
                             const NgramOptions& options)
    : vocab_(vocab), options_(options) {
  if (options.order < 1 || options.order > NgramModel::max_order)
    fail<ArgumentError>("an n-gram model of order {}: orders are 1 to {}", options.order,
                        NgramModel::max_order);
  if (!(options.k >= 0)) fail<ArgumentError>("add-k with k = {}: it must not be negative", options.k);
  if (tokens.empty()) fail<ArgumentError>("an n-gram model of no tokens: the training text is empty");
  for (const std::int32_t token : tokens) {
    if (token < 0 || token >= vocab)
      fail<ArgumentError>("an n-gram model: token {} is not in 0..{}", token, vocab - 1);
  }
  count(tokens);
  if (options.method == NgramMethod::kneser_ney) {
    adjust_counts();
    estimate_kneser_ney();
  } else {
    estimate_by_counts();
  }
}

/// One sort of all places by what follows them gives the n-grams of every order, sorted, with their counts.
void SmallEstimate::count(std::span<const std::int32_t> tokens) {
  const std::vector<std::int32_t> text = with_borders(tokens, begin_symbol(), options_.sentence_end);
  const auto order = static_cast<std::size_t>(options_.order);
  std::vector<std::uint32_t> places;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] >= 0) places.push_back(static_cast<std::uint32_t>(i));
  }
  std::sort(places.begin(), places.end(), [&](std::uint32_t a, std::uint32_t b) {
    for (std::size_t n = 0; n < order; ++n) {
      const std::int32_t x = text[a + n], y = text[b + n];
      if (x != y) return x < y;
      if (x < 0) break;
    }
    return false;
  });

  levels_.resize(order);
  std::vector<std::int32_t> last(order, -2);
  for (const std::uint32_t place : places) {
    bool fresh = false;
    for (std::size_t n = 0; n < order; ++n) {
      const std::int32_t token = text[place + n];
      if (token < 0) break;
      Level& level = levels_[n];
      fresh |= token != last[n];
      if (fresh) {
        level.token.push_back(token);
        level.count.push_back(0);
        level.first_child.push_back(n + 1 < order ? levels_[n + 1].size() : 0);
        last[n] = token;
        if (n + 1 < order) last[n + 1] = -2;
      }
      level.count.back() += 1;
    }
  }
  for (std::size_t n = 0; n < order; ++n) {
    levels_[n].first_child.push_back(n + 1 < order ? levels_[n + 1].size() : 0);
    levels_[n].prob.assign(levels_[n].token.size(), impossible);
    levels_[n].backoff.assign(levels_[n].token.size(), 0);
  }
}

/// The lower orders count the different tokens an n-gram follows, not how often it stands (Chen and Goodman
/// 1998, eq. 24); one that begins a sentence follows nothing and keeps its count (Heafield et al. 2013, 3.2).
void SmallEstimate::adjust_counts() {
  for (int order = 1; order < options_.order; ++order) {
    Level& level = levels_[at(order - 1)];
    std::vector<double> adjusted(level.token.size(), 0);
    for_each_ngram(order, [&](std::span<const std::int32_t> ngram, std::int64_t i) {
      if (ngram.front() == begin_symbol()) adjusted[at(i)] = level.count[at(i)];
    });
    for_each_ngram(order + 1, [&](std::span<const std::int32_t> ngram, std::int64_t) {
      adjusted[at(find(ngram.subspan(1)))] += 1;
    });
    level.count = std::move(adjusted);
  }
}

/// Chen and Goodman 1998, eq. 26: D_k = k - (k + 1) Y t_{k+1} / t_k with Y = t_1 / (t_1 + 2 t_2), t_k being
/// the number of n-grams with count k.
Discounts SmallEstimate::estimate_discounts(const Level& level) const {
  std::array<double, 5> t{};
  for (std::int64_t i = 0; i < level.size(); ++i) {
    if (&level == &levels_.front() && level.token[at(i)] == begin_symbol()) continue;
    const double c = level.count[at(i)];
    if (c >= 1 && c <= 4) t[static_cast<std::size_t>(c)] += 1;
  }
  Discounts out;
  const double y = t[1] / (t[1] + 2 * t[2]);
  for (std::size_t k = 1; k <= 3; ++k) {
    const double d = static_cast<double>(k) - static_cast<double>(k + 1) * y * t[k + 1] / t[k];
    if (!(d >= 0 && d <= static_cast<double>(k))) return {{0.5, 1, 1.5}, true};
    out.amount[k - 1] = d;
  }
  return out;
}

/// Every id gets a unigram, and so does the begin symbol.
void SmallEstimate::add_unseen_unigrams() {
  const Level& unigrams = levels_.front();
  Level all;
  std::int64_t from = 0;
  for (std::int32_t token = 0; token <= vocab_; ++token) {
    const bool seen = from < unigrams.size() && unigrams.token[at(from)] == token;
    all.token.push_back(token);
    all.count.push_back(seen && token != begin_symbol() ? unigrams.count[at(from)] : 0);
    all.first_child.push_back(unigrams.first_child[at(from)]);
    from += seen;
  }
  all.first_child.push_back(unigrams.first_child.back());
  all.prob.assign(all.token.size(), impossible);
  all.backoff.assign(all.token.size(), 0);
  levels_.front() = std::move(all);
}

void SmallEstimate::estimate_kneser_ney() {
  for (const Level& level : levels_) discounts_.push_back(estimate_discounts(level));
  const auto discount = [&](int order, double count) {
    if (count <= 0) return 0.0;
    return discounts_[at(order - 1)].amount[static_cast<std::size_t>(std::min(count, 3.0)) - 1];
  };

  // Unigrams, interpolated with the uniform distribution over the vocabulary (Heafield et al. 2013, eq. 3).
  add_unseen_unigrams();
  Level& unigrams = levels_.front();
  double total = 0, taken = 0;
  for (const double c : unigrams.count) {
    total += c;
    taken += discount(1, c);
  }
  const double uniform = taken / total / vocab_;
  for (std::int64_t i = 0; i < vocab_; ++i) {
    const double c = unigrams.count[at(i)];
    unigrams.prob[at(i)] = std::log((c - discount(1, c)) / total + uniform);
  }

  // p(w | h) = (c(h w) - D(c(h w))) / c(h) + gamma(h) p(w | h without its first token)   (eq. 2)
  for (int order = 2; order <= options_.order; ++order) {
    Level& level = levels_[at(order - 1)];
    Level& contexts = levels_[at(order - 2)];
    for (std::int64_t i = 0; i < contexts.size(); ++i) {
      double sum = 0, freed = 0;
      for (std::int64_t j = contexts.first_child[at(i)]; j < contexts.first_child[at(i + 1)]; ++j) {
        sum += level.count[at(j)];
        freed += discount(order, level.count[at(j)]);
      }
      if (sum > 0) contexts.backoff[at(i)] = std::log(freed / sum);  // gamma(h)
      for (std::int64_t j = contexts.first_child[at(i)]; j < contexts.first_child[at(i + 1)]; ++j) {
        const double c = level.count[at(j)];
        level.prob[at(j)] = (c - discount(order, c)) / sum;  // the rest follows below
      }
    }
    std::int64_t parent = 0;
    for_each_ngram(order, [&](std::span<const std::int32_t> ngram, std::int64_t i) {
      while (contexts.first_child[at(parent + 1)] <= i) ++parent;
      const double gamma = std::exp(contexts.backoff[at(parent)]);
      level.prob[at(i)] = std::log(level.prob[at(i)] + gamma * std::exp(lower_prob(ngram.subspan(1))));
    });
  }
}

/// log p of an n-gram's last token after the others, by backing off.
double SmallEstimate::lower_prob(std::span<const std::int32_t> ngram) const {
  double weight = 0;
  for (std::size_t skip = 0; skip < ngram.size(); ++skip) {
    const std::span<const std::int32_t> h = ngram.subspan(skip, ngram.size() - 1 - skip);
    const std::int64_t entry = h.empty() ? -1 : find(h);
    if (!h.empty() && entry < 0) continue;
    const auto length = static_cast<int>(h.size());
    const std::int64_t child = find_child(length, entry, ngram.back());
    if (child >= 0) return weight + levels_[h.size()].prob[at(child)];
    if (entry >= 0) weight += levels_[at(length - 1)].backoff[at(entry)];
  }
  return impossible;
}

/// Ratios of counts: c(h w) / c(h), or with k added to each c(h w).
void SmallEstimate::estimate_by_counts() {
  add_unseen_unigrams();
  const double k = options_.method == NgramMethod::add_k ? options_.k : 0;
  const auto estimate = [&](Level& level, std::int64_t begin, std::int64_t end) {
    double total = 0;
    for (std::int64_t j = begin; j < end; ++j) total += level.count[at(j)];
    for (std::int64_t j = begin; j < end; ++j) {
      if (&level != &levels_.front() || level.token[at(j)] != begin_symbol())
        level.prob[at(j)] = std::log((level.count[at(j)] + k) / (total + k * vocab_));
    }
    return total > 0 ? std::log(k * vocab_ / (total + k * vocab_)) : 0.0;  // of the words not seen
  };
  estimate(levels_.front(), 0, levels_.front().size());
  for (std::size_t n = 1; n < levels_.size(); ++n) {
    Level& contexts = levels_[n - 1];
    for (std::int64_t i = 0; i < contexts.size(); ++i) {
      contexts.backoff[at(i)] =
          estimate(levels_[n], contexts.first_child[at(i)], contexts.first_child[at(i + 1)]);
    }
  }
}

void SmallEstimate::write_to(NgramSink& sink) const {
  NgramDescription d{
      .order = options_.order, .vocab = vocab_, .sentence_end = options_.sentence_end, .method = {}};
  switch (options_.method) {
    case NgramMethod::kneser_ney:
      d.method = "interpolated modified Kneser-Ney";
      break;
    case NgramMethod::add_k:
      d.method = fmt::format("add-k, k = {}", options_.k);
      d.fallback = NgramFallback::uniform;
      break;
    case NgramMethod::maximum_likelihood:
      d.method = "maximum likelihood";
      d.fallback = NgramFallback::nothing;
      break;
  }
  sink.describe(d);
  for (int order = 1; order <= options_.order; ++order) {
    const Level& level = levels_[at(order - 1)];
    sink.begin_order(order, level.size());
    for_each_ngram(order, [&](std::span<const std::int32_t> ngram, std::int64_t i) {
      sink.add(ngram, static_cast<float>(level.prob[at(i)]), static_cast<float>(level.backoff[at(i)]));
    });
  }
  sink.finish();
}

std::int64_t SmallEstimate::find_child(int order, std::int64_t parent, std::int32_t token) const {
  const Level& level = levels_[at(order)];
  std::int64_t begin = 0, end = level.size();
  if (order > 0) {
    begin = levels_[at(order - 1)].first_child[at(parent)];
    end = levels_[at(order - 1)].first_child[at(parent + 1)];
  }
  const auto first = level.token.begin() + begin, last = level.token.begin() + end;
  const auto found = std::lower_bound(first, last, token);
  return found != last && *found == token ? found - level.token.begin() : -1;
}

std::int64_t SmallEstimate::find(std::span<const std::int32_t> ngram) const {
  std::int64_t entry = -1;
  for (std::size_t n = 0; n < ngram.size(); ++n) {
    entry = find_child(static_cast<int>(n), entry, ngram[n]);
    if (entry < 0) return -1;
  }
  return entry;
}

}  // namespace gradus::models::ngram
