#include "cli/recipe.hpp"

#include <fmt/format.h>

#include <cmath>

namespace gradus::cli {

models::TrainReport training_reporter(Progress& progress) {
  return [&progress](const models::TrainProgress& p) {
    progress.update(p.step, p.steps, fmt::format("perplexity {:.2f}", std::exp(p.loss)));
  };
}

}  // namespace gradus::cli
