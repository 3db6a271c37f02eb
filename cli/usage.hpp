#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <string>
#include <utility>

namespace gradus::cli {

/// Ends the command as wrong usage, before any work: exit code 2.
template <class... Args>
[[noreturn]] void misuse(fmt::format_string<Args...> format, Args&&... args) {
  throw CLI::ValidationError(fmt::format(format, std::forward<Args>(args)...));
}

inline bool given(const CLI::Option* option) {
  return option->count() > 0;
}

}  // namespace gradus::cli
