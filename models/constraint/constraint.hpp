#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "models/constraint/automaton.hpp"
#include "text/vocabulary.hpp"

namespace gradus::models {

/// What may follow a text that is limited by a Constraint.
struct NextTokens {
  /// Of each id of the vocabulary: whether the text may go on with it.
  std::vector<bool> allowed;
  /// Whether the text so far is all that was asked for, so that it may end here.
  bool complete = false;
  /// Whether there is anything that it may go on with.
  bool goes_on = false;
};

/// Limits what is generated (GenerateOptions::constraint) to texts of an automaton: tokens after which the
/// text cannot become one of them are not drawn, and the others keep their probabilities to one another. A
/// text ends where nothing may follow it or, once it is complete, with one of the tokens that end a text,
/// which is left out of it; a line end that may go on with the text is a part of it. The text is that behind
/// the prompt, as `decode` gives it: of words without a space before the first, of subwords with the space
/// that their first token may begin with.
///
/// What may follow is worked out once for each state of the automaton, by trying all tokens in the order of
/// their spellings, so that those with the same beginning are tried together; several threads may use one.
class Constraint {
 public:
  /// `ends`: tokens that end a text which is complete, such as the line end. `never`: tokens that no text
  /// has, such as "<unk>", and those whose spelling is no text, such as one that ends documents. What may
  /// follow states is kept, of so many bytes of them.
  Constraint(TextAutomaton automaton, const Vocabulary& vocabulary, std::vector<std::int32_t> ends,
             std::vector<std::int32_t> never = {}, std::size_t kept_bytes = std::size_t{32} << 20);

  /// Where a text is.
  struct Position {
    TextAutomaton::State state;
    bool first = true;  // whether the next token is spelled as the first of a line
    auto operator<=>(const Position&) const = default;
    bool operator==(const Position&) const = default;
  };
  Position start() const { return {automaton_.start(), true}; }
  /// After one more token, which must be one of the vocabulary.
  Position after(const Position& position, std::int32_t token) const;
  std::shared_ptr<const NextTokens> next(const Position& position) const;
  /// The same of a whole text.
  std::shared_ptr<const NextTokens> after(std::span<const std::int32_t> text) const;
  bool is_end(std::int32_t token) const;
  /// The bytes of what is kept.
  std::size_t known_bytes() const;

 private:
  /// The spellings of all tokens in one of two places, and their ids in the order of those.
  struct Spellings {
    std::vector<std::string> texts;
    std::vector<std::int32_t> order;
  };
  static Spellings spellings(const Vocabulary& vocabulary, bool first, std::span<const std::int32_t> never);
  NextTokens next_tokens(const Position& position) const;

  TextAutomaton automaton_;
  std::vector<std::int32_t> ends_;
  bool words_;
  std::int32_t line_end_;
  std::size_t kept_bytes_;
  Spellings first_, later_;
  mutable std::mutex mutex_;
  mutable std::map<Position, std::shared_ptr<const NextTokens>> known_;
  mutable std::size_t known_bytes_ = 0;
};

}  // namespace gradus::models
