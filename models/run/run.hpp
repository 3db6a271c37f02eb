#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "models/kinds.hpp"
#include "models/run/config.hpp"
#include "models/run/ranks.hpp"
#include "models/run/text.hpp"

namespace gradus::models {

/// How far a run is.
struct RunProgress {
  std::int64_t step = 0, steps = 0, tokens = 0;
  double loss = 0;                   // in nats a token, smoothed over about the last hundred updates
  double tokens_per_second = 0;      // of this process, validation left out
  std::optional<double> valid_loss;  // the last one
};

struct RunOptions {
  /// Where everything is kept; empty: nowhere, and the result has the network alone.
  std::filesystem::path folder;
  /// Goes on with the run in the folder. What `overrides` changes in its configuration holds from there on.
  bool resume = false;
  std::function<void(RunConfig&)> overrides{};
  /// Asked after each update: whether to stop there, saved so that it can be resumed.
  std::function<bool()> stop{};
  std::function<void(const RunProgress&)> progress{};
  /// Told in a sentence each what a user may want to read, such as what an evaluation saw; and what went
  /// wrong and was got over. log.txt gets both.
  std::function<void(const std::string&)> say{}, warn{};
  /// The processes that share the run, all of which call train_run alike. Rank 0 keeps the folder, which the
  /// others read where a run is resumed, and reports; its result is the one that counts.
  RunRanks* ranks = nullptr;
  SubwordReport subwords{};
};

struct RunResult {
  RunConfig config;  // with everything decided
  Vocabulary vocabulary;
  std::unique_ptr<ErasedNetwork> network;  // the best on the validation text, or the last without one
  RunProgress progress;
  std::int64_t train_tokens = 0, unknown = 0, valid_tokens = 0, valid_unknown = 0;
  double seconds = 0;               // of training in all processes, evaluations included
  std::optional<double> best_loss;  // on the validation text
  bool interrupted = false, stopped_early = false;
};

/// What a run begins with: everything decided, the text read, the network made.
struct PreparedRun {
  RunConfig config;
  RunText text;
  std::unique_ptr<ErasedNetwork> network;
};
/// Throws as train_run does.
PreparedRun prepare_run(const RunConfig& config);

/// Trains a network by a configuration (models/run/config.hpp), from the beginning or from where a run was
/// stopped. A run that is resumed gives the same bits as one that was not stopped, also with another number
/// of threads. Throws DataError for texts, files and settings that do not fit, naming them; NumericError,
/// naming the step and the first op that gave NaN or infinity, when training diverges: the last checkpoint is
/// from before that. Throws RankLost where a process is gone, after what there is was saved.
RunResult train_run(const RunConfig& config, const RunOptions& options);

}  // namespace gradus::models
