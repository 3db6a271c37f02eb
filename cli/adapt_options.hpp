#pragma once

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "models/adapt/adapt.hpp"
#include "models/checkpoint.hpp"

namespace gradus::cli {

/// The options of commands that let a model adapt to the text that it reads.
struct AdaptFlags {
  double cache = 0, neural_cache = 0, theta = 0.3, dynamic = 0, decay = 0, strength = 1;
  std::int64_t length = 2000, steps = 20;
  int counts = 0;
  std::string gradients_of, tune;
  CLI::Option *theta_given = nullptr, *length_given = nullptr, *decay_given = nullptr, *steps_given = nullptr,
              *strength_given = nullptr, *gradients_given = nullptr;

  void add_to(CLI::App* command);
  bool any() const { return cache > 0 || neural_cache > 0 || counts > 0 || dynamic > 0; }
  /// Ends the command as wrong usage where an option has nothing to belong to.
  void check() const;
  /// What was asked for; with --tune, the best of it on that text. Reads the texts that the options name.
  models::AdaptOptions options(const models::TrainedModel& trained, bool skip_marks) const;
};

/// What a model adapts by, in words and as JSON.
std::string adaptation_text(const models::AdaptOptions& options);
nlohmann::json adaptation_json(const models::AdaptOptions& options);

}  // namespace gradus::cli
