#include "models/lines_apart.hpp"

#include <algorithm>

namespace gradus::models {

std::vector<bool> line_end_tokens(const Vocabulary& vocabulary, std::int32_t tokens) {
  std::vector<bool> out(static_cast<std::size_t>(tokens));
  for (std::int32_t id = 0; id < vocabulary.size(); ++id) {
    out[static_cast<std::size_t>(id)] =
        id == vocabulary.line_end() ||
        (vocabulary.subwords() != nullptr && vocabulary.symbol(id).ends_with('\n'));
  }
  return out;
}

LinesApart::LinesApart(ErasedModel model, const Vocabulary& vocabulary)
    : model_(std::move(model)), ends_(line_end_tokens(vocabulary, model_.vocab_size())) {
  if (std::ranges::find(ends_, true) == ends_.end())
    fail<ArgumentError>("lines cannot be read apart: nothing of the vocabulary ends one");
}

std::vector<double> LinesApart::score(State& state, std::span<const std::int32_t> tokens) const {
  std::vector<double> out;
  out.reserve(tokens.size());
  while (!tokens.empty()) {
    const auto end = std::ranges::find_if(tokens, [&](std::int32_t token) { return ends_line(token); });
    const auto line =
        tokens.first(static_cast<std::size_t>(end - tokens.begin()) + (end == tokens.end() ? 0 : 1));
    const std::vector<double> scored = model_.score(state, line);
    out.insert(out.end(), scored.begin(), scored.end());
    if (end != tokens.end()) state = model_.advance(model_.start(), *end);
    tokens = tokens.subspan(line.size());
  }
  return out;
}

}  // namespace gradus::models
