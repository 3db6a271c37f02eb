#include <nlohmann/json.hpp>

#include "tensor/random.hpp"
#include "tensor/support/error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/hostile.hpp"
#include "text/bpe.hpp"
#include "text/byte_letters.hpp"
#include "text/synthetic.hpp"
#include "text/vocabulary.hpp"

using namespace gradus;
using Catch::Contains;
using gradus::test::Folder;
using gradus::test::goes;
using gradus::test::read_bytes;
using nlohmann::json;
using Ids = std::vector<std::int32_t>;

namespace {

const std::string text = synthetic_corpus(1, 1000).text + "the dog isn't naïve  at all\n";

Bpe small(BpeTraining training = {.size = 300}) {
  return Bpe::train(text, training);
}

/// What reading a tokenizer.json that was changed says.
std::string error_after(const std::function<void(json&)>& change, const Bpe& bpe = small()) {
  json content = json::parse(bpe.to_json());
  change(content);
  try {
    Bpe::parse_json(content.dump(), "t.json");
  } catch (const DataError& error) {
    return error.what();
  }
  return "read";
}

std::string gpt2_error(std::string_view encoder, std::string_view merges) {
  try {
    Bpe::parse_gpt2(encoder, merges, "e.json", "m.bpe");
  } catch (const DataError& error) {
    return error.what();
  }
  return "read";
}

}  // namespace

TEST_CASE("each byte is a visible letter in GPT-2's files", "[bpe]") {
  CHECK(to_letters("a b\n\xC3\xA9\xAD") == "aĠbĊÃ©Ń");
  std::string all;
  for (const unsigned char byte : bytes_in_order()) all += static_cast<char>(byte);
  CHECK(from_letters(to_letters(all)) == all);
  CHECK(all.substr(0, 2) == "!\"");
  CHECK_FALSE(from_letters("a b"));
  CHECK_FALSE(from_letters("日"));
  CHECK_FALSE(from_letters("\xFF"));
}

TEST_CASE("a tokenizer is written and read as GPT-2's two files", "[bpe]") {
  const Bpe bpe = small({.size = 300, .special = {"<|endoftext|>"}});
  const Folder folder;
  const auto encoder = folder.path() / "encoder.json", merges = folder.path() / "vocab.bpe";
  bpe.save_gpt2(encoder, merges);
  CHECK(read_bytes(merges).starts_with("#version: 0.2\n"));
  const Bpe read = Bpe::load_gpt2(encoder, merges);
  CHECK(read.parts().tokens == bpe.parts().tokens);
  CHECK(read.parts().merges == bpe.parts().merges);
  CHECK(read.parts().special == Ids{299});
  CHECK(read.encode(text) == bpe.encode(text));
  CHECK_THROWS_WITH(
      Bpe(BpeParts{.tokens = bpe.parts().tokens, .merges = {}, .patterns = {}}).save_gpt2(encoder, merges),
      Contains("cuts a text otherwise"));
  CHECK_THROWS_WITH(Bpe::load_gpt2(folder.path() / "none.json", merges), Contains("none.json"));
}

TEST_CASE("what is wrong with GPT-2's files is named", "[bpe]") {
  const Folder folder;
  small().save_gpt2(folder.path() / "e", folder.path() / "m");
  const std::string encoder = read_bytes(folder.path() / "e"), merges = read_bytes(folder.path() / "m");
  CHECK(gpt2_error(encoder, merges) == "read");
  CHECK_THAT(gpt2_error(encoder.substr(0, encoder.size() / 2), merges),
             Contains("e.json: not JSON, or cut short"));
  CHECK_THAT(gpt2_error("[1]", merges), Contains("a JSON object should stand here, not array"));
  CHECK_THAT(gpt2_error(encoder, "#version: 0.2\nt h\nq\n"),
             Contains("m.bpe, line 3: 'q' is not two tokens"));
  CHECK_THAT(gpt2_error(encoder, "t h\nqq x\n"), Contains("m.bpe, line 2: 'qq'") && Contains("is no token"));
  CHECK_THAT(gpt2_error(encoder, "q x\n"), Contains("merge 0 makes 'qx', which is no token"));
  json content = json::parse(encoder);
  const auto changed = [&](const auto& change) {
    json copy = content;
    change(copy);
    return gpt2_error(copy.dump(), merges);
  };
  CHECK_THAT(changed([](json& c) { c["a"] = 1000; }), Contains("the token 'a' has the id 1000"));
  CHECK_THAT(changed([](json& c) { c["a"] = -1; }), Contains("has the id -1"));
  CHECK_THAT(changed([](json& c) { c["a"] = "x"; }), Contains("has the id \"x\""));
  CHECK_THAT(changed([](json& c) { c["a"] = 1; }), Contains("two tokens have the id 1"));
  CHECK_THAT(changed([](json& c) {
               c.erase("a");
               c["日"] = 64;
             }),
             Contains("'日' has a character that stands for no byte"));
  CHECK_THAT(changed([](json& c) {
               const auto id = c["Ń"];
               c.erase("Ń");
               c["zzz"] = id;
             }),
             Contains("no token is the byte 0xAD"));
}

TEST_CASE("a tokenizer is written and read as tokenizer.json", "[bpe]") {
  const std::string llama =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  for (const std::vector<std::string>& patterns : {std::vector<std::string>{std::string(gpt2_pattern)},
                                                   {llama},
                                                   {R"(\p{N})", std::string(gpt2_pattern)},
                                                   {}}) {
    const Bpe bpe = small({.size = 300, .patterns = patterns, .special = {"<s>", "</s>"}});
    const Folder folder;
    bpe.save_json(folder.path() / "tokenizer.json");
    const Bpe read = Bpe::load_json(folder.path() / "tokenizer.json");
    CHECK(read.parts().tokens == bpe.parts().tokens);
    CHECK(read.parts().merges == bpe.parts().merges);
    CHECK(read.parts().patterns == patterns);
    CHECK(read.parts().special == Ids{298, 299});
    CHECK(read.encode(text) == bpe.encode(text));
  }
}

TEST_CASE("tokenizer.json as newer and older libraries write it", "[bpe]") {
  const Bpe bpe = small();
  json content = json::parse(bpe.to_json());
  json pairs = json::array();
  for (const auto& merge : content["model"]["merges"]) {
    const std::string line = merge;
    pairs.push_back({line.substr(0, line.find(' ')), line.substr(line.find(' ') + 1)});
  }
  content["model"]["merges"] = pairs;
  content["model"].erase("type");
  content.erase("decoder");
  content["added_tokens"] = {{{"id", 300}, {"content", "  "}, {"special", false}},
                             {{"id", 301}, {"content", "<s>"}, {"special", true}}};
  const Bpe read = Bpe::parse_json(content.dump(), "t.json");
  CHECK(read.parts().merges == bpe.parts().merges);
  CHECK(read.size() == 302);
  // An added token is looked for before the text is cut, a special one is not.
  CHECK(read.encode("a  b<s>")[1] == 300);
  CHECK(read.encode("<s>").size() == 3);
  CHECK(read.last_cut("a b") == 0);
  CHECK(read.decode(read.encode("a  b<s>")) == "a  b<s>");
  CHECK(
      Vocabulary::parse(Vocabulary::of(std::make_shared<Bpe>(read)).serialize()).subwords()->encode("a  b") ==
      read.encode("a  b"));
  // A piece that is a token, though no merge makes it.
  content["model"]["ignore_merges"] = true;
  content["model"]["vocab"]["zzz"] = 302;
  const Bpe whole = Bpe::parse_json(content.dump(), "t.json");
  CHECK(whole.encode("zzz") == Ids{302});
  CHECK(whole.encode("zzzz").size() == 4);
  CHECK(Bpe::parse_json(whole.to_json(), "t.json").encode("zzz") == Ids{302});
}

TEST_CASE("an added token may be spelled as a token that merges make", "[bpe]") {
  const Bpe bpe = small();
  const std::string twin(bpe.token(299));
  REQUIRE(bpe.encode(twin) == Ids{299});
  json content = json::parse(bpe.to_json());
  content["added_tokens"] = {{{"id", 300}, {"content", twin}, {"special", false}}};
  const Bpe read = Bpe::parse_json(content.dump(), "t.json");
  CHECK(read.encode(twin) == Ids{300});
  CHECK(read.id(twin) == 299);
  CHECK(read.decode(Ids{299, 300}) == twin + twin);
  const Vocabulary v = Vocabulary::of(std::make_shared<Bpe>(read));
  CHECK(v.symbol(300) == v.symbol(299));
  CHECK(Vocabulary::parse(v.serialize()).subwords()->encode(twin) == Ids{300});
  CHECK(Bpe::parse_json(read.to_json(), "t.json").encode(twin) == Ids{300});
}

TEST_CASE("what a tokenizer.json has that is not supported is refused by name", "[bpe]") {
  CHECK(error_after([](json&) {}) == "read");
  CHECK_THAT(error_after([](json& c) {
               c["normalizer"] = {{"type", "NFC"}};
             }),
             Contains("t.json: normalizer is 'NFC'"));
  CHECK(error_after([](json& c) {
          c["normalizer"] = {{"type", "Sequence"}, {"normalizers", json::array()}};
        }) == "read");
  CHECK_THAT(error_after([](json& c) { c["model"]["type"] = "WordPiece"; }),
             Contains("model is 'WordPiece'; only BPE"));
  CHECK_THAT(error_after([](json& c) { c.erase("model"); }), Contains("the file has no 'model'"));
  CHECK_THAT(error_after([](json& c) { c["model"] = 3; }), Contains("model is number, not an object"));
  CHECK_THAT(error_after([](json& c) { c["model"].erase("merges"); }), Contains("model has no 'merges'"));
  CHECK_THAT(error_after([](json& c) { c["model"]["vocab"] = json::array(); }),
             Contains("model.vocab is array"));
  CHECK_THAT(error_after([](json& c) { c["model"]["merges"][3] = 5; }),
             Contains("model.merges[3] is not two tokens"));
  CHECK_THAT(error_after([](json& c) { c["model"]["merges"][3] = "qq q"; }),
             Contains("model.merges[3]: 'qq'"));
  CHECK_THAT(error_after([](json& c) { c["model"]["dropout"] = 0.1; }), Contains("dropout"));
  CHECK_THAT(error_after([](json& c) { c["model"]["byte_fallback"] = true; }),
             Contains("model has 'byte_fallback'"));
  CHECK_THAT(error_after([](json& c) { c["model"]["byte_fallback"] = 1; }),
             Contains("is number, not true or false"));
  CHECK_THAT(error_after([](json& c) { c["model"]["end_of_word_suffix"] = "</w>"; }),
             Contains("'end_of_word_suffix'"));
  CHECK_THAT(error_after([](json& c) { c["pre_tokenizer"] = nullptr; }), Contains("has no 'pre_tokenizer'"));
  CHECK_THAT(error_after([](json& c) {
               c["pre_tokenizer"] = {{"type", "Metaspace"}};
             }),
             Contains("'Metaspace'"));
  CHECK_THAT(error_after([](json& c) { c["pre_tokenizer"].erase("add_prefix_space"); }),
             Contains("'add_prefix_space'"));
  const json split{
      {"type", "Split"}, {"pattern", {{"Regex", "a"}}}, {"behavior", "Removed"}, {"invert", false}};
  CHECK_THAT(error_after([&](json& c) { c["pre_tokenizer"] = split; }), Contains("the behavior 'Removed'"));
  CHECK_THAT(error_after([&](json& c) {
               c["pre_tokenizer"] = split;
               c["pre_tokenizer"]["behavior"] = "Isolated";
             }),
             Contains("has no ByteLevel"));
  CHECK_THAT(error_after([&](json& c) {
               c["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {c["pre_tokenizer"], split}}};
             }),
             Contains("pre_tokenizer.pretokenizers[1] stands behind ByteLevel"));
  CHECK_THAT(error_after([](json& c) {
               c["decoder"] = {{"type", "Metaspace"}};
             }),
             Contains("decoder is 'Metaspace'"));
  const json added{{"id", 300}, {"content", "<s>"}, {"special", true}};
  CHECK(error_after([&](json& c) { c["added_tokens"] = {added}; }) == "read");
  CHECK_THAT(error_after([&](json& c) {
               c["added_tokens"] = {added};
               c["added_tokens"][0]["lstrip"] = true;
             }),
             Contains("added_tokens[0] has 'lstrip'"));
  CHECK_THAT(error_after([&](json& c) {
               c["added_tokens"] = {added};
               c["added_tokens"][0]["id"] = 299;
             }),
             Contains("'<s>' has the id 299 of another token"));
  CHECK_THAT(error_after([&](json& c) {
               c["added_tokens"] = {added};
               c["added_tokens"][0]["id"] = 301;
             }),
             Contains("the added token '<s>' has the id 301"));
}

TEST_CASE("a kept tokenizer that was damaged is an error", "[bpe]") {
  const Bpe bpe = small();
  const std::vector<std::string>& tokens = bpe.parts().tokens;
  const std::string kept = bpe.serialize();
  const auto error = [&](const std::string& content) -> std::string {
    try {
      Bpe::parse(tokens, content, "m");
    } catch (const DataError& e) {
      return e.what();
    }
    return "read";
  };
  CHECK(error(kept) == "read");
  CHECK_THAT(error("gradus bpe 2\n"), Contains("not a tokenizer of this version"));
  CHECK_THAT(error("gradus bpe 1\n"), Contains("ends before its merges"));
  CHECK_THAT(error(kept.substr(0, kept.rfind('\n', kept.size() - 2) + 1)),
             Contains("after 43 of its 44 merges"));
  CHECK_THAT(error(kept + "1 2\n"), Contains("more than the 44 merges"));
  CHECK_THAT(error("gradus bpe 1\nspecial\t300\nmerges\t0\n"), Contains("the special token 300 is no id"));
  CHECK_THAT(error("gradus bpe 1\nmerges\t1\n1 900\n"), Contains("merge 0 is of 1 and 900"));
  CHECK_THAT(error("gradus bpe 1\nmerges\t1\n1\n"), Contains("merge 0 is not"));
  CHECK_THAT(error("gradus bpe 1\nwhat\n"), Contains("'what' is neither"));
  const std::string whole = Vocabulary::of(std::make_shared<Bpe>(bpe)).serialize();
  CHECK_THROWS_WITH(Vocabulary::parse(whole.substr(0, whole.find("gradus bpe"))),
                    Contains("tokenizer of subwords"));
}

TEST_CASE("damaged files of tokenizers are errors, and nothing worse", "[bpe]") {
  const Folder folder;
  const Bpe bpe = small({.size = 270, .special = {"<s>"}});
  bpe.save_gpt2(folder.path() / "e", folder.path() / "m");
  const std::string encoder = read_bytes(folder.path() / "e"), merges = read_bytes(folder.path() / "m");
  const std::string whole = bpe.to_json(),
                    vocabulary = Vocabulary::of(std::make_shared<Bpe>(bpe)).serialize();
  Rng rng(7);
  int read = 0;
  for (int i = 0; i < 100; ++i) {
    const auto damaged = [&](std::string bytes) {
      const std::size_t at = rng.below(bytes.size());
      if (i % 3 == 0) return bytes.substr(0, at);
      bytes[at] = i % 3 == 1 ? static_cast<char>(rng.below(256)) : "\"[]{}0,9 "[rng.below(9)];
      return bytes;
    };
    read += goes([&] { Bpe::parse_gpt2(damaged(encoder), merges, "e", "m").encode(text); });
    read += goes([&] { Bpe::parse_gpt2(encoder, damaged(merges), "e", "m").encode(text); });
    read += goes([&] { Bpe::parse_json(damaged(whole), "t").encode(text); });
    read += goes([&] { Vocabulary::parse(damaged(vocabulary)).serialize(); });
  }
  CHECK(read < 300);
}
