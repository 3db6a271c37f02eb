#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gradus {

/// A tokenizer whose tokens are parts of words, with ids 0..size()-1. It does not change, and several threads
/// may use it. A Vocabulary of the unit `subword` is made of one, by Vocabulary::of.
class Subwords {
 public:
  virtual ~Subwords() = default;

  virtual std::int64_t size() const = 0;
  /// How a token is spelled. Throws ArgumentError for an id out of range.
  virtual std::string_view token(std::int32_t id) const = 0;
  virtual std::vector<std::int32_t> encode(std::string_view text) const = 0;
  /// Throws ArgumentError for an id out of range.
  virtual std::string decode(std::span<const std::int32_t> ids) const = 0;
  /// The id of what has no token of its own; -1 where all bytes have one.
  virtual std::int32_t unknown() const = 0;
  /// Tokens that stand for something else than their spelling, such as "<|endoftext|>".
  virtual std::vector<std::int32_t> special() const { return {}; }
  /// The id of "\n" alone, or -1.
  virtual std::int32_t line_end() const = 0;
  /// The last place, above 0, where a text can be cut so that the ids of both parts are those of the whole,
  /// whatever follows it; 0 where none is known.
  virtual std::size_t last_cut(std::string_view text) const = 0;
  /// What a model file keeps beside the tokens: lines of text in UTF-8, which begin "gradus <kind> 1".
  virtual std::string serialize() const = 0;

 protected:
  Subwords() = default;
  Subwords(const Subwords&) = default;
  Subwords& operator=(const Subwords&) = default;
};

/// How often each of `size` ids occurs.
std::vector<std::int64_t> count_tokens(std::span<const std::int32_t> ids, std::int64_t size);

/// A tokenizer that others made: a tokenizer.json of Hugging Face's library, or a folder with one, or with
/// GPT-2's two files, encoder.json and vocab.bpe or vocab.json and merges.txt, or a `.model` of
/// SentencePiece. Throws DataError, which names the file, for what is missing, damaged or not supported.
std::shared_ptr<const Subwords> load_subwords(const std::filesystem::path& path);

}  // namespace gradus
