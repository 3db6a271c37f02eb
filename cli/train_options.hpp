#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "models/run/config.hpp"

namespace gradus::cli {

/// The options of `gradus train` that say how a run is configured: a file, settings by their names, and
/// flags, each of which is short for a setting. Flags win over settings, and these over the file.
struct TrainOptions {
  std::string config;
  std::vector<std::string> settings;                             // of --set, "section.key=value"
  std::vector<std::string> flags;                                // as settings
  std::vector<const CLI::Option*> of_networks, of_transformers;  // those that apply to nothing else
  CLI::Option *order = nullptr, *layers = nullptr, *sinks = nullptr, *document_end = nullptr, *unit = nullptr,
              *subwords = nullptr, *min_count = nullptr, *epochs = nullptr, *updates = nullptr;

  /// Ends the command as wrong usage for a setting that is not known or not possible.
  void apply_to(models::RunConfig& configuration) const;
  /// Ends the command as wrong usage for a flag that does not apply to the kind or the unit of the
  /// configuration.
  void check(const models::RunConfig& configuration) const;
};

/// Adds them to the command.
void add_train_options(CLI::App* command, const std::shared_ptr<TrainOptions>& options);

}  // namespace gradus::cli
