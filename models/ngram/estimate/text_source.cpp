#include "models/ngram/estimate/text_source.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "models/ngram/estimate/team_text.hpp"
#include "models/ngram/estimate/word_table.hpp"
#include "tensor/support/parallel.hpp"
#include "text/block_reader.hpp"
#include "text/text_check.hpp"
#include "text/tokenizer.hpp"

namespace gradus::models::ngram {

namespace {

/// A piece of a block, which one thread tokenizes. Symbols that the table of the text does not hold yet get
/// numbers that are valid in the piece alone, marked by the highest bit.
struct Piece {
  static constexpr std::uint32_t own = 0x80000000U;

  std::string_view text;
  std::vector<std::uint32_t> ids;
  WordTable fresh;
  std::int64_t lines = 0;
  bool suspicious = false;             // to be read again for an error message with the line
  std::uint32_t first_line_fresh = 0;  // fresh symbols of the first line

  void start(std::string_view part) {
    text = part;
    ids.clear();
    if (fresh.size() > 0) fresh.clear();
    lines = 0;
    suspicious = false;
    first_line_fresh = 0;
  }
  void add(std::string_view symbol, const WordTable& known) {
    const std::uint64_t hash = WordTable::hash(symbol);
    const std::int64_t number = known.find(symbol, hash);
    ids.push_back(number >= 0 ? static_cast<std::uint32_t>(number) : fresh.find_or_add(symbol, hash) | own);
  }
};

enum class Kind : std::uint8_t { word, space, control, line_end };

constexpr std::array<Kind, 256> kinds = [] {
  std::array<Kind, 256> out{};
  for (std::size_t c = 0; c < 0x20; ++c) out[c] = Kind::control;
  out['\f'] = out['\v'] = Kind::word;
  out[' '] = out['\t'] = out['\r'] = Kind::space;
  out['\n'] = Kind::line_end;
  return out;
}();

Kind kind_of(char c) {
  return kinds[static_cast<unsigned char>(c)];
}

bool is_border(std::string_view word) {
  return word == Vocabulary::line_end_text || word == "<s>";
}

constexpr std::uint32_t line_end_number = 0;

void split_words(Piece& piece, const WordTable& known, std::int64_t max_line) {
  const char* at = piece.text.data();
  const char* const end = at + piece.text.size();
  while (at < end) {
    const char* const line = at;
    for (;;) {
      while (at < end && kind_of(*at) == Kind::space) ++at;
      const char* const word = at;
      while (at < end && kind_of(*at) == Kind::word) ++at;
      // Rare, and usually an error.
      while (at < end && (kind_of(*at) == Kind::control || kind_of(*at) == Kind::word)) {
        piece.suspicious = true;
        ++at;
      }
      if (at == word) break;
      const std::string_view symbol(word, static_cast<std::size_t>(at - word));
      if (*word == '<' && is_border(symbol)) piece.suspicious = true;
      piece.add(symbol, known);
    }
    if (max_line > 0 && at - line > max_line) piece.suspicious = true;
    piece.ids.push_back(line_end_number);
    if (piece.lines++ == 0) piece.first_line_fresh = piece.fresh.size();
    if (at < end) ++at;
  }
}

void split_characters(Piece& piece, const WordTable& known, std::int64_t max_line) {
  const std::string_view text = piece.text;
  std::size_t line = 0;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at + 1;
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
    if (kind_of(text[at]) == Kind::control) piece.suspicious = true;
    if (max_line > 0 && at - line > static_cast<std::size_t>(max_line)) piece.suspicious = true;
    piece.add(text.substr(at, end - at), known);
    if (text[at] == '\n') {
      ++piece.lines;
      line = end;
    }
    at = end;
  }
}

void split(Piece& piece, Unit unit, const WordTable& known, std::int64_t max_line) {
  if (unit == Unit::byte) {
    for (std::size_t at = 0; at < piece.text.size(); ++at) piece.add(piece.text.substr(at, 1), known);
    return;
  }
  try {
    require_utf8(piece.text, "");
  } catch (const DataError&) {
    piece.suspicious = true;  // found again with the line
    return;
  }
  if (unit == Unit::word) {
    split_words(piece, known, max_line);
  } else {
    split_characters(piece, known, max_line);
  }
}

/// Cuts pieces of about 64 KB that end with a line or, for bytes, anywhere.
std::size_t cut_pieces(std::string_view text, Unit unit, std::vector<Piece>& pieces) {
  constexpr std::size_t size = std::size_t{1} << 16;
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size(); ++count) {
    std::size_t end = std::min(at + size, text.size());
    if (unit != Unit::byte && end < text.size())
      end = std::min(text.find('\n', end - 1), text.size() - 1) + 1;
    if (count == pieces.size()) pieces.emplace_back();
    pieces[count].start(text.substr(at, end - at));
    at = end;
  }
  return count;
}

}  // namespace

struct TextSource::Parts {
  Parts(const std::filesystem::path& path, TextOptions chosen)
      : options(std::move(chosen)),
        blocks(own_part(path, options.unit, *options.team), {.unit = options.unit,
                                                             .block = options.block,
                                                             .max_line = options.max_line,
                                                             .skip_marks = options.skip_marks}) {}

  TextOptions options;
  BlockReader blocks;
  std::optional<TextCheck> check;
  TextSlice slice;       // that is being read
  bool numbered = true;  // whether its lines are counted from the beginning of the file
  std::int64_t done = 0;
  WordTable table;
  std::vector<std::int64_t> counts;  // by number
  std::vector<Piece> pieces;
  bool first_line_seen = false;
  std::uint32_t words_before_line_end = 0;  // different words of the first line
  std::uint32_t unknown_number = 0;         // of "<unk>" in a given vocabulary
  std::vector<std::uint32_t> number_of;     // the number of the symbol with a piece's own number
  Vocabulary vocabulary;

  std::uint32_t add(std::string_view symbol) {
    const std::uint32_t number = table.find_or_add(symbol, WordTable::hash(symbol));
    if (number == Piece::own) fail<DataError>("a text of more than {} different symbols", Piece::own);
    if (number == counts.size()) counts.push_back(0);
    return number;
  }

  /// Where the part begins within a file, the lines before it are counted when a line's number is wanted.
  void number_lines() {
    if (numbered) return;
    check->pass(lines_before(slice.file, slice.begin));
    numbered = true;
  }

  /// Reads a suspicious piece again, and throws if it is in error.
  void look_again(const Piece& piece, const std::string& name) {
    const std::int64_t first_line = check->line();
    check->read(piece.text);
    for_tokens(
        options.unit, piece.text, name, [](std::string_view) {}, first_line);
  }

  /// `line`: the first of the piece, in the part of the file.
  [[noreturn]] void fail_unlisted(const Piece& piece, std::string_view symbol, const std::string& name,
                                  std::int64_t line) const {
    std::int64_t found = line + (numbered ? 0 : lines_before(slice.file, slice.begin));
    bool there = false;
    for_tokens(options.unit, piece.text, name, [&](std::string_view other) {
      there |= other == symbol;
      if (!there) found += other == (options.unit == Unit::word ? Vocabulary::line_end_text : "\n");
    });
    fail<DataError>(
        "{}, line {}: '{}' is not in the vocabulary, which is closed; add it, or open the vocabulary", name,
        found, symbol);
  }

  /// Numbers the new symbols of a piece, and appends its ids.
  void take(Piece& piece, const std::string& name, std::int64_t line, std::vector<std::uint32_t>& ids) {
    number_of.clear();
    for (std::uint32_t i = 0; i < piece.fresh.size(); ++i) {
      const std::string_view symbol = piece.fresh.word(i);
      if (options.known && !options.known->contains(symbol)) {
        if (options.closed) fail_unlisted(piece, symbol, name, line);
        number_of.push_back(unknown_number);
      } else {
        number_of.push_back(add(symbol));
      }
    }
    const std::size_t start = ids.size();
    ids.insert(ids.end(), piece.ids.begin(), piece.ids.end());
    for (std::size_t i = start; i < ids.size(); ++i) {
      if ((ids[i] & Piece::own) != 0) ids[i] = number_of[ids[i] & ~Piece::own];
      ++counts[ids[i]];
    }
  }
};

TextSource::TextSource(const std::filesystem::path& path, TextOptions options)
    : parts_(std::make_unique<Parts>(path, std::move(options))) {
  Parts& t = *parts_;
  if (t.options.unit == Unit::subword)
    fail<ArgumentError>("subwords are not counted from a file; encode it, and make an NgramModel of the ids");
  if (t.options.closed && !t.options.known)
    fail<ArgumentError>("a closed vocabulary must be given; without one, the text's own holds all its words");
  if (!t.options.known) {
    // Always number 0, wherever it comes first.
    if (t.options.unit == Unit::word) t.add(Vocabulary::line_end_text);
    return;
  }
  const Vocabulary& known = *t.options.known;
  if (known.unit() != t.options.unit) {
    fail<ArgumentError>("a text of {}s with a vocabulary of {}s", name_of(t.options.unit),
                        name_of(known.unit()));
  }
  if (t.options.unit == Unit::word && known.line_end() < 0)
    fail<ArgumentError>("a vocabulary of words without '</s>'");
  if (t.options.unit == Unit::word) t.add(Vocabulary::line_end_text);
  for (std::int32_t id = 0; id < known.size(); ++id) t.add(known.symbol(id));
  if (known.unknown() >= 0) t.unknown_number = t.add(known.symbol(known.unknown()));
}

TextSource::~TextSource() = default;

bool TextSource::read(std::vector<std::uint32_t>& ids) {
  ids.clear();
  Parts& t = *parts_;
  std::optional<BlockReader::Block> block = t.blocks.next();
  if (!block) return false;
  const std::string& name = t.blocks.name(*block);
  if (block->file_start) {
    t.check.emplace(name, t.options.max_line);
    t.slice = t.blocks.slice(*block);
    t.numbered = t.slice.begin == 0;
  }

  const std::size_t count = cut_pieces(block->text, t.options.unit, t.pieces);
  // At first all symbols are new, so one piece is taken alone to fill the table.
  const std::size_t first = t.table.size() < 1000 ? std::min<std::size_t>(1, count) : 0;
  for (std::size_t begin = 0, end = first == 0 ? count : first; begin < count; begin = end, end = count) {
    parallel::for_chunks(static_cast<std::int64_t>(end - begin), [&](std::int64_t i) {
      split(t.pieces[begin + static_cast<std::size_t>(i)], t.options.unit, t.table, t.options.max_line);
    });
    for (std::size_t i = begin; i < end; ++i) {
      Piece& piece = t.pieces[i];
      if (piece.suspicious) t.number_lines();
      const std::int64_t line = t.check->line();
      if (piece.suspicious) {
        t.look_again(piece, name);
      } else {
        t.check->pass(piece.lines);
      }
      if (!t.first_line_seen) t.words_before_line_end = piece.first_line_fresh;
      t.first_line_seen = true;
      t.take(piece, name, line, ids);
    }
  }
  t.done = block->done;
  return true;
}

std::int64_t TextSource::provisional_end() const {
  return parts_->options.unit == Unit::word ? std::int64_t{line_end_number} : -1;
}

TokenSource::Ids TextSource::finish() {
  Parts& t = *parts_;
  std::vector<Piece>().swap(t.pieces);
  if (t.options.known) {
    t.vocabulary = std::move(*t.options.known);
  } else {
    // In the order of first appearance, where the line end comes after the words of the first line.
    std::vector<std::string_view> symbols;
    for (std::uint32_t number = 0; number < t.table.size(); ++number) symbols.push_back(t.table.word(number));
    if (t.options.unit == Unit::word) {
      const auto middle = static_cast<std::ptrdiff_t>(t.words_before_line_end) + 1;
      std::rotate(symbols.begin(), symbols.begin() + 1, symbols.begin() + middle);
      std::rotate(t.counts.begin(), t.counts.begin() + 1, t.counts.begin() + middle);
    }
    Team& team = *t.options.team;
    if (!t.first_line_seen && !team.alone()) symbols.clear();  // nothing was read
    CountedSymbols all;                                        // holds what the symbols are then
    if (!team.alone()) {
      all = symbols_of_all(symbols, t.counts, team);
      symbols = all.symbols();
      t.counts = all.counts;
    }
    t.vocabulary = Vocabulary::from_counts(t.options.unit, symbols, t.counts, t.options.vocabulary);
  }
  Ids ids;
  for (std::uint32_t number = 0; number < t.table.size(); ++number)
    ids.final_id.push_back(t.vocabulary.id(t.table.word(number)));
  ids.vocab = static_cast<std::int32_t>(t.vocabulary.size());
  if (t.options.unit == Unit::word) ids.sentence_end = t.vocabulary.line_end();
  return ids;
}

TokenSource::Progress TextSource::progress() const {
  return {parts_->done, parts_->blocks.total()};
}

const Vocabulary& TextSource::vocabulary() const {
  return parts_->vocabulary;
}

}  // namespace gradus::models::ngram
