#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace gradus {

/// What one token of a text is.
///   byte:       256 fixed symbols; any file, nothing is unknown.
///   character:  a code point of UTF-8; the line end is an ordinary symbol.
///   word:       what stands between spaces, tabs and carriage returns; the line end is the token "</s>".
enum class Unit { byte, character, word };

/// "byte", "character" or "word".
std::string_view name_of(Unit unit);
/// The unit of that name; throws ArgumentError and lists the names for any other.
Unit unit_named(std::string_view name);

struct VocabularyOptions {
  /// Symbols seen fewer times become unknown.
  std::int64_t min_count = 1;
  /// At most this many symbols, the unknown one and "</s>" included; 0 is no limit.
  std::int64_t max_size = 0;
};

/// The symbols of a text and their ids, 0..size()-1: a value.
///
/// Characters and words have the unknown symbol "<unk>" at id 0, whether the text holds it or not; its count
/// is that of all the symbols left out, so it can be trained on like any other. A word "<unk>" in the text
/// itself (as in WikiText) is the same entry. The other ids fall by count, then by first appearance, so the
/// same text gives the same ids everywhere. Words always have "</s>".
class Vocabulary {
 public:
  static constexpr std::string_view unknown_text = "<unk>";
  static constexpr std::string_view line_end_text = "</s>";

  /// No symbols at all.
  Vocabulary() = default;
  /// The symbols of a text. Throws DataError for invalid UTF-8, for an empty text and for the word "</s>" in
  /// the text; ArgumentError for options out of range. `name` is what the errors call the text.
  static Vocabulary build(Unit unit, std::string_view text, const VocabularyOptions& options = {},
                          std::string_view name = "the text");
  /// The same from the text's symbols and their counts, each symbol once, in the order of their first
  /// appearance: for a text that is counted in another way. Words must have "</s>" among them.
  static Vocabulary from_counts(Unit unit, std::span<const std::string_view> symbols,
                                std::span<const std::int64_t> counts, const VocabularyOptions& options = {});

  Unit unit() const { return unit_; }
  std::int64_t size() const { return static_cast<std::int64_t>(symbols_.size()); }
  /// The spelling of an id. Throws ArgumentError when out of range.
  const std::string& symbol(std::int32_t id) const;
  /// The id of a symbol, or unknown() when it is not listed (-1 for bytes, where every byte is listed).
  std::int32_t id(std::string_view symbol) const;
  bool contains(std::string_view symbol) const { return ids_.find(symbol) != ids_.end(); }
  /// How often it stood in the text the vocabulary was built from.
  std::int64_t count(std::int32_t id) const;

  /// The id of "<unk>": 0, or -1 for bytes.
  std::int32_t unknown() const { return unit_ == Unit::byte ? -1 : 0; }
  /// The id of the token that ends a line: "</s>" for words, "\n" for the others. -1 when no line end was
  /// seen.
  std::int32_t line_end() const { return line_end_; }

  /// All of it as lines of text: "gradus vocabulary 1 <unit> <size>", then "<count>\t<symbol>" in the order
  /// of the ids, the symbols with \\ \n \t \r \xHH for what would not survive.
  std::string serialize() const;
  /// The reverse of serialize. Throws DataError naming `name` and the line.
  static Vocabulary parse(std::string_view text, std::string_view name = "the vocabulary");
  /// Writes serialize() to a file, whole or not at all. Throws DataError naming the file.
  void save(const std::filesystem::path& file) const;
  static Vocabulary load(const std::filesystem::path& file);

  bool operator==(const Vocabulary& other) const {
    return unit_ == other.unit_ && symbols_ == other.symbols_ && counts_ == other.counts_;
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
};

}  // namespace gradus
