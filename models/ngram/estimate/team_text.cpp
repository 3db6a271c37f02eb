#include "models/ngram/estimate/team_text.hpp"

#include <string>
#include <utility>

namespace gradus::models::ngram {

namespace {

std::vector<std::vector<TextSlice>> shared_out(const std::filesystem::path& text, Unit unit,
                                               std::size_t members) {
  // A text of characters or bytes is one sentence, whose n-grams would be cut where it is.
  if (unit == Unit::word) return split_text(text, members);
  std::vector<std::vector<TextSlice>> out(members);
  out.front() = whole_text(text);
  return out;
}

Team::Bytes packed(std::span<const std::string_view> symbols, std::span<const std::int64_t> counts) {
  Team::Bytes out;
  for (std::size_t i = 0; i < symbols.size(); ++i) {
    put(out, counts[i]);
    put_text(out, symbols[i]);
  }
  return out;
}

void add_packed(CountedSymbols& to, std::span<const std::byte> bytes) {
  for (TeamReader reader(bytes); !reader.at_end();) {
    const auto count = reader.get<std::int64_t>();
    to.add(reader.get_text(), count);
  }
}

}  // namespace

std::vector<TextSlice> own_part(const std::filesystem::path& text, Unit unit, Team& team) {
  if (team.alone()) return whole_text(text);
  const auto members = static_cast<std::size_t>(team.size());
  std::vector<Team::Bytes> plan(members);
  if (team.leads()) {
    const std::vector<std::vector<TextSlice>> parts = shared_out(text, unit, members);
    for (std::size_t r = 0; r < members; ++r) {
      for (const TextSlice& slice : parts[r]) {
        for (const std::int64_t number : {slice.begin, slice.end, slice.size}) put(plan[r], number);
        put_text(plan[r], slice.file.native());
      }
    }
  }
  const std::vector<std::span<const std::byte>> to_each(plan.begin(), plan.end());
  const Team::Bytes own = std::move(team.exchange(to_each).front());
  std::vector<TextSlice> out;
  for (TeamReader reader(own); !reader.at_end();) {
    TextSlice& slice = out.emplace_back();
    for (std::int64_t* const number : {&slice.begin, &slice.end, &slice.size})
      *number = reader.get<std::int64_t>();
    slice.file = reader.get_text();
  }
  return out;
}

void CountedSymbols::add(std::string_view symbol, std::int64_t count) {
  const std::uint32_t number = table.find_or_add(symbol, WordTable::hash(symbol));
  if (number == counts.size()) counts.push_back(0);
  counts[number] += count;
}

std::vector<std::string_view> CountedSymbols::symbols() const {
  std::vector<std::string_view> out;
  for (std::uint32_t number = 0; number < table.size(); ++number) out.push_back(table.word(number));
  return out;
}

CountedSymbols symbols_of_all(std::span<const std::string_view> symbols, std::span<const std::int64_t> counts,
                              Team& team) {
  CountedSymbols all;
  for (std::size_t i = 0; i < symbols.size() && team.leads(); ++i) all.add(symbols[i], counts[i]);
  // One member after the other, so that rank 0 holds the symbols of one member at a time beside all.
  for (int r = 1; r < team.size(); ++r) {
    const Team::Bytes sent = team.rank() == r ? packed(symbols, counts) : Team::Bytes();
    const std::vector<Team::Bytes> came = team.collect(sent);
    if (team.leads()) add_packed(all, came[static_cast<std::size_t>(r)]);
  }
  const Team::Bytes merged = team.broadcast(team.leads() ? packed(all.symbols(), all.counts) : Team::Bytes());
  if (!team.leads()) add_packed(all, merged);
  return all;
}

}  // namespace gradus::models::ngram
