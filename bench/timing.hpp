#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

namespace bench {

/// The seconds of one call: the median over batches of calls, each of which is long enough for the clock.
template <class F>
double median_seconds(F&& run, double seconds) {
  using Clock = std::chrono::steady_clock;
  const auto time = [&](int calls) {
    const auto start = Clock::now();
    for (int i = 0; i < calls; ++i) run();
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  time(1);
  int calls = 1;
  while (time(calls) < 1e-4 && calls < 1 << 20) calls *= 2;
  std::vector<double> each;
  double total = 0;
  do {
    const double batch = time(calls);
    total += batch;
    each.push_back(batch / calls);
  } while (total < seconds);
  const auto middle = each.begin() + static_cast<std::ptrdiff_t>(each.size() / 2);
  std::nth_element(each.begin(), middle, each.end());
  return *middle;
}

}  // namespace bench
