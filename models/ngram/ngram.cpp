#include "models/ngram/ngram.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gradus::models {

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

NgramModel::NgramModel(std::span<const std::int32_t> tokens, std::int32_t vocab, const NgramOptions& options)
    : vocab_(vocab), options_(options) {
  if (options.order < 1) fail<ArgumentError>("an n-gram model of order {}: orders begin at 1", options.order);
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

NgramModel::NgramModel(std::vector<std::vector<Entry>> orders, std::int32_t vocab, std::int32_t sentence_end)
    : vocab_(vocab) {
  options_ = {.order = static_cast<int>(orders.size()), .sentence_end = sentence_end};
  levels_.resize(orders.size());
  for (std::size_t n = 0; n < orders.size(); ++n) {
    std::vector<Entry>& entries = orders[n];
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return a.ngram < b.ngram; });
    Level& level = levels_[n];
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (i > 0 && entries[i].ngram == entries[i - 1].ngram)
        fail<ArgumentError>("a {}-gram is listed twice", n + 1);
      level.token.push_back(entries[i].ngram.back());
      level.prob.push_back(entries[i].log_prob);
      level.backoff.push_back(entries[i].backoff);
      level.count.push_back(0);
    }
    level.first_child.assign(level.token.size() + 1, 0);
    if (n == 0) continue;
    // Both orders are sorted alike, so each context's continuations stand together.
    Level& contexts = levels_[n - 1];
    const std::vector<Entry>& parents = orders[n - 1];
    std::size_t next = 0;
    for (std::size_t i = 0; i < parents.size(); ++i) {
      contexts.first_child[i] = static_cast<std::int64_t>(next);
      while (next < entries.size() &&
             std::equal(parents[i].ngram.begin(), parents[i].ngram.end(), entries[next].ngram.begin())) {
        ++next;
      }
    }
    contexts.first_child.back() = static_cast<std::int64_t>(next);
    if (next != entries.size())
      fail<ArgumentError>("a {}-gram is there whose context of {} is not", n + 1, n);
  }
  // Every id has a unigram, so that every token has a probability.
  if (levels_.empty() || levels_.front().size() != vocab + 1) {
    fail<ArgumentError>("{} unigrams for a vocabulary of {} and the begin symbol",
                        levels_.empty() ? 0 : levels_.front().size(), vocab);
  }
}

/// One sort of all places by what follows them gives the n-grams of every order, sorted, with their counts.
void NgramModel::count(std::span<const std::int32_t> tokens) {
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
void NgramModel::adjust_counts() {
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
Discounts NgramModel::estimate_discounts(const Level& level) const {
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

void NgramModel::estimate_kneser_ney() {
  for (const Level& level : levels_) discounts_.push_back(estimate_discounts(level));
  const auto discount = [&](int order, double count) {
    if (count <= 0) return 0.0;
    return discounts_[at(order - 1)].amount[static_cast<std::size_t>(std::min(count, 3.0)) - 1];
  };

  // Unigrams, interpolated with the uniform distribution over the vocabulary (Heafield et al. 2013, eq. 3).
  Level& unigrams = levels_.front();
  double total = 0, taken = 0;
  for (std::int64_t i = 0; i < unigrams.size(); ++i) {
    if (unigrams.token[at(i)] == begin_symbol()) continue;
    total += unigrams.count[at(i)];
    taken += discount(1, unigrams.count[at(i)]);
  }
  const double uniform = taken / total / vocab_;
  // Every id gets an entry, seen or not.
  Level all;
  std::int64_t from = 0;
  for (std::int32_t token = 0; token <= vocab_; ++token) {
    const bool seen = from < unigrams.size() && unigrams.token[at(from)] == token;
    const double c = seen && token != begin_symbol() ? unigrams.count[at(from)] : 0;
    all.token.push_back(token);
    all.count.push_back(c);
    all.first_child.push_back(unigrams.first_child[at(from)]);
    all.prob.push_back(token == begin_symbol() ? impossible
                                               : std::log((c - discount(1, c)) / total + uniform));
    all.backoff.push_back(0);
    from += seen;
  }
  all.first_child.push_back(unigrams.first_child.back());
  unigrams = std::move(all);

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
double NgramModel::lower_prob(std::span<const std::int32_t> ngram) const {
  const State state{std::vector<std::int32_t>(ngram.begin(), ngram.end() - 1)};
  return log_prob(state, ngram.back());
}

void NgramModel::estimate_by_counts() {
  Level& unigrams = levels_.front();
  for (std::int64_t i = 0; i < unigrams.size(); ++i) {
    if (unigrams.token[at(i)] != begin_symbol()) unigram_total_ += unigrams.count[at(i)];
  }
}

double NgramModel::context_total(int order, std::int64_t entry) const {
  if (order == 0) return unigram_total_;
  const Level& level = levels_[at(order - 1)];
  double total = 0;
  for (std::int64_t j = level.first_child[at(entry)]; j < level.first_child[at(entry + 1)]; ++j) {
    total += levels_[at(order)].count[at(j)];
  }
  return total;
}

std::int64_t NgramModel::find_child(int order, std::int64_t parent, std::int32_t token) const {
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

std::int64_t NgramModel::find(std::span<const std::int32_t> ngram) const {
  std::int64_t entry = -1;
  for (std::size_t n = 0; n < ngram.size(); ++n) {
    entry = find_child(static_cast<int>(n), entry, ngram[n]);
    if (entry < 0) return -1;
  }
  return entry;
}

NgramModel::State NgramModel::start() const {
  return after({}, begin_symbol());
}

NgramModel::State NgramModel::after(const State& state, std::int32_t token) const {
  if (token == options_.sentence_end && options_.sentence_end >= 0) return start();
  State next = state;
  next.context.push_back(token);
  const auto keep = static_cast<std::size_t>(options_.order - 1);
  if (next.context.size() > keep)
    next.context.erase(next.context.begin(), next.context.end() - static_cast<std::ptrdiff_t>(keep));
  return next;
}

double NgramModel::log_prob(const State& state, std::int32_t token) const {
  const std::span<const std::int32_t> context(state.context);
  double weight = 0;
  for (std::size_t skip = 0; skip <= context.size(); ++skip) {
    const std::span<const std::int32_t> h = context.subspan(skip);
    const int length = static_cast<int>(h.size());
    const std::int64_t entry = h.empty() ? -1 : find(h);
    if (options_.method == NgramMethod::add_k) {
      if (!h.empty() && entry < 0) return -std::log(static_cast<double>(vocab_));  // (0 + k) / (0 + k V)
      const std::int64_t child = find_child(length, entry, token);
      const double c = child < 0 ? 0 : levels_[at(length)].count[at(child)];
      return std::log((c + options_.k) / (context_total(length, entry) + options_.k * vocab_));
    }
    if (!h.empty() && entry < 0) continue;
    if (length < static_cast<int>(levels_.size())) {
      const std::int64_t child = find_child(length, entry, token);
      if (options_.method == NgramMethod::maximum_likelihood) {
        const double total = context_total(length, entry);
        if (total == 0) continue;  // seen, but only at the end of the text
        return child < 0 ? impossible : std::log(levels_[at(length)].count[at(child)] / total);
      }
      if (child >= 0) return weight + levels_[at(length)].prob[at(child)];
    }
    if (entry >= 0) weight += levels_[at(length - 1)].backoff[at(entry)];
  }
  return impossible;
}

Tensor NgramModel::distribution(const State& state) const {
  Tensor out = Tensor::uninitialized({vocab_});
  float* const to = out.mutable_data<float>();
  if (options_.method != NgramMethod::kneser_ney) {
    for (std::int32_t token = 0; token < vocab_; ++token)
      to[token] = static_cast<float>(log_prob(state, token));
    return out;
  }
  // From the shortest context to the longest: each scales what the shorter ones say and sets what it has
  // seen.
  std::vector<double> probs(at(vocab_));
  for (std::int32_t token = 0; token < vocab_; ++token) probs[at(token)] = levels_.front().prob[at(token)];
  const std::span<const std::int32_t> context(state.context);
  for (std::size_t length = 1; length <= context.size(); ++length) {
    const std::int64_t entry = find(context.last(length));
    if (entry < 0) break;
    const Level& level = levels_[length - 1];
    const double gamma = level.backoff[at(entry)];
    for (double& p : probs) p += gamma;
    if (length == levels_.size()) break;
    for (std::int64_t j = level.first_child[at(entry)]; j < level.first_child[at(entry + 1)]; ++j) {
      const std::int32_t token = levels_[length].token[at(j)];
      if (token != begin_symbol()) probs[at(token)] = levels_[length].prob[at(j)];
    }
  }
  std::transform(probs.begin(), probs.end(), to, [](double p) { return static_cast<float>(p); });
  return out;
}

Step<NgramModel::State> NgramModel::step(const State& state, std::int32_t token) const {
  State next = after(state, token);
  Tensor log_probs = distribution(next);
  return {std::move(next), std::move(log_probs)};
}

std::vector<double> NgramModel::score(std::span<const std::int32_t> tokens) const {
  std::vector<double> out;
  if (tokens.empty()) return out;
  State state = after(start(), tokens.front());
  for (std::size_t i = 1; i < tokens.size(); ++i) {
    out.push_back(log_prob(state, tokens[i]));
    state = after(state, tokens[i]);
  }
  return out;
}

std::vector<std::int64_t> NgramModel::counts() const {
  std::vector<std::int64_t> out;
  for (const Level& level : levels_) out.push_back(level.size());
  return out;
}

}  // namespace gradus::models
