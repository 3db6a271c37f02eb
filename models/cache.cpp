#include "models/cache.hpp"

#include <cmath>
#include <limits>

namespace gradus::models {

CacheModel::CacheModel(std::int32_t vocab, std::int64_t length) : vocab_(vocab), length_(length) {
  if (vocab < 1 || length < 1)
    fail<ArgumentError>("a cache of the last {} tokens over a vocabulary of {}: both begin at 1", length,
                        vocab);
}

void CacheModel::check(std::int32_t token) const {
  if (token < 0 || token >= vocab_)
    fail<ArgumentError>("a cache model: token {} is not in 0..{}", token, vocab_ - 1);
}

Step<CacheModel::State> CacheModel::step(const State& state, std::int32_t token) const {
  check(token);
  State next = state;
  if (std::ssize(next.recent) == length_) next.recent.erase(next.recent.begin());
  next.recent.push_back(token);
  std::vector<float> log_probs(static_cast<std::size_t>(vocab_), 0);
  for (const std::int32_t seen : next.recent) log_probs[static_cast<std::size_t>(seen)] += 1;
  const auto total = static_cast<double>(next.recent.size());
  for (float& x : log_probs) x = static_cast<float>(std::log(static_cast<double>(x) / total));
  return {std::move(next), Tensor::from(log_probs, {vocab_})};
}

std::vector<double> CacheModel::score(std::span<const std::int32_t> tokens) const {
  std::vector<double> out;
  std::vector<std::int64_t> counts(static_cast<std::size_t>(vocab_));
  std::int64_t held = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    check(tokens[i]);
    if (i > 0)
      out.push_back(std::log(static_cast<double>(counts[static_cast<std::size_t>(tokens[i])]) /
                             static_cast<double>(held)));
    if (held == length_) {
      --counts[static_cast<std::size_t>(tokens[i - static_cast<std::size_t>(length_)])];
    } else {
      ++held;
    }
    ++counts[static_cast<std::size_t>(tokens[i])];
  }
  return out;
}

}  // namespace gradus::models
