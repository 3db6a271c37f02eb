#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/vocabulary.hpp"

namespace gradus {

/// A text's tokens, preceded by the one that serves as context of the first: the line end where the
/// vocabulary has one.
std::vector<std::int32_t> with_context(const Vocabulary& vocabulary, std::vector<std::int32_t> tokens);

/// The ids of a text that a model goes on from, behind the token that serves as the first one's context, and
/// without a line end that the text does not have. `unknown`, where it is given, gets the symbols that the
/// vocabulary does not hold, each once, which are read as "<unk>". Throws as encode.
std::vector<std::int32_t> prompt_ids(const Vocabulary& vocabulary, std::string_view text,
                                     std::vector<std::string>* unknown = nullptr);

}  // namespace gradus
