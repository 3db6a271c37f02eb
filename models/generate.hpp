#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/language_model.hpp"
#include "tensor/random.hpp"

namespace gradus::models {

struct GenerateOptions {
  std::int64_t max_tokens = 100;
  double temperature = 1;  // the log-probabilities are divided by it; 0: always the likeliest token
  std::int64_t top_k = 0;  // draws from the k likeliest tokens only; 0: from all
  double top_p = 1;        // draws from the fewest tokens that together reach p (Holtzman et al. 2020)
  std::uint64_t seed = 1;
  std::vector<std::int32_t> banned = {};  // never drawn, such as "<unk>"
  std::int32_t stop = -1;  // ends the text when it has been drawn `stop_count` times, each behind
                           // another token: blank lines are not counted
  std::int64_t stop_count = 1;
  std::vector<std::int32_t> other_stops = {};  // that count as `stop` does, such as "\n\n" among subwords

  bool bans(std::int32_t token) const;
  bool stops_at(std::int32_t token) const;
  /// Whether tokens are drawn with the model's own probabilities, apart from those that are banned.
  bool keeps_probabilities() const { return temperature == 1 && top_k == 0 && top_p == 1; }
};

/// Draws one token from log-probabilities, (vocab). Throws ArgumentError for options out of range or when
/// everything is banned, NumericError for NaN.
std::int32_t sample(const Tensor& log_probs, const GenerateOptions& options, Rng& rng);
/// The k likeliest tokens (at most vocab) of log-probabilities, (vocab), the likeliest first, and of
/// equals those of lower ids. Throws ArgumentError for k < 0.
std::vector<Candidate> top_k(const Tensor& log_probs, std::int64_t k);

/// The k likeliest tokens after a state, as above.
template <LanguageModel M>
std::vector<Candidate> top_k(const M& model, const typename M::State& state, std::int64_t k) {
  if constexpr (requires { model.top_k(state, k); }) {
    return model.top_k(state, k);
  } else {
    return top_k(model.log_probs(state), k);
  }
}

/// Draws the token after a state, as `sample` does.
template <LanguageModel M>
std::int32_t draw(const M& model, const typename M::State& state, const GenerateOptions& options, Rng& rng) {
  if constexpr (requires { model.draw(state, options, rng); }) {
    return model.draw(state, options, rng);
  } else {
    return sample(model.log_probs(state), options, rng);
  }
}

/// Reads the prompt and goes on from there; the same seed gives the same tokens. The prompt, of at least one
/// token, is not part of the result.
template <LanguageModel M>
std::vector<std::int32_t> generate(const M& model, std::span<const std::int32_t> prompt,
                                   const GenerateOptions& options) {
  if (prompt.empty())
    fail<ArgumentError>("generate: a prompt of at least one token is needed, such as the line end");
  Rng rng(options.seed);
  std::vector<std::int32_t> out;
  auto state = advance(model, model.start(), prompt);
  std::int32_t before = prompt.back();
  for (std::int64_t stops = 0; std::ssize(out) < options.max_tokens; before = out.back()) {
    out.push_back(draw(model, state, options, rng));
    if (options.stops_at(out.back()) && !options.stops_at(before) && ++stops >= options.stop_count) break;
    if (std::ssize(out) < options.max_tokens) state = model.advance(state, out.back());
  }
  return out;
}

}  // namespace gradus::models
