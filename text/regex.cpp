#include "text/regex.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>

#include "tensor/support/error.hpp"

namespace gradus {

namespace {

std::string error_text(int code) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

/// The pattern with \s and \S spelled out. What is copied may be longer than a character: a backslash goes
/// with what it escapes.
std::string spelled_out(std::string_view pattern, std::string_view name) {
  constexpr std::string_view space = R"(\p{Z}\t-\r\x{85})";
  std::string out;
  bool in_class = false;
  for (std::size_t at = 0; at < pattern.size(); ++at) {
    const char c = pattern[at];
    if (c != '\\' || at + 1 == pattern.size()) {
      const bool opens = c == '[' && !in_class;
      out += c;
      if (opens) {
        in_class = true;
        // A bracket that comes first in a class is one of its characters.
        if (pattern.substr(at + 1).starts_with('^')) out += pattern[++at];
        if (pattern.substr(at + 1).starts_with(']')) out += pattern[++at];
      } else if (c == ']') {
        in_class = false;
      }
      continue;
    }
    const char escaped = pattern[++at];
    if (escaped == 's') {
      out += in_class ? std::string(space) : fmt::format("[{}]", space);
    } else if (escaped == 'S' && !in_class) {
      out += fmt::format("[^{}]", space);
    } else if (escaped == 'S' || std::string_view("wWbB").find(escaped) != std::string_view::npos) {
      fail<DataError>(
          "{}: the pattern has \\{}{} at character {}, which is not supported: only classes such as "
          "\\p{{L}}, "
          "\\d and \\s",
          name, escaped, in_class ? " in brackets" : "", at);
    } else {
      out += '\\';
      out += escaped;
    }
  }
  return out;
}

struct MatchData {
  explicit MatchData(const pcre2_code* code) : data(pcre2_match_data_create_from_pattern(code, nullptr)) {
    if (data == nullptr) throw std::bad_alloc();
  }
  MatchData(const MatchData&) = delete;
  MatchData& operator=(const MatchData&) = delete;
  ~MatchData() { pcre2_match_data_free(data); }
  pcre2_match_data* data;
};

}  // namespace

struct Regex::Code {
  Code(pcre2_code* compiled, std::string_view of) : code(compiled), name(of) {}
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  ~Code() { pcre2_code_free(code); }
  pcre2_code* code;
  std::string name;
};

Regex::Regex(std::string_view pattern, std::string_view name) {
  const std::string text = spelled_out(pattern, name);
  int error = 0;
  PCRE2_SIZE at = 0;
  constexpr std::uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C;
  pcre2_code* const code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), options, &error, &at, nullptr);
  if (code == nullptr) {
    fail<DataError>("{}: the pattern '{}' cannot be read: {}, at byte {} of '{}'", name, pattern,
                    error_text(error), at, text);
  }
  code_ = std::make_shared<const Code>(code, name);
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // where there is no such compiler, it is interpreted
}

void Regex::matches(std::string_view text, FunctionRef<void(std::string_view)> visit) const {
  const MatchData found(code_->code);
  const PCRE2_SIZE* const place = pcre2_get_ovector_pointer(found.data);
  for (std::size_t at = 0; at < text.size();) {
    const int count = pcre2_match(code_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                                  PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, found.data, nullptr);
    if (count == PCRE2_ERROR_NOMATCH) return;
    if (count < 0) {
      fail<DataError>("{}: the pattern cannot be searched for in this text: {}", code_->name,
                      error_text(count));
    }
    // With \K, a match may begin anywhere.
    if (place[0] < at || place[1] <= place[0] || place[1] > text.size())
      fail<DataError>("{}: a match of the pattern ends before it begins", code_->name);
    visit(text.substr(place[0], place[1] - place[0]));
    at = place[1];
  }
}

void Regex::split(std::string_view text, FunctionRef<void(std::string_view)> visit) const {
  std::size_t done = 0;
  matches(text, [&](std::string_view match) {
    const auto at = static_cast<std::size_t>(match.data() - text.data());
    if (at > done) visit(text.substr(done, at - done));
    visit(match);
    done = at + match.size();
  });
  if (done < text.size()) visit(text.substr(done));
}

}  // namespace gradus
