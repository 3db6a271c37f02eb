#include "text/unicode_classes.hpp"

#include <string>

#include "text/regex.hpp"
#include "text/utf8.hpp"

namespace gradus {

namespace {

/// Gives the code points from `first` on that a pattern of single characters matches in `text`, which holds
/// one character after another, their class.
void mark(std::vector<CharacterClass>& classes, std::string_view text, const char* pattern,
          CharacterClass kind) {
  Regex(pattern, "a class of characters").matches(text, [&](std::string_view run) {
    for (std::size_t at = 0; at < run.size();) {
      const std::size_t length = utf8_at(run, at).length;
      classes[code_point_at(run, at, length)] = kind;
      at += length;
    }
  });
}

std::vector<CharacterClass> make() {
  constexpr char32_t end = 0x40000, surrogates = 0xD800, after_surrogates = 0xE000;
  std::string all;
  all.reserve(std::size_t{4} * end);
  for (char32_t c = 0; c < end; ++c) {
    if (c == surrogates) c = after_surrogates;
    append_utf8(all, c);
  }
  std::vector<CharacterClass> out(end);
  mark(out, all, R"(\p{L}+)", CharacterClass::letter);
  mark(out, all, R"(\p{N}+)", CharacterClass::number);
  mark(out, all, R"(\s+)", CharacterClass::space);
  return out;
}

}  // namespace

const std::vector<CharacterClass>& character_classes() {
  static const std::vector<CharacterClass> classes = make();
  return classes;
}

}  // namespace gradus
