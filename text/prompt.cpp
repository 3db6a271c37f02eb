#include "text/prompt.hpp"

#include <algorithm>

#include "text/subwords.hpp"
#include "text/tokenizer.hpp"

namespace gradus {

std::vector<std::int32_t> with_context(const Vocabulary& vocabulary, std::vector<std::int32_t> tokens) {
  const std::int32_t line_end = vocabulary.line_end();
  tokens.insert(tokens.begin(), line_end >= 0 ? line_end : 0);
  return tokens;
}

std::vector<std::int32_t> prompt_ids(const Vocabulary& v, std::string_view text,
                                     std::vector<std::string>* unknown) {
  std::vector<std::int32_t> ids;
  if (text.empty()) return with_context(v, ids);
  if (v.subwords() != nullptr) return with_context(v, v.subwords()->encode(text));
  for_tokens(v.unit(), text, "the prompt", [&](std::string_view symbol) {
    ids.push_back(v.id(symbol));
    if (unknown == nullptr || v.unit() == Unit::byte || v.contains(symbol)) return;
    if (std::ranges::find(*unknown, symbol) == unknown->end()) unknown->emplace_back(symbol);
  });
  if (v.unit() == Unit::word && !text.ends_with('\n')) ids.pop_back();  // the prompt's line goes on
  return with_context(v, std::move(ids));
}

}  // namespace gradus
