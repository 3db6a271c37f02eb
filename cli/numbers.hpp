#pragma once

#include <charconv>
#include <string_view>
#include <vector>

#include "cli/usage.hpp"

namespace gradus::cli {

/// The numbers of a list such as "0,0,1". Ends the command as wrong usage, naming the option, where one is
/// not a number.
template <class T>
std::vector<T> numbers_of(std::string_view text, std::string_view option) {
  std::vector<T> out;
  for (std::size_t from = 0; from <= text.size();) {
    const std::size_t end = std::min(text.find(',', from), text.size());
    T number{};
    const auto [stop, error] = std::from_chars(text.data() + from, text.data() + end, number);
    if (error != std::errc() || stop != text.data() + end)
      misuse("{} {}: '{}' is not a number; give numbers separated by commas", option, text,
             text.substr(from, end - from));
    out.push_back(number);
    from = end + 1;
  }
  return out;
}

}  // namespace gradus::cli
