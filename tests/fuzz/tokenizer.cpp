#include "tests/support/folder.hpp"
#include "tests/support/hostile.hpp"
#include "text/bpe.hpp"
#include "text/vocabulary.hpp"

// Any bytes, read as the files of tokenizers: an error of ours, or a tokenizer that gives every text back.
// Files of GPT-2 are two, with a zero byte between.

using namespace gradus;
using namespace gradus::test;

namespace {

void use(const Subwords& subwords) {
  const std::string text = "the cat's 12  \xFF naïve\n<s>";
  if (subwords.decode(subwords.encode(text)) != text) std::abort();
  subwords.serialize();
}

}  // namespace

/// `fuzz_tokenizer --seeds=FOLDER` writes files to begin from, and ends.
extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  const Folder folder;
  const Bpe bpe = Bpe::train("the cat the cat 12 12 it's it's", {.size = 266, .special = {"<s>"}});
  bpe.save_gpt2(folder.path() / "e", folder.path() / "m");
  write_seeds(*argc, *argv,
              {bpe.to_json(), Vocabulary::of(std::make_shared<Bpe>(bpe)).serialize(),
               read_bytes(folder.path() / "e") + '\0' + read_bytes(folder.path() / "m")});
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  goes([&] { use(Bpe::parse_json(bytes, "the hostile file")); });
  goes([&] {
    const Vocabulary v = Vocabulary::parse(bytes, "the hostile file");
    if (v.subwords() != nullptr) use(*v.subwords());
  });
  if (const std::size_t middle = bytes.find('\0'); middle != bytes.npos)
    goes([&] { use(Bpe::parse_gpt2(bytes.substr(0, middle), bytes.substr(middle + 1), "e", "m")); });
  return 0;
}
