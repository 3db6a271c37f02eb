#include "models/bootstrap.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "tensor/random.hpp"
#include "tensor/support/error.hpp"

namespace gradus::models {

Difference paired_bootstrap(std::span<const double> a, std::span<const double> b,
                            std::span<const double> sizes, const BootstrapOptions& options) {
  const double all = std::accumulate(sizes.begin(), sizes.end(), 0.0);
  if (a.empty() || a.size() != b.size() || a.size() != sizes.size() || !(all > 0)) {
    fail<ArgumentError>(
        "a paired bootstrap over {}, {} and {} sentences of {} words: there must be as many of each, and "
        "some",
        a.size(), b.size(), sizes.size(), all);
  }
  if (options.resamples < 1 || !(options.level > 0 && options.level < 1))
    fail<ArgumentError>("a paired bootstrap of {} resamples and level {}: at least 1, and between 0 and 1",
                        options.resamples, options.level);
  Difference out;
  for (std::size_t i = 0; i < a.size(); ++i) out.mean += a[i] - b[i];
  out.mean /= all;
  Rng rng(options.seed);
  std::vector<double> means;
  means.reserve(static_cast<std::size_t>(options.resamples));
  for (int k = 0; k < options.resamples; ++k) {
    double sum = 0, size = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
      const std::size_t drawn = rng.below(a.size());
      sum += a[drawn] - b[drawn];
      size += sizes[drawn];
    }
    means.push_back(size > 0 ? sum / size : 0);
  }
  std::ranges::sort(means);
  const auto at = [&](double share) {
    const double place = share * static_cast<double>(means.size() - 1);
    return means[static_cast<std::size_t>(std::llround(place))];
  };
  out.low = at((1 - options.level) / 2);
  out.high = at((1 + options.level) / 2);
  const auto below = static_cast<double>(std::ranges::count_if(means, [](double m) { return m <= 0; })),
             above = static_cast<double>(std::ranges::count_if(means, [](double m) { return m >= 0; }));
  out.p_value =
      std::min(1.0, 2 * (std::min(below, above) + 1) / (static_cast<double>(options.resamples) + 1));
  return out;
}

}  // namespace gradus::models
