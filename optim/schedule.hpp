#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "tensor/support/error.hpp"

namespace gradus::optim {

/// Learning rates as functions of the step, 0 being the first:
///
///   const CosineSchedule schedule{.lr = 2e-3, .steps = 1000};
///   opt.set_lr(schedule(i));
///
/// All throw ArgumentError for a step below 0 and for settings out of range.

/// lr * gamma^(step / every): falls by gamma at each multiple of `every` steps.
struct StepSchedule {
  double lr = 1e-3;
  std::int64_t every = 1000;
  double gamma = 0.1;

  double operator()(std::int64_t step) const {
    if (step < 0 || every < 1)
      fail<ArgumentError>("StepSchedule: step {}, every {}; the step must be 0 or more, every at least 1",
                          step, every);
    const std::int64_t drops = step / every;
    return lr * std::pow(gamma, static_cast<double>(drops));
  }
};

/// Half a cosine from lr at step 0 to `minimum` at `steps` and after (Loshchilov and Hutter 2017, eq. 5),
/// after a linear rise over the first `warmup` steps.
struct CosineSchedule {
  double lr = 1e-3;
  std::int64_t steps = 1000;
  double minimum = 0;
  std::int64_t warmup = 0;

  double operator()(std::int64_t step) const {
    if (step < 0 || steps < 0 || warmup < 0)
      fail<ArgumentError>("CosineSchedule: step {}, steps {}, warmup {}; each must be 0 or more", step, steps,
                          warmup);
    if (step < warmup) return lr * static_cast<double>(step + 1) / static_cast<double>(warmup);
    const auto passed = static_cast<double>(step - warmup),
               all = static_cast<double>(std::max<std::int64_t>(steps - warmup, 1));
    return minimum + (lr - minimum) * (1 + std::cos(std::numbers::pi * std::min(passed / all, 1.0))) / 2;
  }
};

}  // namespace gradus::optim
