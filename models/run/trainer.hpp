#pragma once

#include <any>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "models/kinds.hpp"
#include "models/run/config.hpp"
#include "optim/any_optimizer.hpp"
#include "optim/average.hpp"
#include "optim/run_state.hpp"
#include "optim/schedule.hpp"

namespace gradus::models {

/// One update of a training run.
struct Update {
  std::int64_t number = 0, tokens = 0;  // from 1; over how many tokens
  double loss = 0;                      // the mean cross entropy in nats a token
  double lr = 0;
  double gradient_norm = 0;  // of all parameters, before clipping
  /// The same of each part of the network, "embed", "h.0": only where it was asked for.
  std::map<std::string, double> part_norms;
};

/// What was seen of the validation text.
struct Validation {
  double loss = 0;       // the mean cross entropy in nats a token
  bool best = false;     // of all evaluations so far
  bool stopped = false;  // whether training should end, by training.patience
};

/// A network in training by a configuration: which part of the text comes next, the optimizer, the rate,
/// averages of the weights, and what is remembered of evaluations. What `state` gives is all that it goes on
/// from, to the bit, with any number of threads.
///
/// A text is read in streams side by side, each in order, and begun again with each epoch; a transformer may
/// read contexts from anywhere instead. Validation reads the text in a few streams without dropout, the state
/// carried where the network carries one; the tokens left over at the end, fewer than streams, are left out.
class Trainer {
 public:
  /// The network, the tokens and the configuration, a resolved one, must outlive it; an empty `valid` means
  /// no validation. Throws DataError for texts that are shorter than a batch, ArgumentError as the optimizer
  /// does.
  Trainer(ErasedNetwork& network, std::span<const std::int32_t> train, std::span<const std::int32_t> valid,
          const RunConfig& config);

  /// Updates so far, and in all.
  std::int64_t step() const { return step_; }
  std::int64_t steps() const { return steps_; }
  /// Times that the text was begun, from 0, and updates that one time takes (of the first epoch).
  std::int64_t epoch() const { return epoch_; }
  std::int64_t epoch_steps() const { return epoch_steps_; }
  /// Tokens that were trained on so far.
  std::int64_t tokens() const { return tokens_; }
  bool done() const { return step_ == steps_ || stopping_.stopped(); }
  bool validates() const { return !valid_.empty(); }
  double best_loss() const { return stopping_.best(); }

  /// Replaces the schedule of the configuration.
  void set_schedule(optim::Schedule schedule) { schedule_ = std::move(schedule); }

  /// The next update. Throws NumericError naming the step and the first op or parameter whose numbers are not
  /// finite; the weights are then those of before.
  Update update(bool with_part_norms = false);
  /// Looks at the validation text, and lets the schedule, averages and early stopping know. Throws
  /// ArgumentError without one.
  Validation validate();
  /// A copy of the network as it would be kept: with averaged weights where there are some, adapters merged.
  std::unique_ptr<ErasedNetwork> kept();

  optim::RunState state() const;
  /// Throws DataError where something is missing or of another run.
  void set_state(const optim::RunState& from);

 private:
  Batch next_batch();
  void begin_epoch();
  double rate(std::int64_t steps_of_batch) const;
  bool averages() const;
  double validation_loss();
  [[noreturn]] void explain(const Batch& batch, const std::any& before, Rng rng, double loss) const;
  std::map<std::string, double> part_norms(const Gradients& gradients) const;

  ErasedNetwork& network_;
  ParameterView parameters_;
  std::span<const std::int32_t> train_, valid_;
  const RunConfig& config_;
  Batches streams_;
  optim::AnyOptimizer optimizer_;
  optim::Schedule schedule_;
  optim::PlateauSchedule plateau_;
  optim::EarlyStopping stopping_;
  optim::NonMonotonicTrigger trigger_;
  optim::WeightAverage average_;
  Rng rng_, contexts_;
  std::vector<std::int64_t> lengths_;  // of the batches of this epoch
  std::size_t batch_ = 0;              // of these, the next one
  std::int64_t place_ = 0;             // where it begins in the streams
  std::int64_t step_ = 0, steps_ = 0, epoch_ = 0, epoch_steps_ = 0, tokens_ = 0;
  bool averaged_ = false;  // whether there is an average yet
  std::any carried_;
};

}  // namespace gradus::models
