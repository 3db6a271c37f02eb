#include "text/tokenizer.hpp"

#include <algorithm>
#include <cstring>

#include "tensor/support/error.hpp"
#include "text/utf8.hpp"

namespace gradus {

namespace {

// Whether the next eight bytes are ASCII, as in most texts.
bool eight_ascii(std::string_view text, std::size_t at) {
  std::uint64_t bytes = 0;
  if (text.size() - at < sizeof bytes) return false;
  std::memcpy(&bytes, text.data() + at, sizeof bytes);
  return (bytes & 0x8080808080808080U) == 0;
}

constexpr std::string_view line_begin_text = "<s>";

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

void visit_words(std::string_view text, std::string_view name, std::int64_t line_number,
                 const std::function<void(std::string_view)>& visit) {
  for (std::size_t at = 0; at < text.size(); ++line_number) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    while (at < end) {
      while (at < end && is_space(text[at])) ++at;
      const std::size_t word = at;
      while (at < end && !is_space(text[at])) ++at;
      if (word == at) break;
      const std::string_view found = text.substr(word, at - word);
      if (found == Vocabulary::line_end_text || found == line_begin_text) {
        fail<DataError>(
            "{}, line {}: the word '{}' stands in the text, but it marks the {} of a sentence, which each "
            "line is without it; read such marks as spaces (--skip-marks), or take them out of the text",
            name, line_number, found, found == line_begin_text ? "begin" : "end");
      }
      visit(found);
    }
    visit(Vocabulary::line_end_text);
    at = end + 1;
  }
}

}  // namespace

void require_utf8(std::string_view text, std::string_view name, std::int64_t first_line) {
  for (std::size_t at = 0; at < text.size();) {
    if (eight_ascii(text, at)) {
      at += 8;
      continue;
    }
    const Utf8Sequence sequence = utf8_at(text, at);
    if (sequence.length == 0) {
      const std::string_view before = text.substr(0, at);
      const auto line = std::count(before.begin(), before.end(), '\n') + first_line;
      const std::size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
      fail<DataError>(
          "{}, line {}, byte {}: not valid UTF-8 (0x{:02X}, {}); convert the text to UTF-8, for example with "
          "iconv -f latin1 -t utf-8",
          name, line, at - line_start + 1, static_cast<unsigned>(static_cast<unsigned char>(text[at])),
          sequence.problem);
    }
    at += sequence.length;
  }
}

std::int64_t count_characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

void for_tokens(Unit unit, std::string_view text, std::string_view name,
                const std::function<void(std::string_view)>& visit, std::int64_t first_line) {
  if (unit == Unit::subword)
    fail<ArgumentError>("for_tokens: subwords are those of a vocabulary's tokenizer; use encode");
  if (unit == Unit::byte) {
    for (std::size_t at = 0; at < text.size(); ++at) visit(text.substr(at, 1));
    return;
  }
  require_utf8(text, name, first_line);
  if (unit == Unit::word) return visit_words(text, name, first_line, visit);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_at(text, at).length;
    visit(text.substr(at, length));
    at += length;
  }
}

std::vector<std::int32_t> encode(const Vocabulary& vocabulary, std::string_view text, std::string_view name,
                                 std::int64_t first_line) {
  if (vocabulary.subwords() != nullptr) return vocabulary.subwords()->encode(text);
  std::vector<std::int32_t> ids;
  for_tokens(
      vocabulary.unit(), text, name, [&](std::string_view symbol) { ids.push_back(vocabulary.id(symbol)); },
      first_line);
  return ids;
}

std::string decode(const Vocabulary& vocabulary, std::span<const std::int32_t> ids) {
  if (vocabulary.subwords() != nullptr) return vocabulary.subwords()->decode(ids);
  const bool words = vocabulary.unit() == Unit::word;
  std::string text;
  bool line_start = true;
  for (const std::int32_t id : ids) {
    const std::string& symbol = vocabulary.symbol(id);
    const bool line_end = words && id == vocabulary.line_end();
    if (line_end) {
      text += '\n';
    } else if (vocabulary.unit() == Unit::character && id == vocabulary.unknown()) {
      text += "\xEF\xBF\xBD";
    } else {
      if (words && !line_start) text += ' ';
      text += symbol;
    }
    line_start = line_end;
  }
  return text;
}

}  // namespace gradus
