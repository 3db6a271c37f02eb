#include "text/base64.hpp"

#include <algorithm>
#include <cstdint>

namespace gradus {

namespace {

constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::string base64_lines(std::string_view bytes) {
  constexpr std::size_t line = 3 * 256;  // bytes
  std::string out;
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    std::uint32_t three = 0;
    const std::size_t there = std::min<std::size_t>(3, bytes.size() - at);
    for (std::size_t i = 0; i < 3; ++i)
      three = three << 8 | (i < there ? static_cast<unsigned char>(bytes[at + i]) : 0U);
    for (std::size_t i = 0; i < 4; ++i) out += i <= there ? digits[three >> (18 - 6 * i) & 63U] : '=';
    if ((at + 3) % line == 0) out += '\n';
  }
  if (!out.ends_with('\n')) out += '\n';
  return out;
}

std::optional<std::string> from_base64_lines(std::string_view text) {
  std::string out;
  std::uint32_t bits = 0;
  int count = 0, padding = 0;  // digits of a group of four, and signs of equality at the end
  for (const char c : text) {
    if (c == '\n') continue;
    const std::size_t digit = digits.find(c);
    if (c == '=' && count + padding >= 2) {
      ++padding;
      bits <<= 6;
    } else if (digit != digits.npos && padding == 0) {
      bits = bits << 6 | static_cast<std::uint32_t>(digit);
      ++count;
    } else {
      return std::nullopt;
    }
    if (count + padding < 4) continue;
    for (int i = 0; i + 1 < count; ++i) out += static_cast<char>(bits >> (16 - 8 * i) & 255U);
    bits = 0;
    count = 0;
    if (padding > 2) return std::nullopt;
  }
  return count == 0 ? std::optional(out) : std::nullopt;
}

}  // namespace gradus
