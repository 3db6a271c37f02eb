#pragma once

#include <cstdint>
#include <span>

namespace gradus::models {

struct BootstrapOptions {
  int resamples = 10'000;
  std::uint64_t seed = 1;
  double level = 0.95;  // of the interval
};

/// How much two models differ on a text.
struct Difference {
  double mean = 0;           // sum of a - b over all sentences, divided by the sum of their sizes
  double low = 0, high = 0;  // the interval of the level, from the percentiles of the resamples
  double p_value =
      1;  // two-sided: how often resamples lie on the other side of 0, at least 1 / (resamples + 1)
};

/// The paired bootstrap over sentences (Koehn 2004, "Statistical significance tests for machine translation
/// evaluation"; Efron and Tibshirani 1993): sentences are drawn with replacement, each with what both models
/// said of it, and the mean difference of each draw is taken. `a` and `b`: what each says of each sentence,
/// in nats; `sizes`: the words of each, or whatever the mean is wanted of. The same seed gives the same
/// numbers. Throws ArgumentError for different lengths, no sentences, sizes that are together 0, or options
/// out of range.
Difference paired_bootstrap(std::span<const double> a, std::span<const double> b,
                            std::span<const double> sizes, const BootstrapOptions& options = {});

}  // namespace gradus::models
