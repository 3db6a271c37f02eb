#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "models/run/config.hpp"

namespace gradus::models {

/// What a search for a learning rate saw: the loss while the rate rose (Smith 2017, section 3.3).
struct RateSearch {
  struct Point {
    double rate, loss;  // in nats a token, smoothed
  };
  std::vector<Point> points;
  double steepest = 0;  // where the loss fell fastest with the logarithm of the rate
  double lowest = 0;    // where it was lowest, before it rose again
  /// What to begin with: between the two, the square root of their product.
  double suggested = 0;
};

struct RateSearchOptions {
  double lowest = 1e-6, highest = 100;
  std::int64_t updates = 160;  // at most; the rate rises by the same factor with each
  std::function<void(std::int64_t done, std::int64_t updates)> progress = {};
};

/// Trains a network of the configuration for a few updates, the rate rising from one to the next, until the
/// loss is far above its lowest or no number; nothing is kept. Throws as train_run, and ArgumentError for
/// rates or updates out of range.
RateSearch find_rate(const RunConfig& config, const RateSearchOptions& options = {});

/// What the losses say, smoothed by `find_rate`. Throws ArgumentError for fewer than three points.
void judge(RateSearch& search);

}  // namespace gradus::models
