#pragma once

#include <string>
#include <string_view>

#include "text/vocabulary.hpp"

namespace gradus {

/// The shares of a text; the rest after both is the test part.
struct SplitOptions {
  double train = 0.8;
  double valid = 0.1;
};

/// Views of the text that was split; together they are all of it, in its order.
struct Split {
  std::string_view train;
  std::string_view valid;
  std::string_view test;
};

/// Cuts a text into contiguous parts by its length in bytes for words, each cut moved on to the next line's
/// start; by its length in characters (bytes) for characters (bytes). With 0.8 and 0.1 the test part of
/// characters is the text from character floor(0.9 n) on. Throws ArgumentError for shares below 0 or over 1
/// in sum, DataError when a part that should hold text stays empty.
Split split(Unit unit, std::string_view text, const SplitOptions& options = {},
            std::string_view name = "the text");
/// The parts would outlive the text.
Split split(Unit, std::string&&, const SplitOptions& = {}, std::string_view = {}) = delete;

}  // namespace gradus
