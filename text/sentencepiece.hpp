#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/subwords.hpp"

namespace gradus {

/// A SentencePiece model (Kudo and Richardson 2018), unigram or BPE, read by its own library as it is. The
/// ids are the library's, without <s> and </s>, which the caller adds.
///
/// Most models change the text (NFKC, spaces in a row), so that decoding gives it back changed. Of a model
/// that changes nothing and falls back to bytes, such as Llama 2's, decode(encode(text)) is the text,
/// whatever bytes it has: bytes that are no UTF-8, and the sign U+2581, which stands for the space, go as
/// single bytes.
///
/// A build without libsentencepiece-dev has no such reader, and every function of making one says so.
class SentencePiece final : public Subwords {
 public:
  /// Reads a `.model` file. Throws DataError, which names the file, for one that the library does not read.
  static SentencePiece load(const std::filesystem::path& file);
  static SentencePiece from_bytes(std::string_view model, std::string_view name);
  /// Whether this build has the reader.
  static bool available();

  std::int64_t size() const override;
  /// A token as the model writes it: U+2581 for a space, <0x0A> for a byte.
  std::string_view token(std::int32_t id) const override;
  std::vector<std::int32_t> encode(std::string_view text) const override;
  std::string decode(std::span<const std::int32_t> ids) const override;
  /// The id of <unk>; -1 where all bytes have tokens.
  std::int32_t unknown() const override;
  std::int32_t line_end() const override;
  std::size_t last_cut(std::string_view) const override { return 0; }
  /// "gradus sentencepiece 1", then the model in base64.
  std::string serialize() const override;
  /// The reverse. Throws DataError, which names `name`; also where the tokens are not the model's.
  static SentencePiece parse(const std::vector<std::string>& tokens, std::string_view text,
                             std::string_view name);

 private:
  struct Model;
  explicit SentencePiece(std::shared_ptr<const Model> model) : model_(std::move(model)) {}

  std::shared_ptr<const Model> model_;
};

}  // namespace gradus
