#include "text/byte_letters.hpp"

#include "text/utf8.hpp"

namespace gradus {

namespace {

constexpr bool is_visible(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
}

struct Letters {
  std::array<char32_t, 256> of{};
  std::array<std::int16_t, 0x180> byte{};  // -1: none

  constexpr Letters() {
    for (auto& b : byte) b = -1;
    char32_t next = 0x100;
    for (unsigned b = 0; b < 256; ++b) {
      of[b] = is_visible(b) ? b : next++;
      byte[of[b]] = static_cast<std::int16_t>(b);
    }
  }
};
constexpr Letters letters;

}  // namespace

std::array<unsigned char, 256> bytes_in_order() {
  std::array<unsigned char, 256> out{};
  std::size_t at = 0;
  for (const bool visible : {true, false}) {
    for (unsigned b = 0; b < 256; ++b) {
      if (is_visible(b) == visible) out[at++] = static_cast<unsigned char>(b);
    }
  }
  return out;
}

std::string to_letters(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) append_utf8(out, letters.of[static_cast<unsigned char>(c)]);
  return out;
}

std::optional<std::string> from_letters(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_at(text, at).length;
    if (length == 0) return std::nullopt;
    const char32_t c = code_point_at(text, at, length);
    if (c >= letters.byte.size() || letters.byte[c] < 0) return std::nullopt;
    out += static_cast<char>(letters.byte[c]);
    at += length;
  }
  return out;
}

}  // namespace gradus
