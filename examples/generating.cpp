// Generating text: what comes next, drawing within limits, searching for the likeliest, writing until a stop.
#include <cmath>
#include <cstdio>
#include <memory>
#include <string>

#include "gradus.hpp"

using namespace gradus;

int main() {
  const Corpus corpus = make_corpus(synthetic_corpus(1, 60'000).text);
  const Vocabulary& vocab = corpus.vocabulary;
  const models::NgramModel model(corpus.train.tokens, static_cast<std::int32_t>(vocab.size()),
                                 {.order = 4, .sentence_end = vocab.line_end()});
  const std::vector<std::int32_t> prompt{vocab.line_end(), vocab.id("the"), vocab.id("king")};

  const auto state = models::advance(model, model.start(), std::span<const std::int32_t>(prompt));
  for (const models::Candidate& next : models::top_k(model, state, 3))
    std::printf("%.3f %s\n", std::exp(next.log_prob), vocab.symbol(next.token).c_str());

  models::GenerateOptions how{.max_tokens = 30, .temperature = 0.9, .min_p = 0.02};
  how.banned = {vocab.unknown()};
  how.repetition_penalty = 1.3;  // log-probabilities of what was written lately are multiplied by it
  how.stop = vocab.line_end();
  std::printf("drawn:  %s", decode(vocab, models::generate(model, prompt, how)).c_str());

  const models::GenerateOptions limits{.max_tokens = 30, .banned = how.banned, .stop = how.stop};
  for (const models::BeamText& text : models::beam_search(model, prompt, limits, {.beams = 3}))
    std::printf("%.2f a token:  %s", text.score, decode(vocab, text.tokens).c_str());

  // A text may end at anything that can be said of it, and be shown while it is written.
  how.until = [&](std::span<const std::int32_t> text) {
    std::printf("%s ", vocab.symbol(text.back()).c_str());
    return text.size() >= 3 && text.back() == vocab.id("the");
  };
  models::generate(model, prompt, how);
  std::printf("\n");

  // Only what an expression matches.
  models::GenerateOptions answer{.max_tokens = 20, .banned = how.banned};
  answer.constraint = std::make_shared<const models::Constraint>(
      models::TextAutomaton::of_expression("the (king|queen)( [a-z]+){1,3}"), vocab,
      std::vector{vocab.line_end()});
  std::printf("%s\n", decode(vocab, models::generate(model, prompt, answer)).c_str());

  // What the search says of a text is what the model says of it.
  const models::BeamText best = models::beam_search(model, prompt, limits).front();
  auto read = state;
  double total = 0;
  for (const double log_prob : models::score(model, read, best.tokens)) total += log_prob;
  return std::abs(total - best.log_prob) < 1e-4 ? 0 : 1;
}
