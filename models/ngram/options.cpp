#include "models/ngram/options.hpp"

#include <algorithm>
#include <array>

#include "tensor/support/error.hpp"

namespace gradus::models {

namespace {

constexpr std::array<std::string_view, 7> method_names{"maximum-likelihood",   "add-k",       "kneser-ney",
                                                       "absolute-discounting", "witten-bell", "katz",
                                                       "stupid-backoff"};

}  // namespace

std::string_view name_of(NgramMethod method) {
  return method_names[static_cast<std::size_t>(method)];
}

std::span<const std::string_view> ngram_method_names() {
  return method_names;
}

NgramMethod ngram_method_named(std::string_view name) {
  const auto found = std::find(method_names.begin(), method_names.end(), name);
  if (found == method_names.end())
    fail<ArgumentError>("there is no n-gram method '{}'; use {}", name, fmt::join(method_names, ", "));
  return static_cast<NgramMethod>(found - method_names.begin());
}

}  // namespace gradus::models
