#include "text/split.hpp"

#include <cmath>

#include "tensor/support/error.hpp"
#include "text/tokenizer.hpp"

namespace gradus {

namespace {

// The byte where the given share of the text, from its start, ends.
std::size_t cut(Unit unit, std::string_view text, std::int64_t length, double share) {
  if (share >= 1) return text.size();
  // So that 0.8 + 0.1 of 1000 is 900 despite rounding.
  const auto wanted = static_cast<std::size_t>(std::floor(share * static_cast<double>(length) + 1e-6));
  if (wanted == 0 || unit == Unit::byte) return wanted;
  if (unit == Unit::word) {
    const std::size_t end = text.find('\n', wanted - 1);
    return end == text.npos ? text.size() : end + 1;
  }
  std::size_t at = 0;
  for (std::size_t seen = 0; at < text.size(); ++at) {
    const bool starts = (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80;
    if (starts && seen++ == wanted) break;
  }
  return at;
}

}  // namespace

Split split(Unit unit, std::string_view text, const SplitOptions& options, std::string_view name) {
  const double both = options.train + options.valid;
  if (!(options.train >= 0) || !(options.valid >= 0) || !(both <= 1 + 1e-9)) {
    fail<ArgumentError>("split: {} to train and {} to validate; give shares of 0 or more, at most 1 together",
                        options.train, options.valid);
  }
  const auto length =
      unit == Unit::character ? count_characters(text) : static_cast<std::int64_t>(text.size());
  const std::size_t first = cut(unit, text, length, options.train);
  const std::size_t second = cut(unit, text, length, both >= 1 - 1e-9 ? 1 : both);
  const Split parts{text.substr(0, first), text.substr(first, second - first), text.substr(second)};
  const bool wanted[] = {options.train > 0, options.valid > 0, both < 1 - 1e-9};
  const std::string_view part[] = {parts.train, parts.valid, parts.test};
  const char* const names[] = {"training", "validation", "test"};
  for (std::size_t i = 0; i < 3; ++i) {
    if (!wanted[i] || !part[i].empty()) continue;
    fail<DataError>("{} is too short to split: its {} part would be empty; give {}", name, names[i],
                    unit == Unit::word ? "a text of more lines" : "a longer text");
  }
  return parts;
}

}  // namespace gradus
