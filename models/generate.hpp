#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "models/language_model.hpp"
#include "tensor/random.hpp"

namespace gradus::models {

struct GenerateOptions {
  std::int64_t max_tokens = 100;
  double temperature = 1;  // 0: always the likeliest
  std::int64_t top_k = 0;  // only the k likeliest; 0: all
  double top_p = 1;        // only the fewest that together reach p (Holtzman et al. 2020)
  std::uint64_t seed = 1;
  std::vector<std::int32_t> banned = {};  // never drawn, such as "<unk>"
  std::int32_t stop = -1;                 // ends the text when drawn `stop_count` times
  std::int64_t stop_count = 1;
};

/// Draws one token from log-probabilities. Throws ArgumentError for options out of range or when everything
/// is banned, NumericError for NaN.
std::int32_t sample(const Tensor& log_probs, const GenerateOptions& options, Rng& rng);

namespace detail {

/// Whether a draw from the model's own probabilities is what the options ask for.
inline bool plain(const GenerateOptions& o) {
  return o.temperature == 1 && o.top_k == 0 && o.top_p == 1;
}

/// A draw of the model's own, anew while it is banned; -1 where that does not come to an end.
template <class M, class State>
std::int32_t draw(const M& model, const State& state, const GenerateOptions& options, Rng& rng) {
  constexpr int most_attempts = 1000;
  for (int attempt = 0; attempt < most_attempts; ++attempt) {
    const std::int32_t token = model.sample(state, rng);
    if (std::find(options.banned.begin(), options.banned.end(), token) == options.banned.end()) return token;
  }
  return -1;
}

}  // namespace detail

/// Reads the prompt and goes on from there; the same seed gives the same tokens. The prompt, of at least one
/// token, is not part of the result. A model with a way to draw that needs no whole distribution has members
/// `sample(state, rng)` and `after(state, token)`.
template <LanguageModel M>
std::vector<std::int32_t> generate(const M& model, std::span<const std::int32_t> prompt,
                                   const GenerateOptions& options) {
  if (prompt.empty())
    fail<ArgumentError>("generate: a prompt of at least one token is needed, such as the line end");
  Rng rng(options.seed);
  std::vector<std::int32_t> out;
  std::int64_t stops = 0;
  const auto ends_with = [&](std::int32_t token) {
    out.push_back(token);
    return (token == options.stop && ++stops >= options.stop_count) ||
           static_cast<std::int64_t>(out.size()) >= options.max_tokens;
  };
  if (options.max_tokens <= 0) return out;
  if constexpr (requires(typename M::State state) {
                  state = model.after(state, std::int32_t{});
                  { model.sample(state, rng) } -> std::same_as<std::int32_t>;
                }) {
    if (detail::plain(options)) {
      auto state = model.start();
      for (const std::int32_t token : prompt) state = model.after(state, token);
      for (;;) {
        std::int32_t token = detail::draw(model, state, options, rng);
        if (token < 0) token = sample(model.distribution(state), options, rng);
        if (ends_with(token)) return out;
        state = model.after(state, token);
      }
    }
  }
  auto step = model.step(model.start(), prompt.front());
  for (const std::int32_t token : prompt.subspan(1)) step = model.step(step.state, token);
  for (;;) {
    const std::int32_t token = sample(step.log_probs, options, rng);
    if (ends_with(token)) return out;
    step = model.step(step.state, token);
  }
}

}  // namespace gradus::models
