#include "cli/recipe.hpp"

#include <algorithm>

namespace gradus::cli {

namespace {
constexpr std::int64_t steps = 64;

/// Epochs so that about `tokens` are read, between 1 and 30.
std::int64_t epochs_for(std::int64_t tokens, const Corpus& corpus) {
  const auto size = static_cast<std::int64_t>(corpus.train.tokens.size());
  return std::clamp<std::int64_t>(tokens / std::max<std::int64_t>(size, 1), 1, 30);
}
}  // namespace

Recipe recipe(const std::string& kind, const Corpus& corpus) {
  const std::int64_t vocab = corpus.vocabulary.size();
  const bool words = corpus.vocabulary.unit() == Unit::word;
  const auto size = static_cast<std::int64_t>(corpus.train.tokens.size());
  Recipe out;
  // A small text has few tokens for each stream.
  out.train.batch = std::clamp<std::int64_t>(size / (10 * steps), 1, 32);
  out.train.steps = steps;
  if (kind == "feed-forward") {
    out.network = {.vocab = vocab, .embedding = words ? 64 : 32, .width = 256, .order = words ? 6 : 8};
    out.train.lr = words ? 2e-3 : 5e-3;
    out.train.epochs = epochs_for(words ? 1'800'000 : 6'000'000, corpus);
  } else if (kind == "rnn") {
    out.network = {.vocab = vocab, .embedding = words ? 96 : 64, .width = 256};
    out.train.lr = words ? 1e-3 : 4e-3;
    out.train.epochs = epochs_for(words ? 2'700'000 : 10'000'000, corpus);
  } else if (kind == "gru" || kind == "lstm") {
    out.network = {.vocab = vocab,
                   .embedding = words ? 96 : 64,
                   .width = words ? 200 : 384,
                   .dropout = words ? 0 : 0.15};
    out.train.lr = words ? 5e-3 : 3e-3;
    out.train.epochs = epochs_for(words ? 4'600'000 : 12'000'000, corpus);
  } else {
    fail<ArgumentError>("'{}' is no kind of model: feed-forward, rnn, gru, lstm or ngram", kind);
  }
  return out;
}

void require_batch(const Corpus& corpus, const std::string& name) {
  if (corpus.train.tokens.size() > static_cast<std::size_t>(steps)) return;
  fail<DataError>("{}: {} {}s to train on are less than one batch; give a text with at least {}", name,
                  corpus.train.tokens.size(), name_of(corpus.vocabulary.unit()), steps + 1);
}

}  // namespace gradus::cli
