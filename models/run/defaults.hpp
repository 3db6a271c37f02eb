#pragma once

#include <cstdint>
#include <string>

#include "models/kinds.hpp"
#include "models/run/config.hpp"
#include "models/train.hpp"
#include "text/vocabulary.hpp"

namespace gradus::models {

/// How a network of a kind is made and trained when the user says nothing else.
struct Recipe {
  NetworkOptions network;
  TrainOptions train;
};

/// The kind's defaults for the unit, with the epochs and the batch chosen by the number of tokens to train
/// on. `context`: that of a transformer, whose updates see whole ones; 0: the kind's.
Recipe recipe(const NetworkKind& kind, const Vocabulary& vocabulary, std::int64_t tokens,
              std::int64_t context = 0);

/// The configuration with all that is left open decided for a network, but for training.evaluate_every and
/// log_every, which depend on how the text is cut (Trainer). Throws ArgumentError, naming the setting, for
/// one that is of other kinds of models.
RunConfig resolved(const RunConfig& config, const NetworkKind& kind, const Vocabulary& vocabulary,
                   std::int64_t tokens);

/// Takes over what a trained model is, `options` and the token that ends its documents, to go on with it
/// (start.from). Throws ArgumentError for a setting that says otherwise.
void take_model(RunConfig& config, const NetworkKind& kind, const NetworkOptions& options,
                const Vocabulary& vocabulary);

/// The network's options of a resolved configuration. Throws DataError for a document_end that is no token.
NetworkOptions network_options(const RunConfig& config, const Vocabulary& vocabulary);

}  // namespace gradus::models
