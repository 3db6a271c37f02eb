#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "models/generate.hpp"
#include "models/language_model.hpp"

namespace gradus::models {

struct BeamOptions {
  std::int64_t beams = 4;  // texts that are followed at a time
  /// Texts are ranked by log-probability / length^length_penalty (Wu et al. 2016 with their simpler form of
  /// the length): 0 for the likeliest, which favours short ones, 1 for the likeliest a token.
  double length_penalty = 1;
};

/// A text that a search found, without the prompt.
struct BeamText {
  std::vector<std::int32_t> tokens;
  double log_prob = 0;  // in nats
  double score = 0;     // what it is ranked by
};

namespace detail {

/// A text that is being followed, or that has ended.
struct Beam {
  GeneratedText text;
  double log_prob = 0;
};

/// A text and the token that would come behind it.
struct BeamStep {
  std::size_t beam;
  std::int32_t token;
  double log_prob;  // of all

  /// Likelier, and of equals what comes first.
  bool operator<(const BeamStep& other) const {
    if (log_prob != other.log_prob) return log_prob > other.log_prob;
    return beam != other.beam ? beam < other.beam : token < other.token;
  }
};

/// Throws ArgumentError for options out of range, and for those of drawing.
void check_beam_search(const GenerateOptions& limits, const BeamOptions& options);
/// The likeliest steps of all texts, as many as are followed, by rows of log-probabilities, (texts, vocab).
/// Throws NumericError for NaN.
std::vector<BeamStep> likeliest_steps(const Tensor& log_probs, std::span<const Beam> beams,
                                      const GenerateOptions& limits, std::int64_t count);

/// The texts that have ended, the best first, at most so many.
class FinishedBeams {
 public:
  explicit FinishedBeams(const BeamOptions& options) : options_(&options) {}
  void add(const Beam& beam);
  /// Whether no text that is followed can get better than the worst here: its log-probability only falls, and
  /// its length is at most `longest`.
  bool beats(double best_log_prob, std::int64_t longest) const;
  std::vector<BeamText> texts() && { return std::move(texts_); }

 private:
  double score(double log_prob, std::int64_t length) const {
    // A text that ended at once, by a constraint, counts as one token.
    return log_prob /
           std::pow(static_cast<double>(std::max<std::int64_t>(length, 1)), options_->length_penalty);
  }

  const BeamOptions* options_;
  std::vector<BeamText> texts_;
};

}  // namespace detail

/// The best texts behind a prompt that a beam search finds, the best first, at most options.beams of them. A
/// text ends as one of `generate` does, by limits.stop and the like, or at limits.max_tokens; the search ends
/// when no text that is still followed can become better than those found. Of the limits it reads max_tokens,
/// banned, stop, stop_count, other_stops, until and constraint. All texts are read together where the model
/// can (advance_each, log_probs_each); the same call gives the same texts. Throws ArgumentError for beams
/// below 1, a penalty that is negative or not finite, options of drawing that are not neutral, or a prompt
/// without a token; NumericError for NaN.
template <LanguageModel M>
std::vector<BeamText> beam_search(const M& model, std::span<const std::int32_t> prompt,
                                  const GenerateOptions& limits, const BeamOptions& options = {}) {
  using State = typename M::State;
  detail::check_prompt(prompt);
  detail::check_beam_search(limits, options);
  detail::FinishedBeams finished(options);
  std::vector<detail::Beam> beams{{detail::GeneratedText(prompt, limits), 0}};
  if (beams.front().text.ended()) return {};
  std::vector<State> states{advance(model, model.start(), prompt)};
  while (!beams.empty()) {
    const Tensor log_probs = log_probs_each(model, std::span<const State>(states));
    std::vector<detail::Beam> next;
    std::vector<State> next_states;
    std::vector<std::int32_t> tokens;
    for (const detail::BeamStep& step : detail::likeliest_steps(log_probs, beams, limits, options.beams)) {
      detail::Beam beam{beams[step.beam].text, step.log_prob};
      beam.text.add(step.token);
      if (beam.text.ended()) {
        finished.add(beam);
        continue;
      }
      next.push_back(std::move(beam));
      next_states.push_back(states[step.beam]);
      tokens.push_back(step.token);
    }
    beams = std::move(next);
    states = std::move(next_states);
    if (beams.empty() || finished.beats(beams.front().log_prob, limits.max_tokens)) break;
    advance_each(model, std::span(states), std::span<const std::int32_t>(tokens));
  }
  std::vector<BeamText> found = std::move(finished).texts();
  if (found.empty()) fail<ArgumentError>("beam_search: every token is banned or impossible");
  return found;
}

}  // namespace gradus::models
