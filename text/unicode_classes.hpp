#pragma once

// Internal: not part of the public interface.

#include <cstdint>
#include <vector>

namespace gradus {

/// What the pattern of a tokenizer tells apart: \p{L}, \p{N}, \s, and all else.
enum class CharacterClass : std::uint8_t { other, letter, number, space };

/// The class of each code point below 0x40000; those from there on are `other`: tags, selectors, private use
/// and what no version of Unicode assigns. Letters and numbers are those of the Unicode version of the PCRE2
/// that is installed; spaces are Unicode's White_Space, which has not changed since 2013.
const std::vector<CharacterClass>& character_classes();

}  // namespace gradus
