#pragma once

#include <any>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "autograd/tape.hpp"
#include "models/kinds.hpp"
#include "models/run/config.hpp"
#include "models/run/ranks.hpp"
#include "optim/any_optimizer.hpp"
#include "optim/average.hpp"
#include "optim/gradient_tree.hpp"
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
  /// What some process asked for; see UpdateOptions.
  bool stop = false, save = false, asks_part_norms = false;
  /// How long each process took to compute its pieces, but for the last backward, before it waited for
  /// others.
  std::vector<double> seconds;
};

struct UpdateOptions {
  bool part_norms = false;
  /// Whether training should stop, or be saved, after this update: the result says whether any process wants
  /// it.
  bool stop = false, save = false;
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
///
/// A batch is cut into training.pieces of some streams each, whose gradients are added in the order of a
/// binary tree; several processes (`ranks`) compute some pieces each, and make the same updates. So the bits
/// are those of any number of processes; they are not those of another number of pieces.
class Trainer {
 public:
  /// The network, the tokens and the configuration, a resolved one, must outlive it; an empty `valid` means
  /// no validation. Throws DataError for texts that are shorter than a batch, ArgumentError as the optimizer
  /// does.
  Trainer(ErasedNetwork& network, std::span<const std::int32_t> train, std::span<const std::int32_t> valid,
          const RunConfig& config, RunRanks* ranks = nullptr);

  /// Updates so far, and in all.
  std::int64_t step() const { return step_; }
  std::int64_t steps() const { return steps_; }
  /// Times that the text was begun, from 0, and updates that one time takes (of the first epoch).
  std::int64_t epoch() const { return at_.epoch; }
  std::int64_t epoch_steps() const { return epoch_steps_; }
  /// Tokens that were trained on so far.
  std::int64_t tokens() const { return tokens_; }
  bool done() const { return step_ == steps_ || stopping_.stopped(); }
  bool validates() const { return !valid_.empty(); }
  double best_loss() const { return stopping_.best(); }

  /// Replaces the schedule of the configuration.
  void set_schedule(optim::Schedule schedule) { schedule_ = std::move(schedule); }

  /// The next update. Throws NumericError naming the step and the first op or parameter whose numbers are not
  /// finite; the weights are then those of before. Where a process is gone it throws RankLost, and all is as
  /// before the update, to be saved, unless `torn`.
  Update update(const UpdateOptions& options = {});
  /// Whether an update was broken off when only some processes had changed their part of the parameters.
  bool torn() const { return torn_; }
  /// Whether no process has all of the state: when rank 0 calls `state`, the others must call `give_state`.
  bool shards() const { return ranks_ != nullptr && config_.training.shard_optimizer && ranks_->size() > 1; }
  /// Looks at the validation text, and lets the schedule, averages and early stopping know. Throws
  /// ArgumentError without one.
  Validation validate();
  /// A copy of the network as it would be kept: with averaged weights where there are some, adapters merged.
  std::unique_ptr<ErasedNetwork> kept();

  /// All that it goes on from. Of several processes, ranks 0 and 1 know the states of all pieces; the others
  /// throw ArgumentError where such states are carried on. Where the optimizer's state is shared out, rank 0
  /// alone gets it, while the others call `give_state`, or throw ArgumentError when they have given theirs.
  optim::RunState state() const;
  void give_state() const { static_cast<void>(optimizer_state()); }
  /// Throws DataError where something is missing or of another run.
  void set_state(const optim::RunState& from);

 private:
  /// Where in the text it is. An update that fails leaves it as it was.
  struct Position {
    std::int64_t epoch = 0;
    std::shared_ptr<const std::vector<std::int64_t>> lengths;  // of the batches of this epoch
    std::size_t batch = 0;                                     // of these, the next one
    std::int64_t place = 0;                                    // where it begins in the streams
    Rng rng, contexts;
    std::vector<std::any> carried;  // the states of this process's pieces
    /// Those of all pieces, as bytes: in the processes that may have to save them.
    std::shared_ptr<const std::vector<std::string>> all_carried;
  };
  /// What a process tells the others in each update, before it sends gradients.
  struct Told;

  Batch next_batch();
  void begin_epoch();
  double rate(std::int64_t steps_of_batch) const;
  bool averages() const;
  Batches valid_batches() const;
  double validation_loss();
  double piece_validation_loss(const Batches& all, std::int64_t piece, std::int64_t& count) const;
  void make_update(const UpdateOptions& options, Update& out);
  Gradients gradient(std::span<const Batch> batches, const UpdateOptions& options, Update& out);
  Gradients backward(Tape& tape, const Variable& loss, double share, const Gradients& before,
                     optim::GradientTree& tree, bool sends);
  Rng rng_of_piece(std::size_t batch, std::int64_t piece) const;
  void tell(Told& told, const UpdateOptions& options, Update& out);
  void require_finite(const Gradients& own) const;
  double step(const Gradients& sum);
  bool alone() const { return ranks_ == nullptr || ranks_->size() == 1; }
  bool keeps_all_carried() const { return !alone() && ranks_->rank() < 2 && network_.carries_state(); }
  std::string carried_bytes(const std::any& state) const;
  Safetensors carried_tensors() const;
  Safetensors optimizer_state() const;
  void set_carried(const Safetensors& from);
  [[noreturn]] void explain(const Batch& batch, const std::any& before, Rng rng, double loss) const;
  std::map<std::string, double> part_norms(const Gradients& gradients) const;

  ErasedNetwork& network_;
  ParameterView parameters_;
  std::span<const std::int32_t> train_, valid_;
  const RunConfig& config_;
  RunRanks* ranks_;
  std::int64_t pieces_, first_piece_ = 0, own_pieces_;
  std::vector<int> owner_;  // the process that changes each parameter, where they are shared out
  Batches streams_;
  optim::AnyOptimizer optimizer_;
  optim::Schedule schedule_;
  optim::PlateauSchedule plateau_;
  optim::EarlyStopping stopping_;
  optim::NonMonotonicTrigger trigger_;
  optim::WeightAverage average_;
  Position at_;
  std::int64_t step_ = 0, steps_ = 0, epoch_steps_ = 0, tokens_ = 0;
  bool averaged_ = false;  // whether there is an average yet
  bool torn_ = false;
};

}  // namespace gradus::models
