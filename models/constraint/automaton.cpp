#include "models/constraint/automaton.hpp"

#include <algorithm>
#include <map>

#include "tensor/support/error.hpp"
#include "text/utf8.hpp"

namespace gradus::models {

namespace {

constexpr char32_t last_character = 0x10FFFF;

bool is_letter_or_digit(char32_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c >= 0x80;
}

/// The characters that a begun one can become: those with its first bits.
std::pair<char32_t, char32_t> range_of(std::string_view part) {
  const auto first = static_cast<unsigned char>(part.front());
  const std::size_t length = utf8_length(first);
  char32_t bits = first & (0x7FU >> length);
  for (const char byte : part.substr(1)) bits = bits << 6 | (static_cast<unsigned char>(byte) & 0x3FU);
  const auto missing = static_cast<unsigned>(6 * (length - part.size()));
  // Shorter forms of the same numbers are no UTF-8.
  const char32_t shortest = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
  return {std::max<char32_t>(bits << missing, shortest),
          std::min<char32_t>(((bits + 1) << missing) - 1, last_character)};
}

/// Whether bytes are the beginning of a character, and no whole one.
bool begins_character(std::string_view part) {
  const auto first = static_cast<unsigned char>(part.front());
  if (first < 0xC2 || first > 0xF4) return false;
  const std::size_t length = utf8_length(first);
  if (part.size() >= length) return false;
  if (!std::ranges::all_of(part.substr(1), is_continuation)) return false;
  const auto [low, high] = range_of(part);
  return low <= high && !(low >= 0xD800 && high <= 0xDFFF);  // surrogates are none
}

}  // namespace

void TextAutomaton::grow() {
  if (size_++ == most_)
    fail<ArgumentError>("the expression or list has more than {} states and edges; make it shorter", most_);
}

std::int32_t TextAutomaton::add_node() {
  grow();
  nodes_.emplace_back();
  return static_cast<std::int32_t>(nodes_.size() - 1);
}

void TextAutomaton::add_edge(std::int32_t from, const Edge& edge) {
  grow();
  nodes_[static_cast<std::size_t>(from)].edges.push_back(edge);
}

void TextAutomaton::add_empty(std::int32_t from, std::int32_t to) {
  grow();
  nodes_[static_cast<std::size_t>(from)].empty.push_back(to);
}

std::vector<std::int32_t> TextAutomaton::closure(std::vector<std::int32_t> states) const {
  std::vector<bool> seen(nodes_.size());
  std::vector<std::int32_t> all;
  const auto visit = [&](std::int32_t i) {
    if (seen[static_cast<std::size_t>(i)]) return;
    seen[static_cast<std::size_t>(i)] = true;
    all.push_back(i);
  };
  for (const std::int32_t i : states) visit(i);
  for (std::size_t next = 0; next < all.size(); ++next) {
    for (const std::int32_t to : nodes_[static_cast<std::size_t>(all[next])].empty) visit(to);
  }
  // Those with neither a character nor an end only led on.
  std::erase_if(all, [&](std::int32_t i) {
    const Node& node = nodes_[static_cast<std::size_t>(i)];
    return node.edges.empty() && !node.accepts;
  });
  std::ranges::sort(all);
  return all;
}

std::vector<std::int32_t> TextAutomaton::step(std::span<const std::int32_t> states,
                                              char32_t character) const {
  std::vector<std::int32_t> next;
  for (const std::int32_t i : states) {
    for (const Edge& edge : nodes_[static_cast<std::size_t>(i)].edges) {
      if (edge.first <= character && character <= edge.last) next.push_back(edge.to);
    }
  }
  return next.empty() ? next : closure(std::move(next));
}

TextAutomaton::State TextAutomaton::start() const {
  return {start_, {}};
}

TextAutomaton::State TextAutomaton::after(const State& state, std::string_view bytes) const {
  State out = state;
  for (const char byte : bytes) {
    if (out.at.empty()) return {};
    out.part += byte;
    const std::size_t length = utf8_at(out.part, 0).length;
    if (length == 0) {
      if (!begins_character(out.part)) return {};
      continue;
    }
    out.at = step(out.at, code_point_at(out.part, 0, length));
    out.part.clear();
  }
  return out;
}

bool TextAutomaton::is_alive(const State& state) const {
  if (state.part.empty()) return !state.at.empty();
  const std::pair<char32_t, char32_t> range = range_of(state.part);
  return std::ranges::any_of(state.at, [&](std::int32_t i) {
    return std::ranges::any_of(nodes_[static_cast<std::size_t>(i)].edges, [&](const Edge& edge) {
      return edge.first <= range.second && edge.last >= range.first;
    });
  });
}

bool TextAutomaton::accepts(const State& state) const {
  if (!state.part.empty()) return false;
  return std::ranges::any_of(state.at,
                             [&](std::int32_t i) { return nodes_[static_cast<std::size_t>(i)].accepts; });
}

/// The words are one tree, so that a text is in one state of it at a time, however long the list.
TextAutomaton TextAutomaton::of_words(std::span<const std::string> words) {
  TextAutomaton out;
  const std::int32_t between = out.add_node();  // before the first word and after what separates two
  // Letters and digits are what a word may not be followed by without a break.
  const auto separate = [&](std::int32_t from) {
    out.nodes_[static_cast<std::size_t>(from)].accepts = true;
    for (const auto& [first, last] :
         std::initializer_list<std::pair<char32_t, char32_t>>{{0, '/'}, {':', '@'}, {'[', '`'}, {'{', 0x7F}})
      out.add_edge(from, {first, last, between});
  };
  separate(between);
  std::map<std::pair<std::int32_t, char32_t>, std::int32_t> children;
  std::vector<bool> ends{true};
  for (const std::string& word : words) {
    std::int32_t at = between;
    for (std::size_t i = 0; i < word.size();) {
      const std::size_t length = utf8_at(word, i).length;
      if (length == 0) fail<DataError>("the list of words: a word that is no UTF-8");
      const char32_t c = code_point_at(word, i, length);
      // A mark before a word's first letter separates, and is no part of it.
      if (at != between || is_letter_or_digit(c)) {
        const auto [child, is_new] = children.try_emplace({at, c}, 0);
        if (is_new) {
          child->second = out.add_node();
          ends.push_back(false);
          out.add_edge(at, {c, c, child->second});
        }
        at = child->second;
      }
      i += length;
    }
    if (at == between || ends[static_cast<std::size_t>(at)]) continue;
    ends[static_cast<std::size_t>(at)] = true;
    separate(at);
  }
  if (out.nodes_.size() == 1) fail<ArgumentError>("the list of words has no word");
  out.start_ = out.closure({between});
  return out;
}

}  // namespace gradus::models
