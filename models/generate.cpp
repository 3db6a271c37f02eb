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

std::vector<Candidate> top_k(const Tensor& log_probs, std::int64_t k) {
  if (k < 0) fail<ArgumentError>("the {} likeliest tokens of a language model", k);
  std::vector<Candidate> out;
  for (const float log_prob : log_probs.values<float>())
    out.push_back({static_cast<std::int32_t>(out.size()), log_prob});
  const auto count = std::min(k, std::ssize(out));
  std::partial_sort(out.begin(), out.begin() + count, out.end());
  out.resize(static_cast<std::size_t>(count));
  return out;
}

std::int32_t sample(const Tensor& log_probs, const GenerateOptions& options, Rng& rng) {
  check(options);
  const std::span<const float> logs = log_probs.values<float>();
  std::vector<std::int32_t> ids;
  for (std::size_t i = 0; i < logs.size(); ++i) {
    const auto id = static_cast<std::int32_t>(i);
    if (std::isnan(logs[i]))
      fail<NumericError>("generate: the model gives token {} a probability of NaN", id);
    if (!options.bans(id) && !std::isinf(logs[i])) ids.push_back(id);
  }
  if (ids.empty()) fail<ArgumentError>("generate: every token is banned or impossible");
  const auto likelier = [&](std::int32_t a, std::int32_t b) {
    const float x = logs[static_cast<std::size_t>(a)], y = logs[static_cast<std::size_t>(b)];
    return x != y ? x > y : a < b;
  };
  if (options.temperature == 0) return *std::min_element(ids.begin(), ids.end(), likelier);
  std::sort(ids.begin(), ids.end(), likelier);
  if (options.top_k > 0 && static_cast<std::int64_t>(ids.size()) > options.top_k) {
    ids.resize(static_cast<std::size_t>(options.top_k));
  }
  const double most = logs[static_cast<std::size_t>(ids.front())];
  std::vector<double> weights;
  for (const std::int32_t id : ids) {
    weights.push_back(
        std::exp((static_cast<double>(logs[static_cast<std::size_t>(id)]) - most) / options.temperature));
  }
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
    if (left < 0) return ids[i];
  }
  return ids[weights.size() - 1];
}

}  // namespace gradus::models
