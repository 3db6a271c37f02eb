#pragma once

// Internal: not part of the public interface.

#include <cstddef>
#include <string_view>

namespace gradus {

struct Utf8Sequence {
  std::size_t length = 0;         // in bytes; 0: not valid
  std::string_view problem = {};  // why it is not valid
};

namespace detail {
inline bool in_range(unsigned char byte, unsigned low, unsigned high) {
  return byte >= low && byte <= high;
}
}  // namespace detail

/// How many bytes a character has that begins with this one, which no continuation byte does.
inline std::size_t utf8_length(unsigned char first) {
  return first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}
/// Whether a byte goes on with a character.
inline bool is_continuation(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80;
}

/// How many bytes of a text come before a character that is cut short at its end.
inline std::size_t whole_characters(std::string_view text) {
  for (std::size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const char byte = text[text.size() - back];
    if (is_continuation(byte)) continue;
    return utf8_length(static_cast<unsigned char>(byte)) > back ? text.size() - back : text.size();
  }
  return text.size();
}

/// The character of UTF-8 that begins at a byte of the text. Table 3-7 of the Unicode standard: only the
/// range of the second byte depends on the first byte.
inline Utf8Sequence utf8_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {1, {}};
  if (first < 0xC0) return {0, "a continuation byte with nothing to continue"};
  if (first < 0xC2) return {0, "an overlong form"};
  if (first > 0xF4) return {0, "a byte that UTF-8 never has"};
  const std::size_t length = utf8_length(first);
  for (std::size_t i = 1; i < length; ++i) {
    if (at + i >= text.size() || !detail::in_range(byte(i), 0x80, 0xBF)) return {0, "a character cut short"};
    if (i > 1) continue;
    if (first == 0xE0 && byte(1) < 0xA0) return {0, "an overlong form"};
    if (first == 0xED && byte(1) > 0x9F) return {0, "half of a surrogate pair"};
    if (first == 0xF0 && byte(1) < 0x90) return {0, "an overlong form"};
    if (first == 0xF4 && byte(1) > 0x8F) return {0, "a value over U+10FFFF"};
  }
  return {length, {}};
}

/// The code point of a valid character of that length.
inline char32_t code_point_at(std::string_view text, std::size_t at, std::size_t length) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[at + i]); };
  if (length == 1) return byte(0);
  char32_t out = byte(0) & (0x7FU >> length);
  for (std::size_t i = 1; i < length; ++i) out = out << 6 | (byte(i) & 0x3FU);
  return out;
}

/// Appends a code point in UTF-8.
template <class Text>
void append_utf8(Text& text, char32_t c) {
  const auto add = [&](char32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (c < 0x80) return add(c);
  if (c < 0x800) {
    add(0xC0 | c >> 6);
  } else {
    if (c < 0x10000) {
      add(0xE0 | c >> 12);
    } else {
      add(0xF0 | c >> 18);
      add(0x80 | (c >> 12 & 0x3F));
    }
    add(0x80 | (c >> 6 & 0x3F));
  }
  add(0x80 | (c & 0x3F));
}

}  // namespace gradus
