#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <string>
#include <utility>

namespace gradus::cli {

/// Ends the command as wrong usage, before any work: exit code 2.
template <class... Args>
[[noreturn]] void misuse(fmt::format_string<Args...> format, Args&&... args) {
  throw CLI::ValidationError(fmt::format(format, std::forward<Args>(args)...));
}

/// Checks that an option is a finite number of at least 0.
inline CLI::Validator zero_or_more() {
  return {[](std::string& text) {
            double number = -1;
            return CLI::detail::lexical_cast(text, number) && number >= 0 && std::isfinite(number)
                       ? std::string()
                       : fmt::format("{}: give a number of 0 or more", text);
          },
          "0 OR MORE"};
}

inline bool given(const CLI::Option* option) {
  return option->count() > 0;
}

}  // namespace gradus::cli
