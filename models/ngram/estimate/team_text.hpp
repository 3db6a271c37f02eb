#pragma once

// Internal: not part of the public interface.

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "models/ngram/estimate/word_table.hpp"
#include "models/team.hpp"
#include "text/slices.hpp"
#include "text/vocabulary.hpp"

namespace gradus::models::ngram {

/// What a member of a team reads of a text. The member of rank 0 shares the text out, so that all agree; the
/// others need not see what it keeps for itself. The text of one process is read whole.
std::vector<TextSlice> own_part(const std::filesystem::path& text, Unit unit, Team& team);

/// Symbols in the order of their first appearance, with their counts.
struct CountedSymbols {
  WordTable table;
  std::vector<std::int64_t> counts;

  void add(std::string_view symbol, std::int64_t count);
  /// As long as nothing is added.
  std::vector<std::string_view> symbols() const;
};

/// The symbols of all members' parts of a text, given those of the own part in their order.
CountedSymbols symbols_of_all(std::span<const std::string_view> symbols, std::span<const std::int64_t> counts,
                              Team& team);

}  // namespace gradus::models::ngram
