#include "optim/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tensor/support/error.hpp"

namespace gradus::optim {

namespace {

void check(const char* schedule, std::int64_t step, bool settings, const char* what) {
  if (step < 0) fail<ArgumentError>("{}: step {}; it must be 0 or more", schedule, step);
  if (!settings) fail<ArgumentError>("{}: {}", schedule, what);
}
bool is_rate(double x) {
  return x >= 0 && std::isfinite(x);
}
/// From `from` at 0 to `to` at 1.
double half_cosine(double from, double to, double share) {
  return to + (from - to) / 2 * (1 + std::cos(std::numbers::pi * share));
}
double share_of(std::int64_t step, std::int64_t all) {
  return all <= 0 ? 1 : std::min(static_cast<double>(step) / static_cast<double>(all), 1.0);
}

}  // namespace

double ConstantSchedule::operator()(std::int64_t step) const {
  check("ConstantSchedule", step, is_rate(lr), "lr must be a finite number, 0 or more");
  return lr;
}

double StepSchedule::operator()(std::int64_t step) const {
  if (step < 0 || every < 1) {
    fail<ArgumentError>("StepSchedule: step {}, every {}; the step must be 0 or more, every at least 1", step,
                        every);
  }
  const std::int64_t drops = step / every;
  return lr * std::pow(gamma, static_cast<double>(drops));
}

double MultiStepSchedule::operator()(std::int64_t step) const {
  check("MultiStepSchedule", step, std::ranges::is_sorted(milestones), "the milestones must ascend");
  const auto passed = std::ranges::upper_bound(milestones, step) - milestones.begin();
  return lr * std::pow(gamma, static_cast<double>(passed));
}

double ExponentialSchedule::operator()(std::int64_t step) const {
  check("ExponentialSchedule", step, gamma >= 0, "gamma must be 0 or more");
  return lr * std::pow(gamma, static_cast<double>(step));
}

double PolynomialSchedule::operator()(std::int64_t step) const {
  check("PolynomialSchedule", step, steps >= 0 && power >= 0, "steps and power must be 0 or more");
  return minimum + (lr - minimum) * std::pow(1 - share_of(step, steps), power);
}

double CosineSchedule::operator()(std::int64_t step) const {
  if (step < 0 || steps < 0 || warmup < 0) {
    fail<ArgumentError>("CosineSchedule: step {}, steps {}, warmup {}; each must be 0 or more", step, steps,
                        warmup);
  }
  if (step >= steps) return minimum;
  if (step < warmup) return lr * static_cast<double>(step + 1) / static_cast<double>(warmup);
  const auto all = std::max<std::int64_t>(steps - warmup, 1);
  return minimum + (lr - minimum) * (1 + std::cos(std::numbers::pi * share_of(step - warmup, all))) / 2;
}

double CosineRestartsSchedule::operator()(std::int64_t step) const {
  check("CosineRestartsSchedule", step, period >= 1 && factor >= 1, "period and factor must be at least 1");
  std::int64_t length = period;
  if (factor == 1) {
    step %= period;
  } else {
    for (; step >= length; length *= factor) {
      step -= length;
      if (length > std::numeric_limits<std::int64_t>::max() / factor) break;  // longer than any run
    }
  }
  return half_cosine(lr, minimum, share_of(step, length));
}

double OneCycleSchedule::operator()(std::int64_t step) const {
  check("OneCycleSchedule", step,
        steps >= 1 && rise >= 0 && rise <= 1 && start_divisor > 0 && end_divisor > 0,
        "steps must be at least 1, rise from 0 to 1, the divisors above 0");
  const double first = lr / start_divisor, last = first / end_divisor;
  const double top = rise * static_cast<double>(steps) - 1, end = static_cast<double>(steps - 1);
  const double at = std::min(static_cast<double>(step), end);
  if (at <= top) return top > 0 ? half_cosine(first, lr, at / top) : lr;
  return end > top ? half_cosine(lr, last, (at - top) / (end - top)) : last;
}

double InverseSqrtSchedule::operator()(std::int64_t step) const {
  check("InverseSqrtSchedule", step, warmup >= 1, "warmup must be at least 1");
  const double n = static_cast<double>(step) + 1, top = static_cast<double>(warmup);
  return lr * std::min(n / top, std::sqrt(top / n));
}

double WarmupSchedule::operator()(std::int64_t step) const {
  check("WarmupSchedule", step, steps >= 0 && then, "steps must be 0 or more, and a schedule follow");
  if (step >= steps) return then(step - steps);
  return then(0) * static_cast<double>(step + 1) / static_cast<double>(steps);
}

double SequenceSchedule::operator()(std::int64_t step) const {
  const bool good = !parts.empty() && std::ranges::all_of(parts, [](const Part& part) {
    return part.steps >= 0 && part.schedule;
  });
  check("SequenceSchedule", step, good, "it needs a schedule at least, each of 0 or more steps");
  for (const Part& part : parts) {
    if (&part == &parts.back() || step < part.steps) return part.schedule(step);
    step -= part.steps;
  }
  return 0;  // the last one has returned
}

PlateauSchedule::PlateauSchedule() : PlateauSchedule(Options{}) {}

PlateauSchedule::PlateauSchedule(const Options& options) : options_(options) {
  check("PlateauSchedule", 0,
        is_rate(options.lr) && options.factor > 0 && options.factor < 1 && options.patience >= 0 &&
            options.threshold >= 0 && options.cooldown >= 0 && is_rate(options.minimum),
        "lr, threshold, minimum, patience and cooldown must be 0 or more, factor above 0 and below 1");
  state_ = {.lr = options.lr, .best = std::numeric_limits<double>::infinity() * (options.maximize ? -1 : 1)};
}

double PlateauSchedule::report(double loss) {
  const double sign = options_.maximize ? -1 : 1, best = state_.best;
  const double needed = !options_.relative || std::isinf(best) ? best - sign * options_.threshold
                                                               : best * (1 - sign * options_.threshold);
  if (sign * loss < sign * needed) {
    state_.best = loss;
    state_.bad = 0;
  } else {
    ++state_.bad;
  }
  if (state_.cooling > 0) {
    --state_.cooling;
    state_.bad = 0;
  }
  if (state_.bad > options_.patience) {
    state_.lr = std::max(state_.lr * options_.factor, options_.minimum);
    state_.cooling = options_.cooldown;
    state_.bad = 0;
  }
  return state_.lr;
}

EarlyStopping::EarlyStopping() : EarlyStopping(Options{}) {}

EarlyStopping::EarlyStopping(const Options& options) : options_(options) {
  check("EarlyStopping", 0, options.patience >= 1 && options.min_change >= 0,
        "patience must be at least 1, min_change 0 or more");
  state_.best = std::numeric_limits<double>::infinity() * (options.maximize ? -1 : 1);
}

bool EarlyStopping::report(double loss) {
  const double sign = options_.maximize ? -1 : 1;
  const bool better = sign * loss < sign * state_.best - options_.min_change;
  if (better) state_.best = loss;
  state_.bad = better ? 0 : state_.bad + 1;
  return better;
}

NonMonotonicTrigger::NonMonotonicTrigger(std::int64_t patience) : patience_(patience) {
  check("NonMonotonicTrigger", 0, patience >= 1, "patience must be at least 1");
}

bool NonMonotonicTrigger::report(double loss) {
  const auto n = static_cast<std::int64_t>(losses_.size());
  if (n > patience_) {
    const double best = *std::min_element(losses_.begin(), losses_.begin() + (n - patience_));
    triggered_ |= !(loss <= best);
  }
  losses_.push_back(loss);
  return triggered_;
}

void NonMonotonicTrigger::set_losses(const std::vector<double>& losses) {
  losses_.clear();
  triggered_ = false;
  for (const double loss : losses) report(loss);
}

}  // namespace gradus::optim
