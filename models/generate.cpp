#include "models/generate.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

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
  for (std::size_t i = 0; i < logs.size(); ++i) {
    const auto id = static_cast<std::int32_t>(i);
    if (std::isnan(logs[i]))
      fail<NumericError>("generate: the model gives token {} a probability of NaN", id);
    if (!options.bans(id) && !std::isinf(logs[i])) possible.push_back({id, logs[i]});
  }
  if (possible.empty()) fail<ArgumentError>("generate: every token is banned or impossible");
  if (options.temperature == 0) return std::min_element(possible.begin(), possible.end())->token;
  std::sort(possible.begin(), possible.end());
  if (options.top_k > 0 && std::ssize(possible) > options.top_k)
    possible.resize(static_cast<std::size_t>(options.top_k));
  const double most = possible.front().log_prob;
  std::vector<double> weights;
  for (const Candidate& candidate : possible)
    weights.push_back(std::exp((static_cast<double>(candidate.log_prob) - most) / options.temperature));
  double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  if (options.top_p < 1) {
    double reached = 0;
    std::size_t count = 0;
    while (count < weights.size() && reached < options.top_p * total) reached += weights[count++];
    weights.resize(count);
    total = reached;
  }
  double left = rng.uniform() * total;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    left -= weights[i];
    if (left < 0) return possible[i].token;
  }
  return possible[weights.size() - 1].token;
}

}  // namespace gradus::models
