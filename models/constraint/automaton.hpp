#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// What a generated text may be: regular expressions and lists of words, read step by step.
///
/// A library of expressions, such as PCRE2, says whether a text can still become a match, but not in which
/// state it is, so that each of fifty thousand tokens would be tried anew at each step of a text. Here the
/// state is a value, and what may follow one is worked out once (models/constraint/constraint.hpp).
namespace gradus::models {

/// A nondeterministic finite automaton over Unicode's code points (Thompson 1968), which reads UTF-8.
class TextAutomaton {
 public:
  /// The texts that an expression matches as a whole. It is written as for most libraries: characters,
  /// `.` for any but a line end, classes such as [a-z_] and [^0-9], \d \w \s of ASCII and \D \W \S,
  /// \n \t \r \xHH \x{HHHH}, groups (...) and (?:...), | and the quantifiers * + ? {n} {n,} {n,m}, with a
  /// lazy
  /// `?` behind them, which changes nothing here. Throws ArgumentError, with the place, for what is no such
  /// expression, for anchors, references and conditions on what stands around, and for one that becomes
  /// larger than `most` states and edges.
  static TextAutomaton of_expression(std::string_view expression, std::size_t most = 1'000'000);
  /// The texts whose words are all in a list, as often and in any order: between two of them stand characters
  /// that are neither letters nor digits, at least one. Characters beyond ASCII are letters. Throws
  /// ArgumentError for a list without a word and for one of more than ten million states and edges, DataError
  /// for invalid UTF-8.
  static TextAutomaton of_words(std::span<const std::string> words);

  /// Where a text is: the states that it may be in, in rising order, and the bytes of a character that is not
  /// complete. Without states, no text that goes on so is one of the automaton's.
  struct State {
    std::vector<std::int32_t> at;
    std::string part;
    auto operator<=>(const State&) const = default;
    bool operator==(const State&) const = default;
  };
  State start() const;
  /// The state after more bytes of the text; bytes that are no UTF-8 leave none.
  State after(const State& state, std::string_view bytes) const;
  /// Whether a text that begins so can become one of the automaton's. Every state leads to an end, so only a
  /// character that has begun needs a look.
  bool is_alive(const State& state) const;
  /// Whether the text so far is one of the automaton's.
  bool accepts(const State& state) const;

 private:
  friend class ExpressionParser;
  struct Edge {
    char32_t first, last;  // the characters of it, both included
    std::int32_t to;
  };
  struct Node {
    std::vector<Edge> edges;
    std::vector<std::int32_t> empty;  // where it leads without a character
    bool accepts = false;
  };

  std::int32_t add_node();
  void add_edge(std::int32_t from, const Edge& edge);
  void add_empty(std::int32_t from, std::int32_t to);
  /// Counts a state or an edge. Throws ArgumentError for one too many.
  void grow();
  /// Where states lead without a character, those themselves included.
  std::vector<std::int32_t> closure(std::vector<std::int32_t> states) const;
  std::vector<std::int32_t> step(std::span<const std::int32_t> states, char32_t character) const;

  std::vector<Node> nodes_;
  std::vector<std::int32_t> start_;
  std::size_t size_ = 0, most_ = 10'000'000;  // states and edges
};

}  // namespace gradus::models
