#include "tensor/permutation.hpp"

#include <limits>
#include <numeric>
#include <utility>
#include <vector>

namespace gradus {

Indices permutation(std::int64_t n, Rng& rng) {
  if (n < 0 || n > std::numeric_limits<std::int32_t>::max())
    fail<ArgumentError>("permutation of {} numbers; there may be 0 to 2^31 - 1", n);
  std::vector<std::int32_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  for (std::size_t left = order.size(); left > 1; --left)
    std::swap(order[left - 1], order[static_cast<std::size_t>(rng.below(left))]);
  return Indices(std::move(order));
}

}  // namespace gradus
