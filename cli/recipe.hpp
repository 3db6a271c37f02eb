#pragma once

#include <string>

#include "cli/progress.hpp"
#include "models/kinds.hpp"
#include "models/train.hpp"
#include "text/corpus.hpp"

namespace gradus::cli {

/// How a network of a kind is made and trained when the user says nothing else.
struct Recipe {
  models::NetworkOptions network;
  models::TrainOptions train;
};

/// The kind's defaults, with the epochs and the batch chosen by the size of the training text. `context`:
/// that of a transformer, whose updates see whole ones; 0: the kind's.
Recipe recipe(const models::NetworkKind& kind, const Corpus& corpus, std::int64_t context = 0);

/// Shows how far a training run is, and the perplexity so far.
models::TrainReport training_reporter(Progress& progress);

/// Throws DataError, naming `name`, when the training part is shorter than one batch of a network.
void require_batch(const Corpus& corpus, const std::string& name);

}  // namespace gradus::cli
