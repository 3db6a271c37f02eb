#include "autograd/freeze.hpp"

#include <fmt/ranges.h>
#include <fnmatch.h>

#include <algorithm>

namespace gradus::detail {

bool matches(const std::vector<std::string>& patterns, const std::string& path) {
  return std::ranges::any_of(patterns, [&](const std::string& pattern) {
    return ::fnmatch(pattern.c_str(), path.c_str(), FNM_NOESCAPE) == 0;
  });
}

void fail_unmatched(const char* function, const std::vector<std::string>& patterns,
                    const std::vector<std::string>& paths) {
  fail<ArgumentError>("{}: no parameter matches {}; the model's are {}", function, fmt::join(patterns, ", "),
                      fmt::join(paths, ", "));
}

}  // namespace gradus::detail
