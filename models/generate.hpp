#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "models/constraint/constraint.hpp"
#include "models/language_model.hpp"
#include "tensor/ops/movement.hpp"
#include "tensor/random.hpp"

namespace gradus::models {

/// What may be drawn is limited by each option in the order in which they stand here, of what those before
/// left; the value of each here leaves the model's probabilities as they are.
struct GenerateOptions {
  std::int64_t max_tokens = 100;
  /// Multiplies the log-probability of each token that is among the last `repetition_window` of the text, the
  /// prompt's included: above 1 makes it rarer, below 1 more frequent (Keskar et al. 2019).
  double repetition_penalty = 1;
  std::int64_t repetition_window = 64;  // 0: the whole text
  double temperature = 1;  // the log-probabilities are divided by it; 0: always the likeliest token
  std::int64_t top_k = 0;  // draws from the k likeliest tokens only; 0: from all
  double top_p = 1;        // draws from the fewest tokens that together reach p (Holtzman et al. 2020)
  double min_p = 0;  // draws from tokens at least min_p times as likely as the likeliest (Nguyen et al. 2024)
  /// Draws from the fewest tokens that together reach p, those first whose -log p is nearest to its mean, the
  /// entropy (Meister et al. 2023).
  double typical_p = 1;
  std::uint64_t seed = 1;
  std::uint64_t stream = 0;               // of the seed's random numbers; of several texts, that of the first
  std::int64_t batch = 64;                // of several texts, how many are written side by side
  std::vector<std::int32_t> banned = {};  // never drawn, such as "<unk>"
  std::int32_t stop = -1;  // ends the text when it has been drawn `stop_count` times, each behind
                           // another token: blank lines are not counted
  std::int64_t stop_count = 1;
  std::vector<std::int32_t> other_stops = {};  // that count as `stop` does, such as "\n\n" among subwords
  /// Called after each token with the text so far, without the prompt; true ends it.
  std::function<bool(std::span<const std::int32_t> text)> until = {};
  /// Before all of these: what texts there may be, such as those that a regular expression matches.
  std::shared_ptr<const Constraint> constraint = {};

  bool bans(std::int32_t token) const;
  /// Whether what may be drawn depends on the model's state alone, and not on the text before.
  bool keeps_to_states() const { return repetition_penalty == 1 && !constraint; }
  bool stops_at(std::int32_t token) const;
  /// Whether tokens are drawn with the model's own probabilities, apart from those that are banned.
  bool keeps_probabilities() const {
    return temperature == 1 && top_k == 0 && top_p == 1 && min_p == 0 && typical_p == 1 &&
           repetition_penalty == 1;
  }
};

/// Draws one token from log-probabilities, (vocab); `text` is what stands before it, for the penalty of
/// repetition. Throws ArgumentError for options out of range or when everything is banned, NumericError for
/// NaN.
std::int32_t sample(const Tensor& log_probs, const GenerateOptions& options, Rng& rng,
                    std::span<const std::int32_t> text = {});
/// The same for each row of (texts, vocab), with a generator of its own and, unless there are none, a text.
std::vector<std::int32_t> sample_each(const Tensor& log_probs, const GenerateOptions& options,
                                      std::span<Rng> rngs,
                                      std::span<const std::span<const std::int32_t>> texts = {});
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

/// The same after each of several states, with a generator of its own for each.
template <LanguageModel M>
std::vector<std::int32_t> draw_each(const M& model, std::span<const typename M::State> states,
                                    const GenerateOptions& options, std::span<Rng> rngs) {
  if (states.size() != rngs.size())
    fail<ArgumentError>("draw_each: {} states and {} generators", states.size(), rngs.size());
  if constexpr (requires { model.draw_each(states, options, rngs); }) {
    return model.draw_each(states, options, rngs);
  } else {
    std::vector<std::int32_t> out;
    for (std::size_t i = 0; i < states.size(); ++i) out.push_back(draw(model, states[i], options, rngs[i]));
    return out;
  }
}

namespace detail {

/// Throws ArgumentError for a prompt without a token.
void check_prompt(std::span<const std::int32_t> prompt);

/// A text that is being written.
class GeneratedText {
 public:
  GeneratedText(std::span<const std::int32_t> prompt, const GenerateOptions& options);
  /// One more token, which `allows` it.
  void add(std::int32_t token);
  /// Whether the constraint, if there is one, lets a token come next.
  bool allows(std::int32_t token) const;
  bool is_constrained() const { return next_ != nullptr; }
  bool ended() const { return ended_ || std::ssize(tokens()) >= options_->max_tokens; }
  std::span<const std::int32_t> text() const { return text_; }  // with the prompt
  std::span<const std::int32_t> tokens() const { return text().subspan(prompt_); }
  std::vector<std::int32_t> copy_tokens() const { return {tokens().begin(), tokens().end()}; }

 private:
  const GenerateOptions* options_;
  std::size_t prompt_;
  std::vector<std::int32_t> text_;
  std::int64_t stops_ = 0;
  bool ended_ = false;
  Constraint::Position position_;  // of the constraint, as the next one
  std::shared_ptr<const NextTokens> next_;
};

/// Log-probabilities, (vocab), where those of tokens that the text does not allow are minus infinity.
Tensor allowed_log_probs(const Tensor& log_probs, const GeneratedText& text);

/// The next token of each of several texts.
template <LanguageModel M>
std::vector<std::int32_t> draw_next(const M& model, std::span<const typename M::State> states,
                                    const GenerateOptions& options, std::span<Rng> rngs,
                                    std::span<const GeneratedText> texts) {
  if (options.keeps_to_states()) return draw_each(model, states, options, rngs);
  std::vector<std::span<const std::int32_t>> before;
  for (const GeneratedText& text : texts) before.push_back(text.text());
  Tensor log_probs = log_probs_each(model, states);  // (texts, vocab)
  if (options.constraint) {
    std::vector<Tensor> rows;
    for (std::int64_t i = 0; i < log_probs.dim(0); ++i)
      rows.push_back(allowed_log_probs(log_probs[i], texts[static_cast<std::size_t>(i)]));
    log_probs = stack(rows);
  }
  return sample_each(log_probs, options, rngs, before);
}

}  // namespace detail

/// Reads the prompt and goes on from there; the same seed gives the same tokens. The prompt, of at least one
/// token, is not part of the result.
template <LanguageModel M>
std::vector<std::int32_t> generate(const M& model, std::span<const std::int32_t> prompt,
                                   const GenerateOptions& options) {
  detail::check_prompt(prompt);
  Rng rng(options.seed, options.stream);
  detail::GeneratedText out(prompt, options);
  if (out.ended()) return {};
  for (auto state = advance(model, model.start(), prompt);;) {
    const std::int32_t token =
        options.keeps_to_states()
            ? draw(model, state, options, rng)
            : sample(detail::allowed_log_probs(model.log_probs(state), out), options, rng, out.text());
    out.add(token);
    if (out.ended()) return out.copy_tokens();
    state = model.advance(state, token);
  }
}

/// The same of several prompts of any lengths, each with `count` texts, which stand side by side in the
/// result. Up to options.batch texts are written at once, where the model reads several states together
/// (advance_each); one that ends leaves the batch and another takes its place. A prompt is read once for all
/// of its texts. Throws ArgumentError for a prompt without a token, a batch or a count below 1.
///
/// Text i draws from stream options.stream + i of the seed, and what it is does not depend on the others but
/// by rounding: it is what `generate` of its prompt alone gives with that stream, unless a difference in the
/// last bits of a product, which may be summed in another order for more rows, decides a draw. The same call
/// gives the same texts for any number of threads.
template <LanguageModel M, std::convertible_to<std::span<const std::vector<std::int32_t>>> Prompts>
std::vector<std::vector<std::int32_t>> generate(const M& model, const Prompts& all_prompts,
                                                const GenerateOptions& options, std::int64_t count = 1) {
  const std::span<const std::vector<std::int32_t>> prompts = all_prompts;
  for (const std::vector<std::int32_t>& prompt : prompts) detail::check_prompt(prompt);
  if (options.batch < 1 || count < 1)
    fail<ArgumentError>("generate: {} texts of each prompt, {} at once; both must be at least 1", count,
                        options.batch);
  const std::size_t each = static_cast<std::size_t>(count), total = each * prompts.size();
  std::vector<std::vector<std::int32_t>> out(total);
  if (options.max_tokens < 1) return out;
  if (detail::GeneratedText({}, options).ended()) return out;  // nothing may be written
  // What is being written: entry i of each is of one text.
  std::vector<std::size_t> places;
  std::vector<detail::GeneratedText> texts;
  std::vector<typename M::State> states;
  std::vector<Rng> rngs;
  std::optional<typename M::State> read;  // after the prompt of the last that began
  for (std::size_t begun = 0;;) {
    for (; begun < total && std::ssize(places) < options.batch; ++begun) {
      const std::vector<std::int32_t>& prompt = prompts[begun / each];
      if (begun % each == 0) read = advance(model, model.start(), std::span<const std::int32_t>(prompt));
      places.push_back(begun);
      texts.emplace_back(prompt, options);
      states.push_back(*read);
      rngs.emplace_back(options.seed, options.stream + begun);
    }
    if (places.empty()) return out;
    std::vector<std::int32_t> tokens =
        detail::draw_next<M>(model, states, options, std::span(rngs), std::span(texts));
    std::size_t kept = 0;
    for (std::size_t i = 0; i < places.size(); ++i) {
      texts[i].add(tokens[i]);
      if (texts[i].ended()) {
        out[places[i]] = texts[i].copy_tokens();
        continue;
      }
      if (kept < i) {
        places[kept] = places[i];
        texts[kept] = std::move(texts[i]);
        states[kept] = std::move(states[i]);
        rngs[kept] = rngs[i];
        tokens[kept] = tokens[i];
      }
      ++kept;
    }
    const auto drop = [kept](auto& all) {
      all.erase(all.begin() + static_cast<std::ptrdiff_t>(kept), all.end());
    };
    drop(places);
    drop(texts);
    drop(states);
    drop(rngs);
    drop(tokens);
    advance_each(model, std::span(states), std::span<const std::int32_t>(tokens));
  }
}

}  // namespace gradus::models
