#pragma once

// Internal: not part of the public interface.

#include <string>
#include <string_view>
#include <vector>

#include "tensor/support/function_ref.hpp"
#include "text/regex.hpp"

namespace gradus {

/// How a text is cut into pieces, which no token crosses: by patterns, one after the other, whose matches and
/// what lies between them are the pieces. GPT-2's pattern has a scanner of its own, which gives what the
/// pattern does, several times as fast.
///
/// Of what is not valid UTF-8, each byte is a character that is neither letter, number nor space, as U+FFFD
/// is, for GPT-2's pattern; for others, bytes that are not valid are a piece of their own.
class PreSplit {
 public:
  /// None: the whole text is one piece. Throws DataError as Regex does.
  PreSplit(std::vector<std::string> patterns, std::string_view name);

  const std::vector<std::string>& patterns() const { return patterns_; }
  void split(std::string_view text, FunctionRef<void(std::string_view)> visit) const;
  /// The first place, at or after `from`, where a text can be cut so that its pieces are those of the two
  /// parts; its end where none is known. And the last such place, 0 where none is known.
  std::size_t cut_after(std::string_view text, std::size_t from) const;
  std::size_t last_cut(std::string_view text) const;
  /// The text in parts of `length` bytes or a little more, cut at such places: they depend on it alone.
  std::vector<std::string_view> parts(std::string_view text, std::size_t length) const;

 private:
  bool is_cut(std::string_view text, std::size_t at) const;
  void split(std::string_view text, std::size_t level, FunctionRef<void(std::string_view)> visit) const;

  std::vector<std::string> patterns_;
  bool gpt2_ = false;
  std::vector<Regex> regexes_;
};

}  // namespace gradus
