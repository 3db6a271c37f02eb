// Subwords: a byte-level BPE is learned from a text, cuts it, gives it back, and is kept for other programs.
#include <cstdio>
#include <filesystem>

#include "gradus.hpp"

using namespace gradus;

int main() {
  const std::string text = synthetic_corpus(1, 20'000).text;
  const Bpe bpe = Bpe::train(text, {.size = 600, .special = {"<|endoftext|>"}});
  const std::vector<std::int32_t> ids = bpe.encode("the queen's crown: naïve \xFF bytes");
  for (const std::int32_t id : ids) {
    std::putchar('[');
    // A subword may be a part of a letter, which is no text by itself.
    for (const char letter : bpe.token(id)) {
      const auto byte = static_cast<unsigned char>(letter);
      std::printf(byte < 128 ? "%c" : "\\x%02X", byte);
    }
    std::putchar(']');
  }
  std::printf("\n%zu bytes are %zu subwords\n", text.size(), bpe.encode(text).size());
  if (bpe.decode(ids) != "the queen's crown: naïve \xFF bytes") return 1;

  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / "gradus-subwords-tokenizer.json";
  bpe.save_json(file);
  const Vocabulary vocab = Vocabulary::of(load_subwords(file));
  std::filesystem::remove(file);
  std::printf("%lld symbols, the same ids: %s\n", static_cast<long long>(vocab.size()),
              encode(vocab, text) == bpe.encode(text) ? "yes" : "no");
}
