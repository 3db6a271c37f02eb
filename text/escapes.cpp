#include "text/escapes.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "text/text_check.hpp"
#include "text/utf8.hpp"

namespace gradus {

namespace {

// A character and the letter that stands for it after a backslash.
constexpr std::pair<char, char> escapes[] = {{'\\', '\\'}, {'\n', 'n'}, {'\t', 't'}, {'\r', 'r'}};

}  // namespace

std::string escaped(std::string_view symbol) {
  std::string out;
  for (std::size_t at = 0; at < symbol.size();) {
    const std::size_t length = utf8_at(symbol, at).length;
    const char c = symbol[at];
    const auto byte = static_cast<unsigned char>(c);
    const auto found =
        std::find_if(std::begin(escapes), std::end(escapes), [&](auto e) { return e.first == c; });
    if (found != std::end(escapes)) {
      out += {'\\', found->second};
    } else if (byte < 0x20 || byte == 0x7F || length == 0) {
      out += fmt::format("\\x{:02X}", static_cast<unsigned>(byte));
    } else {
      out += symbol.substr(at, length);
    }
    at += length == 0 ? 1 : length;
  }
  return out;
}

bool unescape(std::string_view text, std::string& out) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\\') {
      out += text[at];
      continue;
    }
    const char letter = ++at < text.size() ? text[at] : '\0';
    const auto found =
        std::find_if(std::begin(escapes), std::end(escapes), [&](auto e) { return e.second == letter; });
    unsigned value = 0;
    if (found != std::end(escapes)) {
      out += found->first;
    } else if (letter == 'x' && at + 2 < text.size() && to_number(text.substr(at + 1, 2), value, 16)) {
      out += static_cast<char>(value);
      at += 2;
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace gradus
