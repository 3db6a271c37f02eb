#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/vocabulary.hpp"

namespace gradus {

/// The ids of a text. For words: those of each line, then "</s>". A blank line is just "</s>". A last line
/// without "\n" is a line like the others, and no line follows the last "\n" (KenLM's convention). Symbols
/// that the vocabulary does not list become "<unk>". Throws DataError, which names `name`, the line and the
/// byte, for invalid UTF-8, and for the words "<s>" and "</s>" in the text; `first_line` is the number of the
/// first line in errors. Subwords are those of the vocabulary's tokenizer, which takes any bytes.
std::vector<std::int32_t> encode(const Vocabulary& vocabulary, std::string_view text,
                                 std::string_view name = "the text", std::int64_t first_line = 1);

/// The text of ids: words are separated by spaces, "</s>" is "\n", an unknown word is "<unk>" and an unknown
/// character U+FFFD. encode(decode(ids)) gives the same ids, except for unknown characters and where the last
/// "</s>" is missing. Subwords are put together by their tokenizer, to the bytes that were encoded. Throws
/// ArgumentError for an id out of range.
std::string decode(const Vocabulary& vocabulary, std::span<const std::int32_t> ids);

/// Calls visit(symbol) for each token of a text in order, of any unit but subwords; for words, "</s>" at the
/// end of each line. `encode` and `Vocabulary::build` use it; so can other ways to count a text. Throws as
/// encode does.
void for_tokens(Unit unit, std::string_view text, std::string_view name,
                const std::function<void(std::string_view)>& visit, std::int64_t first_line = 1);

/// Throws DataError, which names `name`, the line and the byte in the line, both from 1, unless the text is
/// valid UTF-8 (Unicode 15, table 3-7, which excludes overlong forms, surrogates, values above U+10FFFF and
/// truncated sequences).
void require_utf8(std::string_view text, std::string_view name, std::int64_t first_line = 1);

/// The number of code points of a valid UTF-8 text.
std::int64_t count_characters(std::string_view text);

}  // namespace gradus
