#pragma once

#include <string>
#include <string_view>

#include "text/vocabulary.hpp"

namespace gradus {

/// The shares of the training and the validation part; the rest is the test part.
struct SplitOptions {
  double train = 0.8;
  double valid = 0.1;
};

/// Views of the parts, which together are the whole text, in its order.
struct Split {
  std::string_view train;
  std::string_view valid;
  std::string_view test;
};

/// Cuts a text into contiguous parts. For words the shares are of its bytes, and each cut is moved to the
/// start of the next line; for characters and bytes they are of its characters or bytes. So with 0.8 and 0.1
/// the test part of n characters begins at character floor(0.9 n). Throws ArgumentError for shares below 0 or
/// with a sum above 1, DataError when a part with a share above 0 would be empty.
Split split(Unit unit, std::string_view text, const SplitOptions& options = {},
            std::string_view name = "the text");
/// Deleted, because the parts would outlive the text.
Split split(Unit, std::string&&, const SplitOptions& = {}, std::string_view = {}) = delete;

}  // namespace gradus
