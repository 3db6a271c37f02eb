#include "models/shared_scoring.hpp"

#include <algorithm>

#include "tensor/support/error.hpp"

namespace gradus::models {

/// Whole lines where they are not too long, so that no line's parts depend on what stands before it.
SharedScoring::Part SharedScoring::next_part(std::span<const std::int32_t> tokens) {
  constexpr std::size_t longest = 4096;
  const auto most = tokens.first(std::min(tokens.size(), longest));
  const auto end =
      std::find_if(most.rbegin(), most.rend(), [this](std::int32_t token) { return ends_line(token); });
  const auto part = end == most.rend() ? most : most.first(static_cast<std::size_t>(most.rend() - end));
  anew_ = before_ >= 0 && ends_line(before_);
  if (anew_) owner_ = (owner_ + 1) % static_cast<std::size_t>(team_.size());
  return {part, owner_};
}

std::vector<double> SharedScoring::score(std::span<const std::int32_t> tokens) {
  if (!team_.alone() && line_ends_.empty())
    fail<ArgumentError>("a text is shared out by lines, and this model carries its state from line to line");
  std::vector<Part> parts;
  Team::Bytes own;
  for (std::span<const std::int32_t> rest = tokens; !rest.empty();) {
    const Part part = parts.emplace_back(next_part(rest));
    if (static_cast<int>(part.owner) == team_.rank()) {
      if (anew_ && !team_.alone()) state_ = model_.advance(model_.start(), before_);
      put(own, std::span<const double>(model_.score(state_, part.tokens)));
    }
    before_ = part.tokens.back();
    rest = rest.subspan(part.tokens.size());
  }
  const std::vector<Team::Bytes> all = team_.collect(own);
  if (!team_.leads()) return {};
  std::vector<TeamReader> from(all.begin(), all.end());
  std::vector<double> out(tokens.size());
  std::size_t at = 0;
  for (const Part& part : parts) {
    from[part.owner].get(std::span(out).subspan(at, part.tokens.size()));
    at += part.tokens.size();
  }
  return out;
}

}  // namespace gradus::models
