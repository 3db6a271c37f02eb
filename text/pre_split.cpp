#include "text/pre_split.hpp"

#include <array>
#include <span>

#include "text/bpe.hpp"
#include "text/unicode_classes.hpp"
#include "text/utf8.hpp"

namespace gradus {

namespace {

using enum CharacterClass;

constexpr std::array<CharacterClass, 128> make_ascii_classes() {
  std::array<CharacterClass, 128> out{};
  for (unsigned c = 0; c < 128; ++c) {
    const unsigned upper = c & ~0x20U;
    out[c] = upper >= 'A' && upper <= 'Z'           ? letter
             : c >= '0' && c <= '9'                 ? number
             : c == ' ' || (c >= '\t' && c <= '\r') ? space
                                                    : other;
  }
  return out;
}
constexpr std::array<CharacterClass, 128> ascii_classes = make_ascii_classes();

/// Cuts pieces by GPT-2's pattern, each alternative in its order.
class Gpt2Scanner {
 public:
  explicit Gpt2Scanner(std::string_view text) : text_(text), classes_(character_classes()) {}

  /// Where the piece that begins at this byte ends.
  std::size_t piece_end(std::size_t at) const {
    if (text_[at] == '\'') {
      const std::size_t length = contraction(at);
      if (length > 0) return at + length;
    }
    const Character first = character(at);
    Character of = first;
    // " ?": a space goes with what follows, unless that is a space too.
    if (text_[at] == ' ' && at + 1 < text_.size()) {
      const Character second = character(at + 1);
      if (second.kind != space) of = second;
    }
    if (of.kind != space) return run_end(of);
    // "\s+(?!\S)|\s+": the last of several spaces goes with what follows.
    std::size_t end = first.end, last = at;
    while (end < text_.size()) {
      const Character next = character(end);
      if (next.kind != space) return last == at ? end : last;
      last = end;
      end = next.end;
    }
    return end;
  }

 private:
  struct Character {
    CharacterClass kind;
    std::size_t end;
  };

  Character character(std::size_t at) const {
    const auto byte = static_cast<unsigned char>(text_[at]);
    if (byte < 0x80) return {ascii_classes[byte], at + 1};
    const std::size_t length = utf8_at(text_, at).length;
    if (length == 0) return {other, at + 1};
    const char32_t c = code_point_at(text_, at, length);
    return {c < classes_.size() ? classes_[c] : other, at + length};
  }

  std::size_t run_end(Character of) const {
    std::size_t end = of.end;
    while (end < text_.size()) {
      const Character next = character(end);
      if (next.kind != of.kind) break;
      end = next.end;
    }
    return end;
  }

  /// The length of 's, 't, 're, 've, 'm, 'll or 'd; 0 for anything else behind the apostrophe.
  std::size_t contraction(std::size_t at) const {
    const std::string_view rest = text_.substr(at + 1, 2);
    if (rest.empty()) return 0;
    if (std::string_view("stmd").find(rest[0]) != std::string_view::npos) return 2;
    return rest == "re" || rest == "ve" || rest == "ll" ? 3 : 0;
  }

  std::string_view text_;
  std::span<const CharacterClass> classes_;
};

}  // namespace

PreSplit::PreSplit(std::vector<std::string> patterns, std::string_view name)
    : patterns_(std::move(patterns)), gpt2_(patterns_.size() == 1 && patterns_[0] == gpt2_pattern) {
  if (gpt2_) return;
  for (const std::string& pattern : patterns_) regexes_.emplace_back(pattern, name);
}

void PreSplit::split(std::string_view text, FunctionRef<void(std::string_view)> visit) const {
  if (gpt2_) {
    const Gpt2Scanner scanner(text);
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = scanner.piece_end(at);
      visit(text.substr(at, end - at));
      at = end;
    }
    return;
  }
  if (regexes_.empty()) {
    if (!text.empty()) visit(text);
    return;
  }
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t start = at;
    std::size_t length = 0;
    while (at < text.size() && (length = utf8_at(text, at).length) > 0) at += length;
    if (at > start) split(text.substr(start, at - start), 0, visit);
    const std::size_t damage = at;
    while (at < text.size() && utf8_at(text, at).length == 0) ++at;
    if (at > damage) visit(text.substr(damage, at - damage));
  }
}

void PreSplit::split(std::string_view text, std::size_t level,
                     FunctionRef<void(std::string_view)> visit) const {
  if (level == regexes_.size()) return visit(text);
  regexes_[level].split(text, [&](std::string_view piece) { split(piece, level + 1, visit); });
}

/// Any white space behind a visible character of ASCII begins a piece of GPT-2's pattern, whatever follows.
bool PreSplit::is_cut(std::string_view text, std::size_t at) const {
  const char before = text[at - 1], here = text[at];
  return before > ' ' && before < 0x7F && here > 0 && here <= ' ' &&
         ascii_classes[static_cast<unsigned char>(here)] == space;
}

std::size_t PreSplit::cut_after(std::string_view text, std::size_t from) const {
  if (!gpt2_) return text.size();
  for (std::size_t at = std::max<std::size_t>(from, 1); at < text.size(); ++at) {
    if (is_cut(text, at)) return at;
  }
  return text.size();
}

std::size_t PreSplit::last_cut(std::string_view text) const {
  if (!gpt2_ || text.empty()) return 0;
  for (std::size_t at = text.size() - 1; at > 0; --at) {
    if (is_cut(text, at)) return at;
  }
  return 0;
}

std::vector<std::string_view> PreSplit::parts(std::string_view text, std::size_t length) const {
  std::vector<std::string_view> out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = cut_after(text, std::min(at + length, text.size()));
    out.push_back(text.substr(at, end - at));
    at = end;
  }
  return out;
}

}  // namespace gradus
