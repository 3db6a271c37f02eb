#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/subwords.hpp"

namespace gradus {

/// What one token of a text is.
///   byte:       one of 256 fixed symbols; any file has such tokens, and none is unknown.
///   character:  a code point of UTF-8; the line end is an ordinary symbol.
///   word:       separated by spaces, tabs and carriage returns; the line end is the token "</s>".
///   subword:    a part of a word, as a tokenizer cuts it (Subwords); the line end is as it decides.
enum class Unit { byte, character, word, subword };

/// "byte", "character", "word" or "subword".
std::string_view name_of(Unit unit);
/// The unit of that name; throws ArgumentError and lists the names for any other.
Unit unit_named(std::string_view name);

struct VocabularyOptions {
  /// Symbols that occur fewer times become unknown. Of subwords, pairs that do are not merged.
  std::int64_t min_count = 1;
  /// The maximal number of symbols, including the unknown one and "</s>"; 0: no limit. Of subwords: how many
  /// to learn, at least 256; 0: 8000.
  std::int64_t max_size = 0;
};

/// The symbols of a text and their ids, 0..size()-1. A value.
///
/// Characters and words have the unknown symbol "<unk>" with the id 0, whether or not the text contains it.
/// Its count is that of all symbols left out, so it can be trained like any other symbol. A word "<unk>" in
/// the text itself (as in WikiText) is the same symbol. Subwords have the ids of their tokenizer, which the
/// vocabulary keeps. The other ids are in the order of falling counts and
/// then of first appearance, so the same text gives the same ids everywhere. A vocabulary of words always has
/// "</s>".
class Vocabulary {
 public:
  static constexpr std::string_view unknown_text = "<unk>";
  static constexpr std::string_view line_end_text = "</s>";

  /// A vocabulary without symbols.
  Vocabulary() = default;
  /// The vocabulary of a text, which errors call `name`; of subwords, a byte-level BPE that is learned from
  /// it (Bpe::train). Throws DataError for invalid UTF-8, unless bytes are all that is asked for, for an
  /// empty text and for the words "<s>" and "</s>" in it; ArgumentError for options out of range.
  static Vocabulary build(Unit unit, std::string_view text, const VocabularyOptions& options = {},
                          std::string_view name = "the text");
  /// The same from the different symbols of a text, in the order of their first appearance, and their counts.
  /// Words must include "</s>".
  static Vocabulary from_counts(Unit unit, std::span<const std::string_view> symbols,
                                std::span<const std::int64_t> counts, const VocabularyOptions& options = {});

  /// The vocabulary of a tokenizer of subwords, such as one that others made: GPT-2's is
  /// `Vocabulary::of(std::make_shared<Bpe>(Bpe::load_gpt2(...)))`. `counts`: of each id in some text, or
  /// none. Throws ArgumentError when their number is not that of the tokens.
  static Vocabulary of(std::shared_ptr<const Subwords> subwords, std::span<const std::int64_t> counts = {});

  Unit unit() const { return unit_; }
  /// The tokenizer of subwords; null for other units.
  const Subwords* subwords() const { return subwords_.get(); }
  std::int64_t size() const { return static_cast<std::int64_t>(symbols_.size()); }
  /// The spelling of an id. Throws ArgumentError when out of range.
  const std::string& symbol(std::int32_t id) const;
  /// The id of a symbol (of subwords that are spelled alike, the first), or unknown() when it is not listed
  /// (-1 for bytes, where every byte is listed).
  std::int32_t id(std::string_view symbol) const;
  bool contains(std::string_view symbol) const { return ids_.find(symbol) != ids_.end(); }
  /// The number of times that a symbol occurs in the text that the vocabulary was built from.
  std::int64_t count(std::int32_t id) const;

  /// The id of "<unk>": 0, or -1 for bytes, and for subwords that any text can be made of.
  std::int32_t unknown() const {
    return unit_ == Unit::byte ? -1 : unit_ == Unit::subword ? subwords_->unknown() : 0;
  }
  /// The id of the token that ends a line: "</s>" for words, "\n" for other units; -1 when the text had no
  /// line end.
  std::int32_t line_end() const { return line_end_; }

  /// The vocabulary as lines of text: "gradus vocabulary 1 <unit> <size>", then "<count>\t<symbol>" in the
  /// order of the ids, where special characters are escaped as \\ \n \t \r \xHH. Of subwords, what their
  /// tokenizer writes follows.
  std::string serialize() const;
  /// The reverse of serialize. Throws DataError naming `name` and the line.
  static Vocabulary parse(std::string_view text, std::string_view name = "the vocabulary");
  /// Writes serialize() to a file, which appears complete or not at all. Throws DataError naming the file.
  void save(const std::filesystem::path& file) const;
  static Vocabulary load(const std::filesystem::path& file);

  /// This one, with the symbols of another that it lacks behind its own, and the counts of both; those that
  /// the other has not listed stay unknown. Throws ArgumentError for subwords, of which any text is made
  /// already, and for units that differ.
  Vocabulary extended_by(const Vocabulary& other) const;

  /// Whether the other has the same ids for the same symbols, and makes the same subwords of a text; the
  /// counts may differ.
  bool same_symbols(const Vocabulary& other) const;
  bool operator==(const Vocabulary& other) const {
    return unit_ == other.unit_ && same_symbols(other) && counts_ == other.counts_;
  }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };

  bool add(std::string symbol, std::int64_t count);

  Unit unit_ = Unit::word;
  std::int32_t line_end_ = -1;
  std::vector<std::string> symbols_;
  std::vector<std::int64_t> counts_;
  std::unordered_map<std::string, std::int32_t, Hash, std::equal_to<>> ids_;
  std::shared_ptr<const Subwords> subwords_;
};

}  // namespace gradus
