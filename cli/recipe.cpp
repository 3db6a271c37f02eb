#include "cli/recipe.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace gradus::cli {

namespace {

constexpr std::int64_t steps_of_recurrent = 64;
constexpr std::int64_t warmup_of_transformers = 100;  // updates

}  // namespace

Recipe recipe(const models::NetworkKind& kind, const Corpus& corpus, std::int64_t context) {
  const Unit unit = corpus.vocabulary.unit();
  const bool words = unit == Unit::word || unit == Unit::subword;
  const models::NetworkDefaults& defaults = words ? kind.words : kind.characters;
  const auto size = std::max<std::int64_t>(std::ssize(corpus.train.tokens), 1);
  Recipe out;
  out.network = {.vocab = corpus.vocabulary.size(),
                 .embedding = defaults.embedding,
                 .width = defaults.width,
                 .layers = defaults.layers,
                 .dropout = defaults.dropout,
                 .order = defaults.order,
                 .heads = defaults.heads,
                 .context = context > 0 ? context : defaults.context};
  const std::int64_t steps = kind.is_transformer ? out.network.context : steps_of_recurrent;
  // A short text is cut into fewer streams, so that each has some length.
  out.train.batch = std::clamp<std::int64_t>(size / (10 * steps), 1, 32);
  out.train.steps = steps;
  out.train.epochs = std::clamp<std::int64_t>(defaults.tokens / size, 1, 30);
  out.train.lr = defaults.lr;
  if (kind.is_transformer) out.train.warmup = warmup_of_transformers;
  return out;
}

models::TrainReport training_reporter(Progress& progress) {
  return [&progress](const models::TrainProgress& p) {
    progress.update(p.step, p.steps, fmt::format("perplexity {:.2f}", std::exp(p.loss)));
  };
}

void require_batch(const Corpus& corpus, const std::string& name) {
  if (corpus.train.tokens.size() > static_cast<std::size_t>(steps_of_recurrent)) return;
  fail<DataError>("{}: {} {}s to train on are less than one batch; give a text with at least {}", name,
                  corpus.train.tokens.size(), name_of(corpus.vocabulary.unit()), steps_of_recurrent + 1);
}

}  // namespace gradus::cli
