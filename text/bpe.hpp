#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/subwords.hpp"

namespace gradus {

/// How GPT-2 cuts a text: contractions, words, numbers, other marks, each with a space before it, and spaces.
inline constexpr std::string_view gpt2_pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// What makes a byte-level BPE tokenizer.
struct BpeParts {
  /// Two tokens, by their ids, that become one.
  struct Merge {
    std::int32_t left, right;
    bool operator==(const Merge&) const = default;
  };
  /// The bytes of each token, in the order of the ids. All 256 single bytes are among them.
  std::vector<std::string> tokens;
  /// The merges, the first to be done first. The bytes of both tokens together are a token.
  std::vector<Merge> merges;
  /// How a text is cut into pieces that no token crosses: regular expressions, as PCRE2 reads them, whose
  /// matches and what lies between them are the pieces, each cut by the next expression. None: not at all.
  std::vector<std::string> patterns;
  /// Tokens that stand for something else than their spelling, such as "<|endoftext|>", by their ids: a text
  /// is never encoded to them, unless the caller says so.
  std::vector<std::int32_t> special{};
  /// Tokens that are looked for in every text before it is cut.
  std::vector<std::int32_t> added{};
  /// Whether a piece that is a token becomes that token, whatever the merges make of it.
  bool whole_pieces = false;
};

struct BpeTraining {
  /// The number of tokens: the 256 bytes, what the merges make, and the special ones.
  std::int64_t size = 8000;
  /// Pairs that occur fewer times are not merged, so that a short text gives fewer tokens.
  std::int64_t min_count = 2;
  /// What cuts the text into pieces: see BpeParts.
  std::vector<std::string> patterns{std::string(gpt2_pattern)};
  /// Tokens with the last ids, to which no text is encoded.
  std::vector<std::string> special{};
  /// Called now and then with the number of merges done, and of all.
  std::function<void(std::int64_t done, std::int64_t total)> report{};
};

/// Byte-pair encoding of bytes (Sennrich et al. 2016; Radford et al. 2019): a text is cut into pieces, each
/// piece into its bytes, and of two neighbours in a piece those are joined that come first in the list of
/// merges, of equals the left ones, until none is listed. Any bytes are encoded, and decode(encode(text)) is
/// the text. With GPT-2's files the ids are GPT-2's.
///
/// Letters and numbers are those of the Unicode version of the PCRE2 that is installed. Bytes that are no
/// UTF-8 count, to GPT-2's pattern, as characters that are neither letter, number nor space, as U+FFFD does,
/// which other libraries put in their place; to another pattern, they are a piece of their own.
///
/// A value: a copy shares its tables.
class Bpe final : public Subwords {
 public:
  /// Throws DataError, which names `name`, for parts that do not fit together.
  explicit Bpe(BpeParts parts, std::string_view name = "the tokenizer");

  /// Learns merges from a text: always the pair of tokens that occurs most often within its pieces; of those
  /// that occur as often, the one with the lower left id, then the lower right one. Bytes have the ids 0..255
  /// in GPT-2's order: 0x21..0x7E, 0xA1..0xAC, 0xAE..0xFF, then the others. The same text gives the same
  /// tokens for any number of threads. Throws DataError for an empty text, ArgumentError for options out of
  /// range.
  static Bpe train(std::string_view text, const BpeTraining& training = {},
                   std::string_view name = "the text");

  /// Reads the two files that GPT-2 came with, `encoder.json` and `vocab.bpe` (which others call vocab.json
  /// and merges.txt). A token that is neither a byte nor made by a merge is special. Throws DataError, which
  /// names the file and the place, for what is missing or contradictory.
  static Bpe load_gpt2(const std::filesystem::path& encoder, const std::filesystem::path& merges);
  /// Reads a tokenizer.json of Hugging Face's library that holds a byte-level BPE, cut by GPT-2's pattern or
  /// by given ones. Throws DataError, which names the field, for what is missing, and for all that would give
  /// other ids and is not supported: other models, normalizers, other ways to cut, dropout. Tokens that a
  /// post-processor adds around a text are left to the caller.
  static Bpe load_json(const std::filesystem::path& file);
  static Bpe parse_gpt2(std::string_view encoder, std::string_view merges, std::string_view encoder_name,
                        std::string_view merges_name);
  static Bpe parse_json(std::string_view json, std::string_view name);

  /// Writes GPT-2's two files. Throws ArgumentError for a tokenizer that they cannot hold: one that is cut
  /// otherwise, looks for added tokens or takes whole pieces.
  void save_gpt2(const std::filesystem::path& encoder, const std::filesystem::path& merges) const;
  /// Writes a tokenizer.json, as Hugging Face's libraries read it.
  void save_json(const std::filesystem::path& file) const;
  std::string to_json() const;

  std::int64_t size() const override;
  std::string_view token(std::int32_t id) const override;
  /// The id of a token by its bytes, or -1.
  std::int32_t id(std::string_view token) const;
  std::vector<std::int32_t> encode(std::string_view text) const override;
  /// The same where special tokens that are spelled in the text are meant, as in a prompt that is made by a
  /// program. What users write should not go through it.
  std::vector<std::int32_t> encode_with_special(std::string_view text) const;
  std::string decode(std::span<const std::int32_t> ids) const override;
  std::int32_t unknown() const override { return -1; }
  std::vector<std::int32_t> special() const override { return parts().special; }
  std::int32_t line_end() const override { return id("\n"); }
  std::size_t last_cut(std::string_view text) const override;
  /// "gradus bpe 1", then the patterns, the special and added tokens and the merges, by ids.
  std::string serialize() const override;
  /// The reverse, with the tokens that were kept beside it. Throws DataError, which names `name`.
  static Bpe parse(std::vector<std::string> tokens, std::string_view text, std::string_view name);

  const BpeParts& parts() const;

 private:
  struct Tables;
  std::shared_ptr<const Tables> tables_;
};

}  // namespace gradus
