#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "models/constraint/automaton.hpp"
#include "tensor/support/error.hpp"
#include "text/utf8.hpp"

namespace gradus::models {

namespace {

constexpr char32_t last_character = 0x10FFFF;
constexpr int deepest = 500;                 // groups within one another
constexpr std::int64_t most_times = 10'000;  // of {n,m}

using Range = std::pair<char32_t, char32_t>;
using Ranges = std::vector<Range>;

/// The same characters in the fewest ranges, in order.
Ranges merged(Ranges ranges) {
  std::ranges::sort(ranges);
  Ranges out;
  for (const auto& [first, last] : ranges) {
    if (!out.empty() && first <= out.back().second + 1) {
      out.back().second = std::max(out.back().second, last);
    } else {
      out.emplace_back(first, last);
    }
  }
  return out;
}

Ranges inverse(Ranges ranges) {
  std::ranges::sort(ranges);
  Ranges out;
  char32_t from = 0;
  for (const auto& [first, last] : ranges) {
    if (first > from) out.emplace_back(from, first - 1);
    from = std::max<char32_t>(from, last + 1);
  }
  if (from <= last_character) out.emplace_back(from, last_character);
  return out;
}

/// Of \d, \w and \s, and nothing for another letter; the large ones are the others.
std::optional<Ranges> class_of(char32_t letter) {
  switch (letter) {
    case 'd':
      return Ranges{{'0', '9'}};
    case 'w':
      return Ranges{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
    case 's':
      return Ranges{{'\t', '\r'}, {' ', ' '}};
    case 'D':
    case 'W':
    case 'S':
      return inverse(*class_of(letter + ('a' - 'A')));
    default:
      return std::nullopt;
  }
}

}  // namespace

/// Reads an expression by descent, and builds the automaton on the way: each part is one with an entry and an
/// exit (Thompson's construction).
class ExpressionParser {
 public:
  ExpressionParser(std::string_view text, std::size_t most) : text_(text) {
    out_.most_ = most;
    for (std::size_t i = 0; i < text.size(); i += utf8_at(text, i).length) {
      const Utf8Sequence one = utf8_at(text, i);
      if (one.length == 0) refuse(i, "invalid UTF-8");
      characters_.push_back(code_point_at(text, i, one.length));
      places_.push_back(i);
    }
    places_.push_back(text.size());
  }

  TextAutomaton parsed() {
    const Part all = choice(0);
    if (!ended()) refuse_here("a ) that closes nothing");
    node(all.exit).accepts = true;
    out_.start_ = out_.closure({all.entry});
    return std::move(out_);
  }

 private:
  struct Part {
    std::int32_t entry, exit;
  };

  TextAutomaton::Node& node(std::int32_t i) { return out_.nodes_[static_cast<std::size_t>(i)]; }
  bool ended() const { return next_ == characters_.size(); }
  char32_t peek() const { return ended() ? U'\0' : characters_[next_]; }
  bool at(char32_t c) const { return !ended() && characters_[next_] == c; }
  bool take(char32_t c) {
    if (!at(c)) return false;
    ++next_;
    return true;
  }
  [[noreturn]] void refuse(std::size_t place, std::string_view what) const {
    fail<ArgumentError>("the expression '{}', at byte {}: {}", text_, place, what);
  }
  [[noreturn]] void refuse_here(std::string_view what) const { refuse(places_[next_], what); }

  Part empty() {
    const std::int32_t one = out_.add_node();
    return {one, one};
  }
  Part of_ranges(const Ranges& ranges) {
    const std::int32_t from = out_.add_node(), to = out_.add_node();
    for (const auto& [first, last] : ranges) out_.add_edge(from, {first, last, to});
    return {from, to};
  }

  Part choice(int depth) {
    if (depth == deepest) refuse_here("too many groups within one another");
    Part out = sequence(depth);
    if (!at('|')) return out;
    const std::int32_t entry = out_.add_node(), exit = out_.add_node();
    const auto join = [&](const Part& part) {
      out_.add_empty(entry, part.entry);
      out_.add_empty(part.exit, exit);
    };
    join(out);
    while (take('|')) join(sequence(depth));
    return {entry, exit};
  }

  Part sequence(int depth) {
    Part out = empty();
    while (!ended() && !at('|') && !at(')')) {
      const Part more = repeated(depth);
      out_.add_empty(out.exit, more.entry);
      out.exit = more.exit;
    }
    return out;
  }

  /// A part as often as the quantifier behind it says; to have it more than once, it is read again.
  Part repeated(int depth) {
    const std::size_t begin = next_;
    Part first = single(depth);
    const std::size_t end = next_;
    std::int64_t least = 1, most = 1;  // -1: without end
    if (!quantifier(least, most)) return first;
    if (is_quantifier_next()) refuse_here("a quantifier behind a quantifier");
    const std::size_t behind = next_;
    const auto again = [&] {
      next_ = begin;
      const Part out = single(depth);
      if (next_ != end) refuse_here("a part that cannot be repeated");
      next_ = behind;
      return out;
    };
    const std::int32_t entry = out_.add_node(), exit = out_.add_node();
    std::int32_t from = entry;
    std::optional<Part> one = first;
    const auto copy = [&] { return one ? *std::exchange(one, std::nullopt) : again(); };
    for (std::int64_t i = 0; i < least; ++i) {
      const Part part = copy();
      out_.add_empty(from, part.entry);
      from = part.exit;
    }
    if (most < 0) {
      const Part part = copy();
      out_.add_empty(from, part.entry);
      out_.add_empty(part.exit, from);
    }
    for (std::int64_t i = least; i < most; ++i) {
      const Part part = copy();
      out_.add_empty(from, exit);
      out_.add_empty(from, part.entry);
      from = part.exit;
    }
    out_.add_empty(from, exit);
    return {entry, exit};
  }

  bool is_quantifier_next() const { return at('*') || at('+') || (at('{') && is_count()); }
  /// Whether a { begins a count; another one is a character.
  bool is_count() const {
    std::size_t i = next_ + 1;
    const auto digits = [&] {
      const std::size_t before = i;
      while (i < characters_.size() && characters_[i] >= '0' && characters_[i] <= '9') ++i;
      return i > before;
    };
    if (!digits()) return false;
    if (i < characters_.size() && characters_[i] == ',') {
      ++i;
      digits();
    }
    return i < characters_.size() && characters_[i] == '}';
  }

  bool quantifier(std::int64_t& least, std::int64_t& most) {
    if (take('*')) {
      least = 0;
      most = -1;
    } else if (take('+')) {
      most = -1;
    } else if (take('?')) {
      least = 0;
    } else if (at('{') && is_count()) {
      ++next_;
      least = number();
      most = least;
      if (take(',')) most = at('}') ? -1 : number();
      if (most >= 0 && most < least) refuse_here("a count whose second number is the smaller one");
      take('}');
    } else {
      return false;
    }
    take('?');  // lazy: what is matched is the same
    return true;
  }

  std::int64_t number() {
    std::int64_t out = 0;
    while (peek() >= '0' && peek() <= '9') {
      out = 10 * out + static_cast<std::int64_t>(characters_[next_++] - '0');
      if (out > most_times) refuse_here("a count above 10000");
    }
    return out;
  }

  Part single(int depth) {
    const char32_t c = characters_[next_];
    switch (c) {
      case '(':
        return group(depth);
      case '[':
        return of_ranges(set());
      case '.':
        ++next_;
        return of_ranges(inverse({{'\n', '\n'}}));
      case '*':
      case '+':
      case '?':
        refuse_here("a quantifier with nothing before it");
      case '^':
      case '$':
        refuse_here(
            "the text is matched as a whole, so ^ and $ are left out; as characters they are \\^ and \\$");
      case '\\':
        return of_ranges(escape());
      default:
        if (c == '{' && is_count()) refuse_here("a quantifier with nothing before it");
        ++next_;
        return of_ranges({{c, c}});
    }
  }

  Part group(int depth) {
    const std::size_t begin = next_++;
    if (take('?') && !take(':')) refuse(places_[begin], "of groups with a ? there is (?:...) alone");
    const Part out = choice(depth + 1);
    if (!take(')')) refuse(places_[begin], "a ( that nothing closes");
    return out;
  }

  /// What stands behind a backslash.
  Ranges escape() {
    const std::size_t begin = next_++;
    if (ended()) refuse(places_[begin], "a backslash with nothing behind it");
    const char32_t c = characters_[next_++];
    if (const auto known = class_of(c)) return *known;
    const auto one = [](char32_t character) { return Ranges{{character, character}}; };
    switch (c) {
      case 'n':
        return one('\n');
      case 't':
        return one('\t');
      case 'r':
        return one('\r');
      case 'x':
        return one(hexadecimal(begin));
      default:
        break;
    }
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (letter) refuse(places_[begin], "an escape that is not known here");
    return one(c);
  }

  char32_t hexadecimal(std::size_t begin) {
    const bool braces = take('{');
    char32_t out = 0;
    int digits = 0;
    while (digits < (braces ? 6 : 2) && !ended()) {
      const char32_t c = peek();
      const char32_t lower = c | 0x20;
      const bool digit = c >= '0' && c <= '9', letter = lower >= 'a' && lower <= 'f';
      if (!digit && !letter) break;
      out = 16 * out + (digit ? c - '0' : lower - 'a' + 10);
      ++digits;
      ++next_;
    }
    const bool surrogate = out >= 0xD800 && out <= 0xDFFF;
    if (digits == 0 || (braces && !take('}')) || out > last_character || surrogate)
      refuse(places_[begin], "a \\x that is no character");
    return out;
  }

  /// A class in brackets; a ] that comes first is a character.
  Ranges set() {
    const std::size_t begin = next_++;
    const bool negated = take('^');
    Ranges out;
    for (bool first = true; first || !at(']'); first = false) {
      if (ended()) refuse(places_[begin], "a [ that nothing closes");
      const Ranges low = element();
      const bool is_range = at('-') && next_ + 1 < characters_.size() && characters_[next_ + 1] != ']';
      if (!is_range) {
        out.insert(out.end(), low.begin(), low.end());
        continue;
      }
      const std::size_t dash = next_++;
      const Ranges high = element();
      const auto single_character = [](const Ranges& r) {
        return r.size() == 1 && r[0].first == r[0].second;
      };
      if (!single_character(low) || !single_character(high) || low[0].first > high[0].first)
        refuse(places_[dash], "a range from a character to one before it, or of classes");
      out.emplace_back(low[0].first, high[0].first);
    }
    ++next_;
    // UTF-8 has no surrogates.
    Ranges others = negated ? merged(std::move(out)) : inverse(std::move(out));
    others.emplace_back(0xD800, 0xDFFF);
    out = inverse(std::move(others));
    if (out.empty()) refuse(places_[begin], "a class that no character is in");
    return out;
  }

  Ranges element() {
    if (at('[') && next_ + 1 < characters_.size() && characters_[next_ + 1] == ':')
      refuse_here("classes such as [:alpha:] are not known here; write the characters");
    if (at('\\')) return escape();
    const char32_t c = characters_[next_++];
    return {{c, c}};
  }

  std::string_view text_;
  std::vector<char32_t> characters_;
  std::vector<std::size_t> places_;  // of the characters, in bytes
  std::size_t next_ = 0;
  TextAutomaton out_;
};

TextAutomaton TextAutomaton::of_expression(std::string_view expression, std::size_t most) {
  return ExpressionParser(expression, most).parsed();
}

}  // namespace gradus::models
