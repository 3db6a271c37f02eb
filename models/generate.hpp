#pragma once

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

/// Reads the prompt and goes on from there; the same seed gives the same tokens. The prompt, of at least one
/// token, is not part of the result.
template <LanguageModel M>
std::vector<std::int32_t> generate(const M& model, std::span<const std::int32_t> prompt,
                                   const GenerateOptions& options) {
  if (prompt.empty())
    fail<ArgumentError>("generate: a prompt of at least one token is needed, such as the line end");
  Rng rng(options.seed);
  auto step = model.step(model.start(), prompt.front());
  for (const std::int32_t token : prompt.subspan(1)) step = model.step(step.state, token);
  std::vector<std::int32_t> out;
  std::int64_t stops = 0;
  while (static_cast<std::int64_t>(out.size()) < options.max_tokens) {
    const std::int32_t token = sample(step.log_probs, options, rng);
    out.push_back(token);
    if (token == options.stop && ++stops >= options.stop_count) break;
    step = model.step(step.state, token);
  }
  return out;
}

}  // namespace gradus::models
