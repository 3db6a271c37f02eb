#include <algorithm>
#include <array>
#include <queue>
#include <unordered_map>
#include <utility>

#include "tensor/support/error.hpp"
#include "tensor/support/parallel.hpp"
#include "text/bpe.hpp"
#include "text/byte_letters.hpp"
#include "text/pair_map.hpp"
#include "text/pre_split.hpp"

namespace gradus {

namespace {

/// The different pieces of a text, in the order of their first appearance, and how often each occurs.
struct PieceCounts {
  std::vector<std::string_view> pieces;
  std::vector<std::int64_t> counts;

  void add(std::string_view piece, std::int64_t count) {
    const auto [found, fresh] = index.try_emplace(piece, pieces.size());
    if (fresh) {
      pieces.push_back(piece);
      counts.push_back(0);
    }
    counts[found->second] += count;
  }
  std::unordered_map<std::string_view, std::size_t> index;
};

/// The parts that are counted side by side depend on the text alone.
PieceCounts count_pieces(std::string_view text, const PreSplit& cutter) {
  constexpr std::size_t part = std::size_t{1} << 20;
  const std::vector<std::string_view> cut = cutter.parts(text, part);
  std::vector<PieceCounts> each(cut.size());
  parallel::for_chunks(std::ssize(cut), [&](std::int64_t i) {
    PieceCounts& counted = each[static_cast<std::size_t>(i)];
    cutter.split(cut[static_cast<std::size_t>(i)], [&](std::string_view piece) { counted.add(piece, 1); });
  });
  PieceCounts out;
  for (const PieceCounts& counted : each) {
    for (std::size_t i = 0; i < counted.pieces.size(); ++i) out.add(counted.pieces[i], counted.counts[i]);
  }
  return out;
}

/// The pieces of a text as rows of tokens, with the number of times that each pair of neighbours occurs in
/// them, which each merge keeps up to date.
class Pairs {
 public:
  struct Pair {
    std::int32_t left = -1, right = -1;
    std::int64_t count = 0;  // when it was put on the heap; it may have fallen since
    /// So that the next one to merge is on top.
    bool operator<(const Pair& other) const {
      if (count != other.count) return count < other.count;
      return left != other.left ? left > other.left : right > other.right;
    }
  };

  Pairs(const PieceCounts& text, const std::array<std::int32_t, 256>& ids, std::int64_t min_count)
      : min_count_(min_count) {
    for (std::size_t i = 0; i < text.pieces.size(); ++i) {
      const std::string_view piece = text.pieces[i];
      if (piece.size() < 2) continue;
      rows_.push_back({tokens_.size(), piece.size(), text.counts[i]});
      for (const char c : piece) tokens_.push_back(ids[static_cast<unsigned char>(c)]);
    }
    for (std::size_t row = 0; row < rows_.size(); ++row) {
      const auto [start, size, count] = rows_[row];
      for (std::size_t i = start; i + 1 < start + size; ++i)
        add(tokens_[i], tokens_[i + 1], count, static_cast<std::uint32_t>(row));
    }
    push_grown();
  }

  /// The pair that occurs most often, which is taken off the heap; a count of 0 when none is left.
  Pair next() {
    while (!heap_.empty()) {
      Pair top = heap_.top();
      heap_.pop();
      const std::int64_t now = stats_[index(top)].count;
      if (now == top.count) return top;
      top.count = now;
      if (now >= min_count_) heap_.push(top);
    }
    return {};
  }

  /// Replaces the pair by a token everywhere.
  void merge(const Pair& pair, std::int32_t made) {
    const std::size_t at = index(pair);
    std::vector<std::uint32_t> where = std::exchange(stats_[at].rows, {});
    std::sort(where.begin(), where.end());
    where.erase(std::unique(where.begin(), where.end()), where.end());
    for (const std::uint32_t row : where) merge_in(row, pair.left, pair.right, made);
    stats_[at].count = 0;
    push_grown();
  }

 private:
  struct Row {
    std::size_t start, size;
    std::int64_t count;
  };
  struct Stats {
    std::int32_t left, right;
    std::int64_t count = 0;
    bool grown = false;                 // since the last merge
    std::vector<std::uint32_t> rows{};  // where it occurs, or did; some more than once
  };

  std::size_t index(const Pair& pair) const {
    return static_cast<std::size_t>(numbers_.find(pair.left, pair.right));
  }
  void add(std::int32_t left, std::int32_t right, std::int64_t count, std::uint32_t row) {
    const auto next = static_cast<std::int32_t>(stats_.size());
    const auto at = static_cast<std::size_t>(numbers_.find_or_add(left, right, next));
    if (at == stats_.size()) stats_.push_back({left, right});
    Stats& of = stats_[at];
    of.count += count;
    if (of.rows.empty() || of.rows.back() != row) of.rows.push_back(row);
    if (!of.grown) grown_.push_back(at);
    of.grown = true;
  }
  void remove(std::int32_t left, std::int32_t right, std::int64_t count) {
    stats_[static_cast<std::size_t>(numbers_.find(left, right))].count -= count;
  }
  void merge_in(std::uint32_t at, std::int32_t left, std::int32_t right, std::int32_t made) {
    Row& row = rows_[at];
    std::int32_t* const tokens = tokens_.data() + row.start;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < row.size;) {
      if (i + 1 == row.size || tokens[i] != left || tokens[i + 1] != right) {
        tokens[kept++] = tokens[i++];
        continue;
      }
      if (kept > 0) {
        remove(tokens[kept - 1], left, row.count);
        add(tokens[kept - 1], made, row.count, at);
      }
      if (i + 2 < row.size) {
        remove(right, tokens[i + 2], row.count);
        add(made, tokens[i + 2], row.count, at);
      }
      tokens[kept++] = made;
      i += 2;
    }
    row.size = kept;
  }
  void push_grown() {
    for (const std::size_t at : grown_) {
      Stats& of = stats_[at];
      of.grown = false;
      if (of.count >= min_count_) heap_.push({of.left, of.right, of.count});
    }
    grown_.clear();
  }

  std::int64_t min_count_;
  std::vector<std::int32_t> tokens_;
  std::vector<Row> rows_;
  PairMap numbers_;
  std::vector<Stats> stats_;
  std::vector<std::size_t> grown_;
  std::priority_queue<Pair> heap_;
};

void check(const BpeTraining& training) {
  constexpr std::int64_t most = 1 << 24;
  const std::int64_t least = 256 + std::ssize(training.special);
  if (training.size < least || training.size > most) {
    fail<ArgumentError>("Bpe::train: a size of {}; there are {} tokens before any merge, and at most {}",
                        training.size, least, most);
  }
  if (training.min_count < 1)
    fail<ArgumentError>("Bpe::train: a min_count of {}; give 1 or more", training.min_count);
}

}  // namespace

Bpe Bpe::train(std::string_view text, const BpeTraining& training, std::string_view name) {
  check(training);
  if (text.empty()) fail<DataError>("{} is empty; give a text to learn from", name);
  BpeParts parts{.tokens = {}, .merges = {}, .patterns = training.patterns};
  std::array<std::int32_t, 256> byte_ids{};
  for (const unsigned char byte : bytes_in_order()) {
    byte_ids[byte] = static_cast<std::int32_t>(parts.tokens.size());
    parts.tokens.emplace_back(1, static_cast<char>(byte));
  }
  std::unordered_map<std::string, std::int32_t> ids;
  for (const std::string& special : training.special) {
    if (special.size() < 2)
      fail<ArgumentError>("Bpe::train: the special token '{}' is no longer than a byte", special);
    if (!ids.emplace(special, -1).second)
      fail<ArgumentError>("Bpe::train: the special token '{}' twice", special);
  }

  const PreSplit cutter(parts.patterns, "Bpe::train");
  Pairs pairs(count_pieces(text, cutter), byte_ids, training.min_count);
  const std::int64_t total = training.size - 256 - std::ssize(training.special);
  PairMap listed;  // merges that are in the list
  for (std::int64_t done = 0; done < total;) {
    const Pairs::Pair pair = pairs.next();
    if (pair.count == 0) break;
    std::string both = parts.tokens[static_cast<std::size_t>(pair.left)] +
                       parts.tokens[static_cast<std::size_t>(pair.right)];
    const auto [found, fresh] = ids.emplace(both, static_cast<std::int32_t>(parts.tokens.size()));
    if (found->second < 0) continue;  // it would be spelled as a special token
    pairs.merge(pair, found->second);
    // The same bytes may be made in two ways: then there are two merges and one token, and a pair that was
    // merged may come up again.
    const auto rank = static_cast<std::int32_t>(parts.merges.size());
    if (listed.find_or_add(pair.left, pair.right, rank) == rank)
      parts.merges.push_back({pair.left, pair.right});
    if (!fresh) continue;
    parts.tokens.push_back(std::move(both));
    ++done;
    if (training.report && (done % 64 == 0 || done == total)) training.report(done, total);
  }
  for (const std::string& special : training.special) {
    parts.special.push_back(static_cast<std::int32_t>(parts.tokens.size()));
    parts.tokens.push_back(special);
  }
  return Bpe(std::move(parts), name);
}

}  // namespace gradus
