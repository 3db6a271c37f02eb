#pragma once

// Internal: not part of the public interface.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gradus {

/// The bytes in GPT-2's order: those that are visible characters of Latin-1, then the others.
std::array<unsigned char, 256> bytes_in_order();

/// Bytes as GPT-2's files write them, so that each is a visible character: one that is visible in Latin-1 as
/// that, the others, in their order, as U+0100, U+0101 and so on.
std::string to_letters(std::string_view bytes);
/// The reverse; nothing where a character stands for no byte.
std::optional<std::string> from_letters(std::string_view letters);

}  // namespace gradus
