#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <type_traits>
#include <vector>

#include "models/erased_model.hpp"
#include "models/evaluate.hpp"
#include "models/generate.hpp"
#include "models/language_model.hpp"
#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"

namespace gradus::test {

/// Two ways to one log-probability, up to rounding.
inline bool agree(double a, double b, double slack) {
  return a == b || std::abs(a - b) <= slack;
}

/// What every language model must hold of the states after each token of a text: the distribution sums to
/// one, and all that is said of single tokens is said by it. Returns log p of each token but the first.
template <models::LanguageModel M>
std::vector<double> check_states(const M& model, const std::vector<std::int32_t>& text, double slack) {
  std::vector<double> out;
  auto state = model.start();
  for (std::size_t i = 0; i < text.size(); ++i) {
    INFO("token " << i);
    const Tensor log_probs = model.log_probs(state);
    REQUIRE(log_probs.shape() == Shape{model.vocab_size()});
    REQUIRE(log_probs.dtype() == Dtype::f32);
    double total = 0;
    for (const float log_prob : log_probs.values<float>()) {
      REQUIRE(log_prob <= 1e-6f);
      total += std::exp(static_cast<double>(log_prob));
    }
    REQUIRE(total == Approx(1).epsilon(1e-5));
    if (i > 0) out.push_back(log_probs.at(text[i]));

    const std::int32_t vocab = model.vocab_size();
    for (std::int32_t token = 0; token < vocab; token += 1 + vocab / 7)
      REQUIRE(agree(models::log_prob(model, state, token), log_probs.at(token), slack));
    const auto likeliest = models::top_k(model, state, 5), expected = models::top_k(log_probs, 5);
    REQUIRE(likeliest.size() == expected.size());
    for (std::size_t k = 0; k < expected.size(); ++k) {
      REQUIRE(likeliest[k].token == expected[k].token);
      REQUIRE(likeliest[k].log_prob == expected[k].log_prob);
    }
    Rng rng(i);
    REQUIRE(std::isfinite(log_probs.at(models::draw(model, state, {}, rng))));
    state = model.advance(state, text[i]);
  }
  return out;
}

/// Whether two models say the same, to the last bit.
template <models::LanguageModel A, models::LanguageModel B>
void check_identical(const A& a, const B& b, const std::vector<std::int32_t>& text) {
  auto x = a.start();
  auto y = b.start();
  for (const std::int32_t token : text) {
    REQUIRE(identical(a.log_probs(x), b.log_probs(y)));
    REQUIRE(models::log_prob(a, x, token) == models::log_prob(b, y, token));
    x = a.advance(x, token);
    y = b.advance(y, token);
  }
  CHECK(models::score(a, text) == models::score(b, text));
  const std::span first = std::span(text).first(1);
  for (const models::GenerateOptions& how :
       {models::GenerateOptions{.max_tokens = 30}, models::GenerateOptions{.max_tokens = 30, .banned = {0}},
        models::GenerateOptions{.max_tokens = 30, .temperature = 0.7, .top_k = 9},
        models::GenerateOptions{
            .max_tokens = 30, .repetition_penalty = 1.5, .min_p = 0.01, .typical_p = 0.9}})
    CHECK(models::generate(a, first, how) == models::generate(b, first, how));
}

/// What every language model must hold, over a text of its vocabulary. `slack` is the rounding allowed
/// between two ways to one log-probability.
template <models::LanguageModel M>
void language_model_battery(const std::string& name, const M& model, const std::vector<std::int32_t>& text,
                            double slack) {
  INFO(name);
  const std::vector<double> stepped = check_states(model, text, slack);

  // The state carried along equals the one rebuilt from scratch, and advancing leaves a state as it was.
  for (const std::size_t count : {std::size_t{1}, std::size_t{2}, std::size_t{7}, text.size() / 2}) {
    auto rebuilt = model.start();
    for (std::size_t i = 0; i < count; ++i) rebuilt = model.advance(rebuilt, text[i]);
    const Tensor before = model.log_probs(rebuilt);
    CHECK(static_cast<double>(before.at(text[count])) == Approx(stepped[count - 1]).epsilon(0).margin(1e-12));
    const auto once = model.advance(rebuilt, text[0]), again = model.advance(rebuilt, text[0]);
    CHECK(identical(model.log_probs(once), model.log_probs(again)));
    CHECK(identical(model.log_probs(rebuilt), before));
  }

  // The score of token i is what the model said after tokens 0..i-1 and before seeing it: the target is the
  // input shifted by one.
  const std::vector<double> scores = models::score(model, text);
  REQUIRE(scores.size() == text.size() - 1);
  double total = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    INFO("token " << i + 1);
    total += scores[i];
    if (std::isinf(stepped[i])) {
      CHECK(std::isinf(scores[i]));
    } else {
      REQUIRE(scores[i] == Approx(stepped[i]).epsilon(0).margin(slack));
    }
  }
  // What comes later changes nothing before it.
  std::vector<std::int32_t> other = text;
  const std::size_t changed = text.size() / 2;
  for (std::size_t i = changed; i < other.size(); ++i) other[i] = (other[i] + 1) % model.vocab_size();
  const std::vector<double> other_scores = models::score(model, other);
  for (std::size_t i = 0; i + 1 < changed; ++i) {
    if (!std::isinf(scores[i])) CHECK(other_scores[i] == Approx(scores[i]).epsilon(0).margin(slack));
  }
  // The state after scored tokens is the one after reading them.
  auto scored = model.start();
  models::score(model, scored, std::span(text).first(changed));
  if (!std::isinf(stepped[changed - 1]))
    CHECK(models::log_prob(model, scored, text[changed]) ==
          Approx(stepped[changed - 1]).epsilon(0).margin(slack));
  // So is the one after tokens that are read together.
  const auto together = models::advance(model, model.advance(model.start(), text[0]),
                                        std::span<const std::int32_t>(text).subspan(1, changed - 1));
  if (!std::isinf(stepped[changed - 1]))
    CHECK(models::log_prob(model, together, text[changed]) ==
          Approx(stepped[changed - 1]).epsilon(0).margin(slack));

  // States that are asked together say what each says.
  const std::vector<typename M::State> asked{model.start(), model.advance(model.start(), text[0]), together};
  const Tensor rows = models::log_probs_each(model, std::span<const typename M::State>(asked));
  REQUIRE(rows.shape() == Shape{3, model.vocab_size()});
  for (std::int64_t i = 0; i < 3; ++i) {
    const Tensor row = rows[i], alone = model.log_probs(asked[static_cast<std::size_t>(i)]);
    for (std::int32_t token = 0; token < model.vocab_size(); ++token)
      REQUIRE(agree(row.at(token), alone.at(token), slack + 1e-5));
  }
  CHECK(models::log_probs_each(model, std::span<const typename M::State>()).shape() ==
        Shape{0, model.vocab_size()});

  // A text's score is the sum of its conditionals, and perplexity is its exponential per token.
  const models::Evaluation result = models::evaluate(model, text, 10);
  if (std::isinf(total)) {
    CHECK(std::isinf(result.perplexity()));
  } else {
    CHECK(result.log_prob == Approx(total).epsilon(1e-12));
    CHECK(result.perplexity() == Approx(std::exp(-total / static_cast<double>(scores.size()))));
  }

  // The same seed draws the same text; another seed another.
  models::GenerateOptions how{.max_tokens = 50, .seed = 3};
  const std::vector<std::int32_t> first{text.front()};
  const auto drawn = models::generate(model, first, how);
  CHECK(drawn.size() == 50);
  CHECK(models::generate(model, first, how) == drawn);
  how.seed = 4;
  CHECK(models::generate(model, first, how) != drawn);

  // Behind one type it says and does the same.
  if constexpr (!std::is_same_v<M, models::ErasedModel>)
    check_identical(model, models::ErasedModel(model), text);
}

}  // namespace gradus::test
