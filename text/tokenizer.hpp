#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/vocabulary.hpp"

namespace gradus {

/// The ids of a text. Words: those of each line, then "</s>"; a blank line is just "</s>"; a last line
/// without
/// "\n" is a line like the others, and no line follows the last "\n" (KenLM's convention). What the
/// vocabulary does not list becomes "<unk>". Throws DataError for invalid UTF-8, naming `name`, line and
/// byte, and for the word "</s>" in the text; `first_line` is the number of the text's first line in them.
std::vector<std::int32_t> encode(const Vocabulary& vocabulary, std::string_view text,
                                 std::string_view name = "the text", std::int64_t first_line = 1);

/// The text of ids: words with spaces between them and "</s>" as "\n"; an unknown word is "<unk>", an unknown
/// character U+FFFD. encode(decode(ids)) gives the ids back, but for an unknown character and a missing last
/// "</s>". Throws ArgumentError for an id out of range.
std::string decode(const Vocabulary& vocabulary, std::span<const std::int32_t> ids);

/// Calls visit(symbol) for each token of a text in order; the line end of words is "</s>". What `encode` and
/// `Vocabulary::build` are made of, for counting a text in another way. Throws as encode does.
void for_tokens(Unit unit, std::string_view text, std::string_view name,
                const std::function<void(std::string_view)>& visit, std::int64_t first_line = 1);

/// Throws DataError unless the text is valid UTF-8 (Unicode 15, table 3-7: overlong forms, surrogates, values
/// over U+10FFFF and cut sequences are not), naming `name`, the line and the byte in the line, both from 1.
void require_utf8(std::string_view text, std::string_view name, std::int64_t first_line = 1);

/// The number of code points of a valid UTF-8 text.
std::int64_t count_characters(std::string_view text);

}  // namespace gradus
