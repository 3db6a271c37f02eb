#include "models/beam.hpp"

#include <cmath>

namespace gradus::models::detail {

void check_beam_search(const GenerateOptions& limits, const BeamOptions& options) {
  if (options.beams < 1 || !(options.length_penalty >= 0 && std::isfinite(options.length_penalty))) {
    fail<ArgumentError>("beam_search: {} beams, a length penalty of {}; at least 1, and 0 or more",
                        options.beams, options.length_penalty);
  }
  if (!limits.keeps_probabilities()) {
    fail<ArgumentError>(
        "beam_search: it draws nothing, so temperature, top_k, top_p, min_p, typical_p and "
        "repetition_penalty must be left at their neutral values");
  }
}

std::vector<BeamStep> likeliest_steps(const Tensor& log_probs, std::span<const Beam> beams,
                                      const GenerateOptions& limits, std::int64_t count) {
  std::vector<BeamStep> steps;
  for (std::size_t b = 0; b < beams.size(); ++b) {
    std::vector<BeamStep> own;
    const Tensor row = log_probs[static_cast<std::int64_t>(b)].to(Dtype::f32);
    for (std::int32_t token = 0; token < row.size(); ++token) {
      const float log_prob = row.data<float>()[token];
      if (std::isnan(log_prob))
        fail<NumericError>("beam_search: the model gives token {} a probability of NaN", token);
      if (std::isinf(log_prob) || limits.bans(token) || !beams[b].text.allows(token)) continue;
      own.push_back({b, token, beams[b].log_prob + static_cast<double>(log_prob)});
    }
    const auto kept = std::min(count, std::ssize(own));
    std::partial_sort(own.begin(), own.begin() + kept, own.end());
    steps.insert(steps.end(), own.begin(), own.begin() + kept);
  }
  std::sort(steps.begin(), steps.end());
  if (std::ssize(steps) > count) steps.resize(static_cast<std::size_t>(count));
  return steps;
}

void FinishedBeams::add(const Beam& beam) {
  BeamText text{beam.text.copy_tokens(), beam.log_prob, 0};
  text.score = score(beam.log_prob, std::ssize(text.tokens));
  const auto place = std::ranges::upper_bound(texts_, text.score, std::greater(), &BeamText::score);
  texts_.insert(place, std::move(text));
  if (std::ssize(texts_) > options_->beams) texts_.pop_back();
}

bool FinishedBeams::beats(double best_log_prob, std::int64_t longest) const {
  return std::ssize(texts_) >= options_->beams && texts_.back().score >= score(best_log_prob, longest);
}

}  // namespace gradus::models::detail
