#pragma once

// Internal: not part of the public interface.

#include <memory>
#include <string>
#include <string_view>

#include "tensor/support/function_ref.hpp"

namespace gradus {

/// A regular expression over UTF-8, through PCRE2's compiler. \s and \S are Unicode's White_Space, as in the
/// expressions of tokenizers (PCRE2's own \s has U+180E too, and lacks nothing). Several threads may use one.
class Regex {
 public:
  /// Throws DataError, which names `name` and the place in the pattern, for one that PCRE2 does not read, and
  /// for \w, \W, \b and \B, of which libraries mean different things.
  Regex(std::string_view pattern, std::string_view name);

  /// Calls visit for each match that is not empty, from left to right. The text must be valid UTF-8. Throws
  /// DataError when the search takes too many steps, as patterns can be made to.
  void matches(std::string_view text, FunctionRef<void(std::string_view)> visit) const;
  /// Calls visit for the matches and for what lies between them, which together are the whole text.
  void split(std::string_view text, FunctionRef<void(std::string_view)> visit) const;

 private:
  struct Code;
  std::shared_ptr<const Code> code_;
};

}  // namespace gradus
