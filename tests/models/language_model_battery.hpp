#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "models/evaluate.hpp"
#include "models/generate.hpp"
#include "models/language_model.hpp"
#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"

namespace gradus::test {

/// What every language model must hold, over a text of its vocabulary. `slack` is the rounding allowed
/// between two ways to one log-probability.
template <LanguageModel M>
void language_model_battery(const std::string& name, const M& model, const std::vector<std::int32_t>& text,
                            double slack) {
  INFO(name);
  const auto follow = [&](std::size_t count) {
    auto step = model.step(model.start(), text.front());
    for (std::size_t i = 1; i < count; ++i) step = model.step(step.state, text[i]);
    return step;
  };

  // The distribution sums to one, wherever it is asked for, and no probability is above 1.
  auto step = model.step(model.start(), text.front());
  std::vector<double> stepped;
  for (std::size_t i = 1; i < text.size(); ++i) {
    REQUIRE(step.log_probs.shape() == Shape{model.vocab_size()});
    double total = 0;
    for (const float log_prob : step.log_probs.template values<float>()) {
      REQUIRE(log_prob <= 1e-6f);
      total += std::exp(static_cast<double>(log_prob));
    }
    REQUIRE(total == Approx(1).epsilon(1e-5));
    stepped.push_back(step.log_probs.at(text[i]));
    step = model.step(step.state, text[i]);
  }

  // The state carried along equals the one rebuilt from scratch, and stepping leaves a state as it was.
  for (const std::size_t count : {std::size_t{1}, std::size_t{2}, std::size_t{7}, text.size() / 2}) {
    const auto rebuilt = follow(count);
    CHECK(static_cast<double>(rebuilt.log_probs.at(text[count])) ==
          Approx(stepped[count - 1]).epsilon(0).margin(1e-12));
    const auto kept = rebuilt.state;
    const auto once = model.step(kept, text[0]), again = model.step(kept, text[0]);
    CHECK(identical(once.log_probs, again.log_probs));
  }

  // The score of token i is what the model said after tokens 0..i-1 and before seeing it: the target is the
  // input shifted by one.
  const std::vector<double> scores = score(model, text);
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
  const std::vector<double> other_scores = score(model, other);
  for (std::size_t i = 0; i + 1 < changed; ++i) {
    if (!std::isinf(scores[i])) CHECK(other_scores[i] == Approx(scores[i]).epsilon(0).margin(slack));
  }

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
}

}  // namespace gradus::test
