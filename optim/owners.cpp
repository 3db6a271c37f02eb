#include "optim/owners.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <numeric>

#include "tensor/support/error.hpp"

namespace gradus::optim {

std::vector<int> owners_of(const ParameterView& parameters, int processes) {
  if (processes < 1) fail<ArgumentError>("owners_of: {} processes; there must be one", processes);
  const auto& parts = parameters.parts();
  std::vector<std::size_t> order(parts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater(), [&](std::size_t i) { return parts[i].second->size(); });
  std::vector<std::int64_t> load(static_cast<std::size_t>(processes), 0);
  std::vector<int> out(parts.size(), 0);
  for (const std::size_t i : order) {
    if (parts[i].second->is_constant()) continue;  // nobody changes it
    const auto least = std::ranges::min_element(load);
    *least += parts[i].second->size();
    out[i] = static_cast<int>(least - load.begin());
  }
  return out;
}

}  // namespace gradus::optim
