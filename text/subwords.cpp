#include "text/subwords.hpp"

#include "tensor/support/error.hpp"
#include "text/bpe.hpp"
#include "text/sentencepiece.hpp"

namespace gradus {

std::vector<std::int64_t> count_tokens(std::span<const std::int32_t> ids, std::int64_t size) {
  std::vector<std::int64_t> out(static_cast<std::size_t>(size), 0);
  for (const std::int32_t id : ids) ++out[static_cast<std::size_t>(id)];
  return out;
}

std::shared_ptr<const Subwords> load_subwords(const std::filesystem::path& path) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const auto piece = [](const fs::path& file) {
    return std::make_shared<const SentencePiece>(SentencePiece::load(file));
  };
  if (path.extension() == ".model") return piece(path);
  if (!fs::is_directory(path, ignored)) return std::make_shared<const Bpe>(Bpe::load_json(path));
  const auto has = [&](const char* name) { return fs::exists(path / name, ignored); };
  if (has("tokenizer.json")) return std::make_shared<const Bpe>(Bpe::load_json(path / "tokenizer.json"));
  for (const auto& [tokens, merges] :
       {std::pair("encoder.json", "vocab.bpe"), std::pair("vocab.json", "merges.txt")}) {
    if (has(tokens)) return std::make_shared<const Bpe>(Bpe::load_gpt2(path / tokens, path / merges));
  }
  if (has("tokenizer.model")) return piece(path / "tokenizer.model");
  fail<DataError>(
      "the folder {} holds no tokenizer: no tokenizer.json, encoder.json, vocab.json or tokenizer.model",
      path.string());
}

}  // namespace gradus
