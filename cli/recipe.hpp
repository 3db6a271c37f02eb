#pragma once

#include <cstdint>
#include <string>

#include "models/networks.hpp"
#include "models/train.hpp"
#include "text/corpus.hpp"

namespace gradus::cli {

/// How a neural model of a kind is made and trained when the user says nothing else.
struct Recipe {
  models::NetworkOptions network;
  models::TrainOptions train;
};

/// kind: "feed-forward", "rnn" or "lstm"; throws ArgumentError for another. Sized by the vocabulary and the
/// training text, so that a demo ends within minutes on two cores.
Recipe recipe(const std::string& kind, const Corpus& corpus);

/// Throws DataError, naming `name`, when the training part is shorter than one batch of a network.
void require_batch(const Corpus& corpus, const std::string& name);

}  // namespace gradus::cli
