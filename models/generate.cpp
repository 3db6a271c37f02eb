#include "models/generate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "tensor/support/parallel.hpp"

namespace gradus::models {

namespace {

void check(const GenerateOptions& o) {
  const auto share = [](double p) { return p > 0 && p <= 1; };
  if (!(o.temperature >= 0) || o.top_k < 0 || !share(o.top_p) || !share(o.typical_p)) {
    fail<ArgumentError>(
        "generate: temperature {}, top_k {}, top_p {}, typical_p {}; temperature and top_k must not be "
        "negative, top_p and typical_p above 0 and at most 1",
        o.temperature, o.top_k, o.top_p, o.typical_p);
  }
  if (!(o.min_p >= 0 && o.min_p <= 1) || !(o.repetition_penalty > 0 && std::isfinite(o.repetition_penalty)) ||
      o.repetition_window < 0) {
    fail<ArgumentError>(
        "generate: min_p {}, repetition_penalty {}, repetition_window {}; min_p must be from 0 to 1, the "
        "penalty above 0 and finite, the window not negative",
        o.min_p, o.repetition_penalty, o.repetition_window);
  }
}

/// Candidates in order, the likeliest first, of which only as many are sorted as are asked for: a draw from
/// fifty thousand tokens ends among the first of them almost always.
class Likeliest {
 public:
  explicit Likeliest(std::vector<Candidate> all) : all_(std::move(all)) {}

  std::size_t size() const { return all_.size(); }
  const Candidate& operator[](std::size_t i) {
    while (i >= sorted_) sort_more();
    return all_[i];
  }
  /// The sum of f over all of them.
  template <class F>
  double sum(const F& f) const {
    return std::accumulate(all_.begin(), all_.end(), 0.0,
                           [&](double before, const Candidate& candidate) { return before + f(candidate); });
  }

 private:
  void sort_more() {
    const std::size_t wanted = std::min(all_.size(), std::max<std::size_t>(64, 4 * sorted_));
    const auto at = [&](std::size_t i) { return all_.begin() + static_cast<std::ptrdiff_t>(i); };
    if (wanted < all_.size()) std::nth_element(at(sorted_), at(wanted), all_.end());
    std::sort(at(sorted_), at(wanted));
    sorted_ = wanted;
  }

  std::vector<Candidate> all_;
  std::size_t sorted_ = 0;
};

}  // namespace

bool GenerateOptions::bans(std::int32_t token) const {
  return std::find(banned.begin(), banned.end(), token) != banned.end();
}

bool GenerateOptions::stops_at(std::int32_t token) const {
  return token == stop || std::find(other_stops.begin(), other_stops.end(), token) != other_stops.end();
}

std::vector<Candidate> top_k(const Tensor& log_probs, std::int64_t k) {
  if (k < 0) fail<ArgumentError>("the {} likeliest tokens of a language model", k);
  std::vector<Candidate> out;
  const Tensor narrow = log_probs.to(Dtype::f32);
  for (const float log_prob : narrow.values<float>())
    out.push_back({static_cast<std::int32_t>(out.size()), log_prob});
  const auto count = std::min(k, std::ssize(out));
  std::partial_sort(out.begin(), out.begin() + count, out.end());
  out.resize(static_cast<std::size_t>(count));
  return out;
}

namespace {

/// The tokens that may be drawn, with their log-probabilities.
std::vector<Candidate> possible_tokens(std::span<const float> logs, const GenerateOptions& options,
                                       std::span<const std::int32_t> text) {
  std::vector<Candidate> out;
  out.reserve(logs.size());
  std::vector<std::int32_t> seen;
  if (options.repetition_penalty != 1) {
    const auto window = static_cast<std::size_t>(options.repetition_window);
    const auto recent = window == 0 || window >= text.size() ? text : text.last(window);
    seen.assign(recent.begin(), recent.end());
    std::ranges::sort(seen);
  }
  for (std::size_t i = 0; i < logs.size(); ++i) {
    const auto id = static_cast<std::int32_t>(i);
    if (std::isnan(logs[i]))
      fail<NumericError>("generate: the model gives token {} a probability of NaN", id);
    if (options.bans(id) || std::isinf(logs[i])) continue;
    const bool penalized = !seen.empty() && std::ranges::binary_search(seen, id);
    out.push_back({id, penalized ? static_cast<float>(logs[i] * options.repetition_penalty) : logs[i]});
  }
  if (out.empty()) fail<ArgumentError>("generate: every token is banned or impossible");
  return out;
}

/// What is drawn from: the first `count` of the candidates, with their weights' sum.
struct Choice {
  std::size_t count;
  double total;
};

/// The fewest candidates whose weights reach a share of the total, in the order of `weight`.
template <class Weight>
Choice fewest(const Choice& from, double share, const Weight& weight) {
  Choice out{0, 0};
  while (out.count < from.count && out.total < share * from.total) out.total += weight(out.count++);
  return out;
}

/// One of the first candidates, in proportion to their weights.
template <class Weight>
std::size_t drawn(const Choice& from, Rng& rng, const Weight& weight) {
  double left = rng.uniform() * from.total;
  for (std::size_t i = 0; i < from.count; ++i) {
    left -= weight(i);
    if (left < 0) return i;
  }
  return from.count - 1;
}

/// A draw from those of the choice that are typical.
template <class Weight>
std::size_t drawn_typical(const Choice& from, double share, Rng& rng, const Weight& weight) {
  double entropy = 0;
  for (std::size_t i = 0; i < from.count; ++i) {
    const double p = weight(i) / from.total;
    if (p > 0) entropy -= p * std::log(p);
  }
  std::vector<std::pair<double, std::size_t>> order;  // by distance, then by rank
  for (std::size_t i = 0; i < from.count; ++i)
    order.emplace_back(std::abs(-std::log(weight(i) / from.total) - entropy), i);
  std::ranges::sort(order);
  const auto in_order = [&](std::size_t i) { return weight(order[i].second); };
  return order[drawn(fewest(from, share, in_order), rng, in_order)].second;
}

}  // namespace

std::int32_t sample(const Tensor& log_probs, const GenerateOptions& options, Rng& rng,
                    std::span<const std::int32_t> text) {
  check(options);
  const Tensor narrow = log_probs.to(Dtype::f32);
  std::vector<Candidate> possible = possible_tokens(narrow.values<float>(), options, text);
  if (options.temperature == 0) return std::min_element(possible.begin(), possible.end())->token;
  Likeliest likeliest(std::move(possible));
  const double most = likeliest[0].log_prob;
  const auto weight_of = [&](const Candidate& candidate) {
    return std::exp((static_cast<double>(candidate.log_prob) - most) / options.temperature);
  };
  const auto weight = [&](std::size_t i) { return weight_of(likeliest[i]); };
  Choice from{likeliest.size(), 0};
  if (options.top_k > 0) {
    from.count = std::min(from.count, static_cast<std::size_t>(options.top_k));
    for (std::size_t i = 0; i < from.count; ++i) from.total += weight(i);
  } else {
    from.total = likeliest.sum(weight_of);
  }
  if (options.top_p < 1) from = fewest(from, options.top_p, weight);
  if (options.min_p > 0) {
    Choice likely{0, 0};
    while (likely.count < from.count && weight(likely.count) >= options.min_p)
      likely.total += weight(likely.count++);
    from = likely;
  }
  const std::size_t rank =
      options.typical_p < 1 ? drawn_typical(from, options.typical_p, rng, weight) : drawn(from, rng, weight);
  return likeliest[rank].token;
}

std::vector<std::int32_t> sample_each(const Tensor& log_probs, const GenerateOptions& options,
                                      std::span<Rng> rngs,
                                      std::span<const std::span<const std::int32_t>> texts) {
  check(options);
  if (!texts.empty() && texts.size() != rngs.size())
    fail<ArgumentError>("generate: {} texts and {} generators", texts.size(), rngs.size());
  if (log_probs.rank() != 2 || log_probs.dim(0) != std::ssize(rngs)) {
    fail<ShapeError>("generate: log-probabilities of shape {} for {} texts", log_probs.shape(), rngs.size());
  }
  constexpr std::int64_t work_of_a_token = 16;
  std::vector<std::int32_t> out(rngs.size());
  parallel::for_each(log_probs.dim(0), work_of_a_token * log_probs.dim(1), [&](std::int64_t i) {
    const auto at = static_cast<std::size_t>(i);
    out[at] =
        sample(log_probs[i], options, rngs[at], texts.empty() ? std::span<const std::int32_t>() : texts[at]);
  });
  return out;
}

namespace detail {

void check_prompt(std::span<const std::int32_t> prompt) {
  if (prompt.empty())
    fail<ArgumentError>("generate: a prompt of at least one token is needed, such as the line end");
}

GeneratedText::GeneratedText(std::span<const std::int32_t> prompt, const GenerateOptions& options)
    : options_(&options), prompt_(prompt.size()), text_(prompt.begin(), prompt.end()) {
  if (!options.constraint) return;
  position_ = options.constraint->start();
  next_ = options.constraint->next(position_);
  ended_ = !next_->goes_on;
}

bool GeneratedText::allows(std::int32_t token) const {
  if (!next_) return true;
  const auto id = static_cast<std::size_t>(token);
  const bool goes_on = id < next_->allowed.size() && next_->allowed[id];
  return goes_on || (next_->complete && options_->constraint->is_end(token));
}

Tensor allowed_log_probs(const Tensor& log_probs, const GeneratedText& text) {
  if (!text.is_constrained()) return log_probs;
  Tensor out = log_probs.to(Dtype::f32);
  auto values = out.mutable_values<float>();
  for (std::int32_t id = 0; id < out.size(); ++id) {
    if (!text.allows(id)) values[static_cast<std::size_t>(id)] = -std::numeric_limits<float>::infinity();
  }
  return out;
}

void GeneratedText::add(std::int32_t token) {
  const auto id = static_cast<std::size_t>(token);
  if (next_ && (id >= next_->allowed.size() || !next_->allowed[id])) {
    ended_ = true;  // a token that ends a complete text is no part of it
    return;
  }
  const std::int32_t before = text_.back();
  text_.push_back(token);
  if (options_->stops_at(token) && !options_->stops_at(before) && ++stops_ >= options_->stop_count)
    ended_ = true;
  if (options_->until && options_->until(tokens())) ended_ = true;
  if (!next_) return;
  position_ = options_->constraint->after(position_, token);
  next_ = options_->constraint->next(position_);
  if (!next_->goes_on) ended_ = true;
}

}  // namespace detail
}  // namespace gradus::models
