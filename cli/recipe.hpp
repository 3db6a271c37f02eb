#pragma once

#include "cli/progress.hpp"
#include "models/train.hpp"

namespace gradus::cli {

/// Shows how far a training run is, and the perplexity so far.
models::TrainReport training_reporter(Progress& progress);

}  // namespace gradus::cli
