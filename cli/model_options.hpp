#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/usage.hpp"
#include "models/checkpoint.hpp"
#include "models/quantize.hpp"
#include "text/vocabulary.hpp"

namespace gradus::cli {

/// The options of every command that uses a trained model.
struct ModelOptions {
  std::string model, quantize;
  bool json = false;
  const CLI::App* self = nullptr;  // of the command

  void add_to(CLI::App* command);
  /// Calls work(team) in each of the processes that a launcher started (run_together). Ends the command as
  /// wrong usage where several would read the model from the standard input.
  void run_with_team(FunctionRef<void(models::Team&)> work) const;
  /// Loads the model; with --quantize one with compact weights, of which only eval reports the exact one too.
  models::TrainedModel load() const;
  models::QuantizedModel quantized(const models::TrainedModel& trained) const;
};

/// The ids of a text that a model goes on from, behind the token that serves as the first one's context, and
/// without a line end that the text does not have. Warns of unknown words; `skip_marks`: as of load_text.
std::vector<std::int32_t> ids_before(const Vocabulary& vocabulary, const std::string& text, bool skip_marks);

}  // namespace gradus::cli
