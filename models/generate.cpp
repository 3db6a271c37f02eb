#include "models/generate.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tensor/support/parallel.hpp"

namespace gradus::models {

namespace {

void check(const GenerateOptions& o) {
  if (!(o.temperature >= 0) || o.top_k < 0 || !(o.top_p > 0 && o.top_p <= 1)) {
    fail<ArgumentError>(
        "generate: temperature {}, top_k {}, top_p {}; temperature and top_k must not be negative, top_p "
        "above 0 and at most 1",
        o.temperature, o.top_k, o.top_p);
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

std::int32_t sample(const Tensor& log_probs, const GenerateOptions& options, Rng& rng) {
  check(options);
  const Tensor narrow = log_probs.to(Dtype::f32);
  const std::span<const float> logs = narrow.values<float>();
  std::vector<Candidate> possible;
  possible.reserve(logs.size());
  for (std::size_t i = 0; i < logs.size(); ++i) {
    const auto id = static_cast<std::int32_t>(i);
    if (std::isnan(logs[i]))
      fail<NumericError>("generate: the model gives token {} a probability of NaN", id);
    if (!options.bans(id) && !std::isinf(logs[i])) possible.push_back({id, logs[i]});
  }
  if (possible.empty()) fail<ArgumentError>("generate: every token is banned or impossible");
  if (options.temperature == 0) return std::min_element(possible.begin(), possible.end())->token;
  Likeliest likeliest(std::move(possible));
  std::size_t count = likeliest.size();
  if (options.top_k > 0) count = std::min(count, static_cast<std::size_t>(options.top_k));
  const double most = likeliest[0].log_prob;
  const auto weight = [&](std::size_t i) {
    return std::exp((static_cast<double>(likeliest[i].log_prob) - most) / options.temperature);
  };
  double total = 0;
  if (options.top_k > 0) {
    for (std::size_t i = 0; i < count; ++i) total += weight(i);
  } else {
    total = likeliest.sum([&](const Candidate& candidate) {
      return std::exp((static_cast<double>(candidate.log_prob) - most) / options.temperature);
    });
  }
  if (options.top_p < 1) {
    double reached = 0;
    std::size_t some = 0;
    while (some < count && reached < options.top_p * total) reached += weight(some++);
    count = some;
    total = reached;
  }
  double left = rng.uniform() * total;
  for (std::size_t i = 0; i < count; ++i) {
    left -= weight(i);
    if (left < 0) return likeliest[i].token;
  }
  return likeliest[count - 1].token;
}

std::vector<std::int32_t> sample_each(const Tensor& log_probs, const GenerateOptions& options,
                                      std::span<Rng> rngs) {
  check(options);
  if (log_probs.rank() != 2 || log_probs.dim(0) != std::ssize(rngs)) {
    fail<ShapeError>("generate: log-probabilities of shape {} for {} texts", log_probs.shape(), rngs.size());
  }
  constexpr std::int64_t work_of_a_token = 16;
  std::vector<std::int32_t> out(rngs.size());
  parallel::for_each(log_probs.dim(0), work_of_a_token * log_probs.dim(1), [&](std::int64_t i) {
    out[static_cast<std::size_t>(i)] = sample(log_probs[i], options, rngs[static_cast<std::size_t>(i)]);
  });
  return out;
}

namespace detail {

void check_prompt(std::span<const std::int32_t> prompt) {
  if (prompt.empty())
    fail<ArgumentError>("generate: a prompt of at least one token is needed, such as the line end");
}

void GeneratedText::add(std::int32_t token) {
  tokens_.push_back(token);
  if (options_->stops_at(token) && !options_->stops_at(before_) && ++stops_ >= options_->stop_count)
    ended_ = true;
  before_ = token;
}

}  // namespace detail
}  // namespace gradus::models
