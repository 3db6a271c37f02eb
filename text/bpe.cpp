#include "text/bpe.hpp"

#include <algorithm>
#include <array>
#include <mutex>
#include <queue>
#include <unordered_map>

#include "tensor/support/error.hpp"
#include "tensor/support/parallel.hpp"
#include "text/escapes.hpp"
#include "text/pair_map.hpp"
#include "text/piece_cache.hpp"
#include "text/pre_split.hpp"
#include "text/text_check.hpp"

namespace gradus {

namespace {

using Ids = std::vector<std::int32_t>;

/// Looks for spelled tokens in a text.
class Literals {
 public:
  struct Match {
    std::size_t at = 0;
    std::int32_t id = -1;  // -1: none is there
  };

  Literals(const std::vector<std::string>& tokens, Ids ids) : ids_(std::move(ids)) {
    std::stable_sort(ids_.begin(), ids_.end(), [&](std::int32_t a, std::int32_t b) {
      return tokens[static_cast<std::size_t>(a)].size() > tokens[static_cast<std::size_t>(b)].size();
    });
    for (const std::int32_t id : ids_) first_[byte_of(tokens[static_cast<std::size_t>(id)][0])] = true;
  }
  bool empty() const { return ids_.empty(); }
  /// The first one from a place on, and of several there the longest.
  Match find(const std::vector<std::string>& tokens, std::string_view text, std::size_t from) const {
    for (std::size_t at = from; at < text.size(); ++at) {
      if (!first_[byte_of(text[at])]) continue;
      const auto found = std::find_if(ids_.begin(), ids_.end(), [&](std::int32_t id) {
        return text.substr(at).starts_with(tokens[static_cast<std::size_t>(id)]);
      });
      if (found != ids_.end()) return {at, *found};
    }
    return {};
  }

 private:
  static std::size_t byte_of(char c) { return static_cast<unsigned char>(c); }

  Ids ids_;  // the longest first
  std::array<bool, 256> first_{};
};

Ids joined(Ids a, const Ids& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace

struct Bpe::Tables {
  Tables(BpeParts given, std::string_view name)
      : parts(std::move(given)),
        cutter(parts.patterns, name),
        kinds(kinds_of_ids(name)),
        by_bytes(numbered(name)),
        added(parts.tokens, parts.added),
        all_added(parts.tokens, joined(parts.added, parts.special)),
        ranks(parts.merges.size()) {
    number_bytes(name);
    rank_merges(name);
  }

  BpeParts parts;
  PreSplit cutter;
  static constexpr char plain = 0, looked_for = 1, special = 2;
  std::vector<char> kinds;                                      // of the ids
  std::unordered_map<std::string_view, std::int32_t> by_bytes;  // views of parts.tokens
  Literals added, all_added;
  std::array<std::int32_t, 256> byte_ids{};
  PairMap ranks;
  Ids merged;  // what each merge makes

  /// Those of threads that do not encode now.
  mutable std::mutex mutex;
  mutable std::vector<std::unique_ptr<PieceCache>> caches;

  std::vector<char> kinds_of_ids(std::string_view name) const;
  std::unordered_map<std::string_view, std::int32_t> numbered(std::string_view name) const;
  bool is_special(std::int32_t id) const { return kinds[static_cast<std::size_t>(id)] == special; }
  void number_bytes(std::string_view name);
  void rank_merges(std::string_view name);

  Ids encode(std::string_view text, const Literals& literals) const;
  void encode_plain(std::string_view text, Ids& out) const;
  void encode_pieces(std::string_view text, Ids& out) const;
  void encode_piece(std::string_view piece, PieceCache& cache, Ids& out) const;
  void merge(std::string_view piece, Ids& out) const;
  void merge_short(std::string_view piece, Ids& out) const;
  void merge_long(std::string_view piece, Ids& out) const;
  std::int32_t byte_id(char byte) const { return byte_ids[static_cast<unsigned char>(byte)]; }
};

std::vector<char> Bpe::Tables::kinds_of_ids(std::string_view name) const {
  std::vector<char> out(parts.tokens.size(), plain);
  for (const auto& [ids, kind] : {std::pair(&parts.added, looked_for), std::pair(&parts.special, special)}) {
    for (const std::int32_t id : *ids) {
      if (id < 0 || id >= std::ssize(parts.tokens)) {
        fail<DataError>("{}: the {} token {} is no id; there are {} tokens", name,
                        kind == special ? "special" : "added", id, parts.tokens.size());
      }
      out[static_cast<std::size_t>(id)] = kind;
    }
  }
  return out;
}

/// An added or special token may be spelled as a plain one, which then has the name.
std::unordered_map<std::string_view, std::int32_t> Bpe::Tables::numbered(std::string_view name) const {
  std::unordered_map<std::string_view, std::int32_t> out;
  out.reserve(parts.tokens.size());
  for (const char kind : {plain, looked_for, special}) {
    for (std::size_t id = 0; id < parts.tokens.size(); ++id) {
      if (kinds[id] != kind) continue;
      if (parts.tokens[id].empty()) fail<DataError>("{}: token {} is empty", name, id);
      const auto [there, fresh] = out.emplace(parts.tokens[id], static_cast<std::int32_t>(id));
      if (!fresh && kinds[static_cast<std::size_t>(there->second)] == kind) {
        fail<DataError>("{}: the tokens {} and {} are both '{}'", name, there->second, id,
                        escaped(parts.tokens[id]));
      }
    }
  }
  return out;
}

void Bpe::Tables::number_bytes(std::string_view name) {
  for (unsigned byte = 0; byte < 256; ++byte) {
    const char text = static_cast<char>(byte);
    const auto found = by_bytes.find(std::string_view(&text, 1));
    if (found == by_bytes.end())
      fail<DataError>("{}: no token is the byte 0x{:02X}, so that not every text has one", name, byte);
    byte_ids[byte] = found->second;
  }
}

void Bpe::Tables::rank_merges(std::string_view name) {
  const auto size = static_cast<std::int32_t>(parts.tokens.size());
  for (const BpeParts::Merge& merge : parts.merges) {
    const std::size_t rank = merged.size();
    if (merge.left < 0 || merge.left >= size || merge.right < 0 || merge.right >= size) {
      fail<DataError>("{}: merge {} is of {} and {}, but the ids are 0..{}", name, rank, merge.left,
                      merge.right, size - 1);
    }
    const std::string both = parts.tokens[static_cast<std::size_t>(merge.left)] +
                             parts.tokens[static_cast<std::size_t>(merge.right)];
    const auto found = by_bytes.find(both);
    if (found == by_bytes.end())
      fail<DataError>("{}: merge {} makes '{}', which is no token", name, rank, escaped(both));
    if (is_special(found->second))
      fail<DataError>("{}: merge {} makes '{}', which is a special token", name, rank, escaped(both));
    ranks.find_or_add(merge.left, merge.right, static_cast<std::int32_t>(rank));
    merged.push_back(found->second);
  }
}

Ids Bpe::Tables::encode(std::string_view text, const Literals& literals) const {
  Ids out;
  for (std::size_t at = 0; at < text.size();) {
    const Literals::Match match =
        literals.empty() ? Literals::Match{} : literals.find(parts.tokens, text, at);
    if (match.id < 0) {
      encode_plain(text.substr(at), out);
      break;
    }
    encode_plain(text.substr(at, match.at - at), out);
    out.push_back(match.id);
    at = match.at + parts.tokens[static_cast<std::size_t>(match.id)].size();
  }
  return out;
}

/// Long texts are cut where pieces begin, and the parts encoded side by side.
void Bpe::Tables::encode_plain(std::string_view text, Ids& out) const {
  constexpr std::size_t part = std::size_t{1} << 18;
  if (text.size() <= part) return encode_pieces(text, out);
  const std::vector<std::string_view> cut = cutter.parts(text, part);
  std::vector<Ids> ids(cut.size());
  parallel::for_chunks(std::ssize(cut), [&](std::int64_t i) {
    encode_pieces(cut[static_cast<std::size_t>(i)], ids[static_cast<std::size_t>(i)]);
  });
  std::size_t size = out.size();
  for (const Ids& of : ids) size += of.size();
  out.reserve(size);
  for (const Ids& of : ids) out.insert(out.end(), of.begin(), of.end());
}

void Bpe::Tables::encode_pieces(std::string_view text, Ids& out) const {
  std::unique_ptr<PieceCache> cache;
  {
    const std::lock_guard lock(mutex);
    if (!caches.empty()) {
      cache = std::move(caches.back());
      caches.pop_back();
    }
  }
  if (!cache) cache = std::make_unique<PieceCache>();
  cutter.split(text, [&](std::string_view piece) { encode_piece(piece, *cache, out); });
  const std::lock_guard lock(mutex);
  caches.push_back(std::move(cache));
}

void Bpe::Tables::encode_piece(std::string_view piece, PieceCache& cache, Ids& out) const {
  if (piece.size() == 1) return out.push_back(byte_id(piece[0]));
  const std::uint64_t hash = PieceCache::hash(piece);
  if (cache.append(piece, hash, out)) return;
  const std::size_t start = out.size();
  merge(piece, out);
  cache.keep(piece, hash, std::span(out).subspan(start));
}

constexpr std::size_t short_piece = 64;

void Bpe::Tables::merge(std::string_view piece, Ids& out) const {
  if (parts.whole_pieces) {
    const auto found = by_bytes.find(piece);
    if (found != by_bytes.end() && !is_special(found->second)) return out.push_back(found->second);
  }
  return piece.size() <= short_piece ? merge_short(piece, out) : merge_long(piece, out);
}

/// Looks at all pairs for each merge: of few, that is the fastest.
void Bpe::Tables::merge_short(std::string_view piece, Ids& out) const {
  constexpr auto none = static_cast<std::uint32_t>(PairMap::absent);  // the largest of all
  std::array<std::int32_t, short_piece> ids;
  std::array<std::uint32_t, short_piece> rank;  // of each with the next one
  std::size_t count = piece.size();
  const auto rank_at = [&](std::size_t i) {
    return i + 1 < count ? static_cast<std::uint32_t>(ranks.find(ids[i], ids[i + 1])) : none;
  };
  for (std::size_t i = 0; i < count; ++i) ids[i] = byte_id(piece[i]);
  for (std::size_t i = 0; i < count; ++i) rank[i] = rank_at(i);
  for (;;) {
    const auto best = std::min_element(rank.begin(), rank.begin() + static_cast<std::ptrdiff_t>(count));
    if (*best == none) break;
    const auto i = static_cast<std::size_t>(best - rank.begin());
    ids[i] = merged[*best];
    --count;
    for (std::size_t j = i + 1; j < count; ++j) {
      ids[j] = ids[j + 1];
      rank[j] = rank[j + 1];
    }
    rank[i] = rank_at(i);
    if (i > 0) rank[i - 1] = rank_at(i - 1);
  }
  out.insert(out.end(), ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(count));
}

/// Keeps the pairs in a heap: a piece may be as long as the text.
void Bpe::Tables::merge_long(std::string_view piece, Ids& out) const {
  struct Part {
    std::int32_t id;  // -1: joined to the one before
    std::int64_t before, after;
  };
  struct Pair {
    std::int32_t rank;
    std::int64_t at;
    bool operator<(const Pair& other) const {  // so that the first of all is on top
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };
  const std::int64_t count = std::ssize(piece);
  std::vector<Part> row;
  row.reserve(piece.size());
  for (std::int64_t i = 0; i < count; ++i)
    row.push_back({byte_id(piece[static_cast<std::size_t>(i)]), i - 1, i + 1});
  const auto part = [&](std::int64_t i) -> Part& { return row[static_cast<std::size_t>(i)]; };
  const auto rank_at = [&](std::int64_t i) {
    const std::int64_t next = part(i).after;
    return part(i).id < 0 || next >= count ? PairMap::absent : ranks.find(part(i).id, part(next).id);
  };
  std::priority_queue<Pair> pairs;
  const auto add = [&](std::int64_t i) {
    if (const std::int32_t rank = rank_at(i); rank != PairMap::absent) pairs.push({rank, i});
  };
  for (std::int64_t i = 0; i + 1 < count; ++i) add(i);
  while (!pairs.empty()) {
    const auto [rank, i] = pairs.top();
    pairs.pop();
    if (rank_at(i) != rank) continue;  // one of the two has been joined to another
    const std::int64_t next = part(i).after, after = part(next).after;
    part(i).id = merged[static_cast<std::size_t>(rank)];
    part(i).after = after;
    part(next).id = -1;
    if (after < count) part(after).before = i;
    if (part(i).before >= 0) add(part(i).before);
    add(i);
  }
  for (std::int64_t i = 0; i < count; i = part(i).after) out.push_back(part(i).id);
}

Bpe::Bpe(BpeParts parts, std::string_view name)
    : tables_(std::make_shared<const Tables>(std::move(parts), name)) {}

std::int64_t Bpe::size() const {
  return std::ssize(tables_->parts.tokens);
}

std::string_view Bpe::token(std::int32_t id) const {
  if (id < 0 || id >= size()) fail<ArgumentError>("Bpe: id {} of a tokenizer of {} tokens", id, size());
  return tables_->parts.tokens[static_cast<std::size_t>(id)];
}

std::int32_t Bpe::id(std::string_view token) const {
  const auto found = tables_->by_bytes.find(token);
  return found == tables_->by_bytes.end() ? -1 : found->second;
}

Ids Bpe::encode(std::string_view text) const {
  return tables_->encode(text, tables_->added);
}

Ids Bpe::encode_with_special(std::string_view text) const {
  return tables_->encode(text, tables_->all_added);
}

std::string Bpe::decode(std::span<const std::int32_t> ids) const {
  std::string out;
  for (const std::int32_t id : ids) out += token(id);
  return out;
}

std::size_t Bpe::last_cut(std::string_view text) const {
  return tables_->added.empty() ? tables_->cutter.last_cut(text) : 0;
}

const BpeParts& Bpe::parts() const {
  return tables_->parts;
}

std::string Bpe::serialize() const {
  const BpeParts& p = parts();
  std::string out = "gradus bpe 1\n";
  for (const std::string& pattern : p.patterns) out += fmt::format("pattern\t{}\n", escaped(pattern));
  if (p.whole_pieces) out += "whole pieces\n";
  for (const std::int32_t id : p.special) out += fmt::format("special\t{}\n", id);
  for (const std::int32_t id : p.added) out += fmt::format("added\t{}\n", id);
  out += fmt::format("merges\t{}\n", p.merges.size());
  for (const auto& [left, right] : p.merges) out += fmt::format("{} {}\n", left, right);
  return out;
}

Bpe Bpe::parse(std::vector<std::string> tokens, std::string_view text, std::string_view name) {
  BpeParts parts{.tokens = std::move(tokens), .merges = {}, .patterns = {}};
  if (take(text, '\n') != "gradus bpe 1")
    fail<DataError>("{}: not a tokenizer of this version (it begins 'gradus bpe 1')", name);
  std::size_t merges = 0;
  for (;;) {
    if (text.empty()) fail<DataError>("{} ends before its merges; the file was cut short", name);
    const std::string_view line = take(text, '\n');
    std::string_view value = line;
    const std::string_view field = take(value, '\t');
    std::string pattern;
    std::int32_t id = 0;
    if (field == "pattern" && unescape(value, pattern)) {
      parts.patterns.push_back(pattern);
    } else if (line == "whole pieces") {
      parts.whole_pieces = true;
    } else if ((field == "special" || field == "added") && to_number(value, id)) {
      (field == "special" ? parts.special : parts.added).push_back(id);
    } else if (field == "merges" && to_number(value, merges)) {
      break;
    } else {
      fail<DataError>("{}: '{}' is neither a pattern, a special token nor the number of merges", name,
                      line.substr(0, 60));
    }
  }
  for (std::size_t i = 0; i < merges; ++i) {
    if (text.empty())
      fail<DataError>("{} ends after {} of its {} merges; the file was cut short", name, i, merges);
    std::string_view right = take(text, '\n');
    const std::string_view left = take(right, ' ');
    BpeParts::Merge merge{};
    if (!to_number(left, merge.left) || !to_number(right, merge.right))
      fail<DataError>("{}: merge {} is not '<id> <id>'", name, i);
    parts.merges.push_back(merge);
  }
  if (!text.empty()) fail<DataError>("{}: more than the {} merges that it names", name, merges);
  return Bpe(std::move(parts), name);
}

}  // namespace gradus
