#include "text/decoded_text.hpp"

#include <algorithm>
#include <utility>

#include "text/tokenizer.hpp"

namespace gradus {

namespace {
/// So many tokens before one decide how it is decoded: a space before a word, bytes of one character.
constexpr std::size_t context = 8;
}  // namespace

void DecodedText::add(std::span<const std::int32_t> tokens) {
  const std::size_t from = done_ > context ? done_ - context : 0;
  const std::size_t before = decode(vocabulary_, tokens.subspan(from, done_ - from)).size();
  const std::string both = decode(vocabulary_, tokens.subspan(from));
  text_ += both.substr(std::min(before, both.size()));
  done_ = tokens.size();
}

bool ends_with_stop(const Vocabulary& vocabulary, std::span<const std::int32_t> tokens,
                    std::span<const std::string> stops) {
  // Nearly every token has a byte or more, so what the last one completes is within so many.
  std::size_t longest = 0;
  for (const std::string& stop : stops) longest = std::max(longest, stop.size());
  const std::string end = decode(vocabulary, tokens.last(std::min(tokens.size(), longest + context)));
  return std::ranges::any_of(stops, [&](const std::string& stop) { return end.find(stop) != end.npos; });
}

std::string without_stop(std::string text, std::span<const std::string> stops) {
  std::size_t end = text.size();
  for (const std::string& stop : stops) end = std::min(end, text.find(stop));
  text.resize(end);
  return text;
}

StreamedText::StreamedText(const Vocabulary& vocabulary, std::span<const std::string> stops,
                           std::function<void(std::string_view)> show)
    : decoded_(vocabulary), show_(std::move(show)) {
  for (const std::string& stop : stops) held_ = std::max(held_, stop.size());
}

void StreamedText::add(std::span<const std::int32_t> tokens) {
  decoded_.add(tokens);
  const std::string_view text = decoded_.text();
  if (text.size() <= shown_ + held_) return;
  show_(text.substr(shown_, text.size() - held_ - shown_));
  shown_ = text.size() - held_;
}

void StreamedText::finish(std::string_view text) {
  const std::string_view so_far = std::string_view(decoded_.text()).substr(0, shown_);
  // Decoded as a whole it may differ, where what was drawn is no text.
  show_(text.starts_with(so_far) ? text.substr(shown_) : text);
}

}  // namespace gradus
