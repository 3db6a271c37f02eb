#pragma once

// Internal: not part of the public interface.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>

namespace gradus::models::ngram {

// Sums of the probabilities of continuations, for sampling from many of them without reading all.

/// There is a sum after every `mass_step` places, and one after the last place.
inline constexpr std::uint32_t mass_step = 32;
/// Smaller blocks have no sums.
inline constexpr std::uint32_t least_for_masses = 64;

inline std::uint64_t mass_count(std::uint64_t places) {
  return (places + mass_step - 1) / mass_step;
}

/// An n-gram whose continuations have sums.
struct WideNode {
  std::uint32_t node;
  std::uint32_t masses;  // where its sums begin
};

/// log_prob(i) is that of place i, or -infinity for an empty place.
template <class LogProb>
void sum_masses(std::uint32_t places, std::span<double> out, LogProb&& log_prob) {
  double sum = 0;
  for (std::uint32_t i = 0; i < places; ++i) {
    sum += std::exp(static_cast<double>(log_prob(i)));
    out[i / mass_step] = sum;
  }
}

/// Reads the sums of one order.
struct Masses {
  std::span<const WideNode> wide;  // sorted by node
  std::span<const double> sums;

  std::span<const double> of(std::uint32_t node, std::uint32_t places) const {
    if (places < least_for_masses) return {};
    const auto found = std::lower_bound(wide.begin(), wide.end(), node,
                                        [](const WideNode& w, std::uint32_t n) { return w.node < n; });
    if (found == wide.end() || found->node != node) return {};
    const std::uint64_t count = mass_count(places);
    if (found->masses > sums.size() || count > sums.size() - found->masses) return {};
    return sums.subspan(found->masses, count);
  }
};

}  // namespace gradus::models::ngram
