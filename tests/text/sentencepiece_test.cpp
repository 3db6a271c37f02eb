#include "text/sentencepiece.hpp"

#ifdef GRADUS_SENTENCEPIECE
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>
#endif

#include <map>

#include "tensor/random.hpp"
#include "tensor/support/error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"
#include "text/base64.hpp"
#include "text/synthetic.hpp"
#include "text/tokenizer.hpp"

using namespace gradus;
using Catch::Contains;
using gradus::test::Folder;
using Ids = std::vector<std::int32_t>;

TEST_CASE("base64 as RFC 4648 has it", "[sentencepiece]") {
  CHECK(base64_lines("") == "\n");
  CHECK(base64_lines("f") == "Zg==\n");
  CHECK(base64_lines("fo") == "Zm8=\n");
  CHECK(base64_lines("foobar") == "Zm9vYmFy\n");
  Rng rng(1);
  for (const std::size_t size : {0U, 1U, 2U, 3U, 767U, 768U, 769U, 5000U}) {
    std::string bytes;
    while (bytes.size() < size) bytes += static_cast<char>(rng.below(256));
    CHECK(from_base64_lines(base64_lines(bytes)) == bytes);
  }
  for (const char* wrong : {"Zg=", "Z", "Zm9v!", "Zg==Zg==", "=g==", "Z===", "Zm9vYmF"}) {
    INFO(wrong);
    CHECK_FALSE(from_base64_lines(wrong));
  }
}

#ifdef GRADUS_SENTENCEPIECE

namespace {

class Lines final : public sentencepiece::SentenceIterator {
 public:
  explicit Lines(std::string text) : text_(std::move(text)) { Lines::Next(); }
  bool done() const override { return done_; }
  void Next() override {
    done_ = at_ >= text_.size();
    const std::size_t end = std::min(text_.find('\n', at_), text_.size());
    line_ = done_ ? std::string() : text_.substr(at_, end - at_);
    at_ = end + 1;
  }
  const std::string& value() const override { return line_; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  std::string text_, line_;
  std::size_t at_ = 0;
  bool done_ = false;
};

/// A model that the library itself makes of a small text.
std::string trained(const std::string& options) {
  Lines lines(synthetic_corpus(1, 3000).text);
  std::string out;
  const auto status = sentencepiece::SentencePieceTrainer::Train(
      "--minloglevel=2 --num_threads=1 --hard_vocab_limit=false " + options, &lines, &out);
  if (!status.ok()) throw std::logic_error(status.ToString());
  return out;
}

const std::string& model_of(const std::string& options) {
  static std::map<std::string, std::string> made;
  std::string& out = made[options];
  if (out.empty()) out = trained(options);
  return out;
}

const std::string unigram = "--model_type=unigram --vocab_size=120";
/// Such as Llama 2's.
const std::string bytes_too =
    "--model_type=bpe --vocab_size=400 --byte_fallback=true --normalization_rule_name=identity "
    "--remove_extra_whitespaces=false";

}  // namespace

TEST_CASE("SentencePiece models give the library's ids, unigram and BPE", "[sentencepiece]") {
  for (const std::string& options : {unigram, bytes_too}) {
    const std::string& model = model_of(options);
    sentencepiece::SentencePieceProcessor theirs;
    REQUIRE(theirs.LoadFromSerializedProto(model).ok());
    const SentencePiece ours = SentencePiece::from_bytes(model, "m.model");
    REQUIRE(ours.size() == theirs.GetPieceSize());
    for (const std::string text :
         {"the queen has a crown .", "  two  spaces ", "naïve 日本\n\ta", "", "\U0001F600x"}) {
      INFO(text);
      std::vector<int> ids;
      std::string back;
      REQUIRE(theirs.Encode(text, &ids).ok());
      CHECK(ours.encode(text) == ids);
      REQUIRE(theirs.Decode(ids, &back).ok());
      CHECK(ours.decode(ids) == back);
    }
    CHECK(ours.unknown() == (options == unigram ? 0 : -1));
    CHECK_THROWS_WITH(ours.decode(Ids{100'000}), Contains("id 100000 of a model of"));
  }
}

TEST_CASE("of a SentencePiece model that falls back to bytes, every string comes back", "[sentencepiece]") {
  const SentencePiece model = SentencePiece::from_bytes(model_of(bytes_too), "m.model");
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  const std::string sign = "a \u2581 b\u2581", nowhere = "x\U0010FFFFy\xFFz";
  for (const std::string& text :
       {all, sign, nowhere, std::string("  a  \n\n b"), std::string("\xE2\x96"), std::string()}) {
    INFO(text);
    CHECK(model.decode(model.encode(text)) == text);
  }
  Rng rng(2);
  const std::vector<std::string> bits{" ",    "the",    "queen", "é",  "\xC3",
                                      "\xFF", "\u2581", "\n",    "日", "\U0010FFFE"};
  for (int i = 0; i < 200; ++i) {
    std::string text;
    for (int n = 0; n < 12; ++n) text += bits[rng.below(bits.size())];
    REQUIRE(model.decode(model.encode(text)) == text);
  }
  CHECK(model.token(model.line_end()) == "<0x0A>");
}

TEST_CASE("a vocabulary keeps a SentencePiece model, and files of them are read", "[sentencepiece]") {
  const Folder folder;
  const std::string& bytes = model_of(unigram);
  folder.write("tokenizer.model", bytes);
  const Vocabulary v = Vocabulary::of(load_subwords(folder.path()));
  CHECK(Vocabulary::parse(v.serialize()) == v);
  const std::string text = "the queen has a crown .";
  CHECK(encode(Vocabulary::parse(v.serialize()), text) == encode(v, text));
  CHECK(encode(Vocabulary::of(load_subwords(folder.path() / "tokenizer.model")), text) == encode(v, text));
  folder.write("damaged.model", bytes.substr(0, bytes.size() / 2));
  CHECK_THROWS_WITH(load_subwords(folder.path() / "damaged.model"),
                    Contains("damaged.model: not a SentencePiece model"));
  CHECK_THROWS_WITH(load_subwords(folder.path() / "none.model"), Contains("none.model"));
  const std::string kept = v.serialize();
  CHECK_THROWS_WITH(Vocabulary::parse(kept.substr(0, kept.size() - 10) + "\n"), Contains("base64"));
}

#else

TEST_CASE("a build without SentencePiece says so", "[sentencepiece]") {
  const Folder folder;
  folder.write("tokenizer.model", "x");
  CHECK_FALSE(SentencePiece::available());
  CHECK_THROWS_WITH(load_subwords(folder.path()), Contains("libsentencepiece-dev"));
  CHECK_THROWS_WITH(Vocabulary::parse("gradus vocabulary 1 subword 1\n0\ta\ngradus sentencepiece 1\n"),
                    Contains("libsentencepiece-dev"));
}

#endif
