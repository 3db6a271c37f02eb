#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

namespace gradus::optim {

/// Learning rates as functions of the step, 0 being the first:
///
///   const CosineSchedule schedule{.lr = 2e-3, .steps = 1000, .warmup = 50};
///   opt.set_lr(schedule(i));
///
/// A schedule keeps nothing between calls, so a run that is resumed at step i goes on with schedule(i). Any
/// function of a step is a schedule. All throw ArgumentError for a step below 0 and for settings out of
/// range.
using Schedule = std::function<double(std::int64_t step)>;

/// The same lr at every step.
struct ConstantSchedule {
  double lr = 1e-3;

  double operator()(std::int64_t step) const;
};

/// lr * gamma^(step / every): falls by gamma at each multiple of `every` steps. PyTorch's StepLR.
struct StepSchedule {
  double lr = 1e-3;
  std::int64_t every = 1000;
  double gamma = 0.1;

  double operator()(std::int64_t step) const;
};

/// Falls by gamma at each of the milestones, which ascend. PyTorch's MultiStepLR.
struct MultiStepSchedule {
  double lr = 1e-3;
  std::vector<std::int64_t> milestones;
  double gamma = 0.1;

  double operator()(std::int64_t step) const;
};

/// lr * gamma^step. PyTorch's ExponentialLR.
struct ExponentialSchedule {
  double lr = 1e-3;
  double gamma = 0.999;

  double operator()(std::int64_t step) const;
};

/// From lr to `minimum` at `steps` and after, by (1 - step / steps)^power: a line for 1. PyTorch's
/// PolynomialLR.
struct PolynomialSchedule {
  double lr = 1e-3;
  std::int64_t steps = 1000;
  double power = 1;
  double minimum = 0;

  double operator()(std::int64_t step) const;
};

/// Half a cosine from lr at step 0 to `minimum` at `steps` and after (Loshchilov and Hutter 2017, eq. 5),
/// after a linear rise over the first `warmup` steps. Without one, PyTorch's CosineAnnealingLR.
struct CosineSchedule {
  double lr = 1e-3;
  std::int64_t steps = 1000;
  double minimum = 0;
  std::int64_t warmup = 0;

  double operator()(std::int64_t step) const;
};

/// Half cosines from lr to `minimum`, one after the other, the first of `period` steps and each next one
/// `factor` times as long (Loshchilov and Hutter 2017). PyTorch's CosineAnnealingWarmRestarts.
struct CosineRestartsSchedule {
  double lr = 1e-3;
  std::int64_t period = 1000;
  std::int64_t factor = 1;
  double minimum = 0;

  double operator()(std::int64_t step) const;
};

/// From lr / start_divisor up to lr in the share `rise` of the steps, then down to the start's rate over
/// end_divisor, by half cosines (Smith and Topin 2018). PyTorch's OneCycleLR.
struct OneCycleSchedule {
  double lr = 1e-2;  // the largest
  std::int64_t steps = 1000;
  double rise = 0.3;
  double start_divisor = 25;
  double end_divisor = 1e4;

  double operator()(std::int64_t step) const;
};

/// A linear rise to lr over the first `warmup` steps, then lr * sqrt(warmup / (step + 1)) (Vaswani et al.
/// 2017, eq. 3, with its lr at the top).
struct InverseSqrtSchedule {
  double lr = 1e-3;
  std::int64_t warmup = 1000;

  double operator()(std::int64_t step) const;
};

/// A linear rise over the first `steps` steps to the rate that `then` begins with; `then` counts its own
/// steps from there.
struct WarmupSchedule {
  std::int64_t steps = 100;
  Schedule then;

  double operator()(std::int64_t step) const;
};

/// One schedule after the other, each for its number of steps, which it counts from 0; the last one goes on.
/// PyTorch's SequentialLR.
struct SequenceSchedule {
  struct Part {
    Schedule schedule;
    std::int64_t steps = 0;  // not looked at for the last one
  };
  std::vector<Part> parts;

  double operator()(std::int64_t step) const;
};

/// A rate that falls by `factor` when a loss has not improved for more than `patience` reports, PyTorch's
/// ReduceLROnPlateau:
///
///   PlateauSchedule schedule({.lr = 0.1});
///   opt.set_lr(schedule.report(validation_loss));
class PlateauSchedule {
 public:
  struct Options {
    double lr = 1e-3;
    double factor = 0.1;
    std::int64_t patience = 10;
    double threshold = 1e-4;  // what counts as better: by this share, or by this much
    bool relative = true;
    bool maximize = false;      // for an accuracy
    std::int64_t cooldown = 0;  // reports after a fall that do not count as bad
    double minimum = 0;
  };
  /// What it goes on with after it was saved.
  struct State {
    double lr = 0, best = 0;
    std::int64_t bad = 0, cooling = 0;

    static void fields(auto& self, auto&& visit) {
      visit("lr", self.lr);
      visit("best", self.best);
      visit("bad", self.bad);
      visit("cooling", self.cooling);
    }
  };

  /// Throws ArgumentError for options out of range.
  explicit PlateauSchedule(const Options& options);
  PlateauSchedule();
  /// Takes a loss, and returns the rate from now on. A NaN is no improvement.
  double report(double loss);
  double lr() const { return state_.lr; }

  const State& state() const { return state_; }
  void set_state(const State& state) { state_ = state; }

 private:
  Options options_;
  State state_;
};

/// Says when training should end: when a loss has not improved by more than `min_change` for `patience`
/// reports in a row.
///
///   EarlyStopping stopping({.patience = 3});
///   if (stopping.report(validation_loss)) best = model;  // a new best
///   if (stopping.stopped()) break;
class EarlyStopping {
 public:
  struct Options {
    std::int64_t patience = 5;
    double min_change = 0;
    bool maximize = false;  // for an accuracy
  };
  /// What it goes on with after it was saved.
  struct State {
    double best = 0;
    std::int64_t bad = 0;

    static void fields(auto& self, auto&& visit) {
      visit("best", self.best);
      visit("bad", self.bad);
    }
  };

  /// Throws ArgumentError for options out of range.
  explicit EarlyStopping(const Options& options);
  EarlyStopping();
  /// Takes a loss. True when it is the best so far. A NaN is no improvement.
  bool report(double loss);
  bool stopped() const { return state_.bad >= options_.patience; }
  double best() const { return state_.best; }

  const State& state() const { return state_; }
  void set_state(const State& state) { state_ = state; }

 private:
  Options options_;
  State state_;
};

/// Says when to begin to average the weights of stochastic gradient descent, as AWD-LSTM does (Merity et al.
/// 2018, algorithm 1): at the first report that is worse than the best of those `patience` or more before it.
///
///   if (trigger.report(validation_loss)) averaging = true;
///   ... after each step:  if (averaging) average.update(model);  // a WeightAverage
class NonMonotonicTrigger {
 public:
  /// Throws ArgumentError for a patience below 1.
  explicit NonMonotonicTrigger(std::int64_t patience = 5);
  /// Takes a validation loss. True from the report on that triggers.
  bool report(double loss);
  bool triggered() const { return triggered_; }

  const std::vector<double>& losses() const { return losses_; }
  /// Goes on from the losses that were reported before.
  void set_losses(const std::vector<double>& losses);

 private:
  std::int64_t patience_;
  std::vector<double> losses_;
  bool triggered_ = false;
};

}  // namespace gradus::optim
