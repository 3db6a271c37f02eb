#pragma once

#include <cstdint>
#include <vector>

#include "text/vocabulary.hpp"

namespace gradus::cli {

/// A text's tokens, preceded by the one that serves as context of the first: the line end where the
/// vocabulary has one.
inline std::vector<std::int32_t> with_context(const Vocabulary& vocabulary,
                                              std::vector<std::int32_t> tokens) {
  const std::int32_t line_end = vocabulary.line_end();
  tokens.insert(tokens.begin(), line_end >= 0 ? line_end : 0);
  return tokens;
}

}  // namespace gradus::cli
