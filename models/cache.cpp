#include "models/cache.hpp"

#include <cmath>

namespace gradus::models {

CacheModel::CacheModel(std::int32_t vocab, std::int64_t length) : vocab_(vocab), length_(length) {
  if (vocab < 1 || length < 1)
    fail<ArgumentError>("a cache of the last {} tokens over a vocabulary of {}: both must be at least 1",
                        length, vocab);
}

void CacheModel::check(std::int32_t token) const {
  if (token < 0 || token >= vocab_)
    fail<ArgumentError>("a cache model: token {} is not in 0..{}", token, vocab_ - 1);
}

CacheModel::State CacheModel::advance(const State& state, std::int32_t token) const {
  check(token);
  State next = state;
  if (std::ssize(next.recent) == length_) next.recent.erase(next.recent.begin());
  next.recent.push_back(token);
  return next;
}

Tensor CacheModel::log_probs(const State& state) const {
  if (state.recent.empty()) return full({vocab_}, -std::log(static_cast<double>(vocab_)));
  std::vector<float> out(static_cast<std::size_t>(vocab_), 0);
  for (const std::int32_t seen : state.recent) out[static_cast<std::size_t>(seen)] += 1;
  const auto total = static_cast<double>(state.recent.size());
  for (float& x : out) x = static_cast<float>(std::log(static_cast<double>(x) / total));
  return Tensor::from(out, {vocab_});
}

/// Counts the cached tokens once, and then keeps the counts up to date.
std::vector<double> CacheModel::score(State& state, std::span<const std::int32_t> tokens) const {
  std::vector<std::int32_t>& text = state.recent;  // the cached tokens stand in [oldest, end)
  std::size_t oldest = 0;
  std::vector<std::int64_t> counts(static_cast<std::size_t>(vocab_));
  for (const std::int32_t token : text) ++counts[static_cast<std::size_t>(token)];
  std::vector<double> out;
  for (const std::int32_t token : tokens) {
    check(token);
    std::int64_t& count = counts[static_cast<std::size_t>(token)];
    const auto held = static_cast<double>(text.size() - oldest);
    out.push_back(held == 0 ? -std::log(static_cast<double>(vocab_))
                            : std::log(static_cast<double>(count) / held));
    if (static_cast<std::int64_t>(text.size() - oldest) == length_)
      --counts[static_cast<std::size_t>(text[oldest++])];
    ++count;
    text.push_back(token);
  }
  text.erase(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(oldest));
  return out;
}

}  // namespace gradus::models
