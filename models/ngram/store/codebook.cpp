#include "models/ngram/store/compact_layout.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace gradus::models::ngram {

namespace {

constexpr std::size_t most_at_once = std::size_t{1} << 22;
constexpr std::size_t most_different = std::size_t{1} << 20;
constexpr int refinements = 8;

void sort_and_shorten(std::vector<float>& floats) {
  std::sort(floats.begin(), floats.end());
  floats.erase(std::unique(floats.begin(), floats.end()), floats.end());
}

}  // namespace

int Codebook::bits() const {
  return std::max(1, static_cast<int>(std::bit_width(floats.size() - 1)));
}

std::uint32_t Codebook::code(float x) const {
  const auto above = std::lower_bound(floats.begin(), floats.end(), x);
  if (above == floats.begin()) return 0;
  const auto below = above - 1;
  if (above == floats.end() || (*above != x && x - *below < *above - x))
    return static_cast<std::uint32_t>(below - floats.begin());
  return static_cast<std::uint32_t>(above - floats.begin());
}

Codebook exact_codebook(std::uint64_t count, Numbers numbers, int float_bits) {
  Codebook out;
  std::vector<float>& all = out.floats;
  for (std::uint64_t i = 0; i < count; ++i) {
    all.push_back(numbers(i));
    if (all.size() < most_at_once && i + 1 < count) continue;
    sort_and_shorten(all);
    if (all.size() > most_different) return {};
  }
  if (all.empty()) return {};
  const auto room = static_cast<std::uint64_t>(out.bits()) * count + 32 * all.size();
  return room < static_cast<std::uint64_t>(float_bits) * count ? out : Codebook{};
}

Codebook quantized_codebook(std::uint64_t count, Numbers numbers, int bits) {
  std::vector<float> sorted, kept;
  const std::uint64_t step = count / most_at_once + 1;
  for (std::uint64_t i = 0; i < count; ++i) {
    const float x = numbers(i);
    if (x == 0 || std::isinf(x)) {
      if (std::find(kept.begin(), kept.end(), x) == kept.end()) kept.push_back(x);
    } else if (i % step == 0) {
      sorted.push_back(x);
    }
  }
  std::sort(sorted.begin(), sorted.end());
  const std::size_t bins = (std::size_t{1} << bits) - kept.size();
  // sums[i]: of the first i numbers. (std::partial_sum would add in float, which is not exact enough for
  // millions.)
  std::vector<double> sums{0};
  sums.reserve(sorted.size() + 1);
  for (const float x : sorted) sums.push_back(sums.back() + static_cast<double>(x));
  std::vector<std::size_t> ends;  // where each bin ends
  for (std::size_t bin = 1; bin <= bins; ++bin) ends.push_back(sorted.size() * bin / bins);
  std::vector<float> means;
  for (int round = 0;; ++round) {
    means.clear();
    std::size_t begin = 0;
    for (const std::size_t end : ends) {
      if (end > begin)
        means.push_back(static_cast<float>((sums[end] - sums[begin]) / static_cast<double>(end - begin)));
      begin = std::max(begin, end);
    }
    means.erase(std::unique(means.begin(), means.end()), means.end());
    if (round == refinements) break;
    ends.clear();
    for (std::size_t i = 0; i + 1 < means.size(); ++i) {
      const float middle = means[i] / 2 + means[i + 1] / 2;  // no overflow
      ends.push_back(
          static_cast<std::size_t>(std::upper_bound(sorted.begin(), sorted.end(), middle) - sorted.begin()));
    }
    ends.push_back(sorted.size());
  }
  Codebook out{kept};
  out.floats.insert(out.floats.end(), means.begin(), means.end());
  sort_and_shorten(out.floats);
  return out;
}

}  // namespace gradus::models::ngram
