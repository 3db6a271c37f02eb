#include "tensor/support/suggestion.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

namespace gradus {

namespace {

/// The number of letters to change, insert or leave out (Levenshtein 1966).
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string suggestion(std::string_view given, const std::vector<std::string>& names) {
  const auto distance = [&](const std::string& name) { return edit_distance(given.substr(0, 100), name); };
  const auto nearest = std::ranges::min_element(names, {}, distance);
  if (nearest != names.end() && distance(*nearest) <= std::max<std::size_t>(2, given.size() / 3) &&
      given.size() <= 100)
    return fmt::format("; did you mean '{}'?", *nearest);
  return fmt::format("; there are {}", fmt::join(names, ", "));
}

}  // namespace gradus
