#include "models/checkpoint.hpp"

#include <fmt/format.h>

#include "models/ngram/arpa/arpa.hpp"
#include "models/pretrained.hpp"
#include "tensor/ops.hpp"
#include "tensor/safetensors.hpp"
#include "tensor/support/write_file.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"
#include "text/bpe.hpp"
#include "text/tokenizer.hpp"

using namespace gradus;
using namespace gradus::models;
using Catch::Contains;
using gradus::test::Folder;
using gradus::test::read_bytes;

namespace {

const std::string text = "the cat sat .\nthe dog sat on the cat .\na \xC3\xA4 \\ b\n";

LstmNetwork small_lstm(std::int64_t vocab) {
  Rng rng(3);
  return LstmNetwork(rng, {.vocab = vocab, .embedding = 3, .width = 4, .layers = 2, .dropout = 0.25});
}

/// A user's network.
struct Other {
  NetworkOptions options;
  Parameter bias{zeros({2})};
  static void members(auto& self, auto&& visit) { visit("bias", self.bias); }
};

}  // namespace

TEST_CASE("networks of every kind and unit come back bit by bit", "[checkpoint]") {
  const Folder folder;
  const auto file = folder.path() / "model.safetensors";
  for (const Unit unit : {Unit::word, Unit::character, Unit::byte}) {
    const Vocabulary vocabulary = Vocabulary::build(unit, text);
    const std::vector<std::int32_t> tokens = encode(vocabulary, text);
    const NetworkOptions options{.vocab = vocabulary.size(),
                                 .embedding = 3,
                                 .width = 4,
                                 .layers = 1,
                                 .order = 3,
                                 .heads = 2,
                                 .context = 5};
    Rng rng(4);
    const auto check = [&]<class Network>(const std::string& kind, const Network& network) {
      INFO(kind << " of " << name_of(unit) << "s");
      save_network(file, network, vocabulary);
      const TrainedModel read = load_model(file);
      CHECK(read.vocabulary == vocabulary);
      CHECK(read.kind == kind);
      const auto& model = read.model.get<NeuralModel<Network>>();
      std::vector<Tensor> values;
      for_each_parameter(network,
                         [&](const std::string&, const Parameter& p) { values.push_back(p.value()); });
      std::size_t i = 0;
      for_each_parameter(model.network, [&](const std::string& path, const Parameter& p) {
        INFO(path);
        CHECK(identical(p.value(), values[i++]));
      });
      CHECK(i == values.size());
      CHECK(score(model, tokens) == score(NeuralModel<Network>{network}, tokens));
    };
    check("feed-forward", FeedForwardNetwork(rng, options));
    check("rnn", RnnNetwork(rng, options));
    check("gru", GruNetwork(rng, options));
    check("lstm", small_lstm(vocabulary.size()));
    for (const NetworkKind& kind : network_kinds()) {
      INFO(kind.name);
      const auto network = kind.make(rng, options);
      save_network(file, *network, vocabulary);
      const TrainedModel read = load_model(file);
      CHECK(read.kind == kind.name);
      CHECK(score(read.model, tokens) == score(network->model(), tokens));
      CHECK(kind.fewest_parameters(options) <= static_cast<double>(network->parameters()));
    }
  }
  CHECK(folder.files() == 1);  // nothing temporary left
}

TEST_CASE("a transformer's file keeps its own sizes, which files of other kinds need not have",
          "[checkpoint]") {
  const Folder folder;
  const Vocabulary vocabulary = Vocabulary::build(Unit::character, text);
  Rng rng(4);
  const NetworkOptions options{.vocab = vocabulary.size(),
                               .width = 8,
                               .document_end = 3,
                               .heads = 2,
                               .kv_heads = 1,
                               .context = 7,
                               .sinks = 2,
                               .inner = 5,
                               .rope_theta = 500,
                               .norm_eps = 1e-3,
                               .tied = false};
  save_network(folder.path() / "llama", LlamaNetwork(rng, options), vocabulary);
  const TrainedModel read = load_model(folder.path() / "llama");
  const NetworkOptions& kept = read.model.get<NeuralModel<LlamaNetwork>>().network.options;
  CHECK(kept.document_end == 3);
  CHECK(kept.heads == 2);
  CHECK(kept.kv_heads == 1);
  CHECK(kept.context == 7);
  CHECK(kept.sinks == 2);
  CHECK(kept.inner == 5);
  CHECK(kept.rope_theta == 500);
  CHECK(kept.norm_eps == 1e-3);
  CHECK(kept.tied == false);
  // A file of before there were transformers.
  save_network(folder.path() / "lstm", small_lstm(vocabulary.size()), vocabulary);
  Safetensors old = load_safetensors(folder.path() / "lstm");
  old.metadata["network"] = fmt::format(
      R"({{"vocab":{},"embedding":3,"width":4,"layers":2,"dropout":0,"order":3}})", vocabulary.size());
  save_safetensors(folder.path() / "old", old);
  CHECK_NOTHROW(load_model(folder.path() / "old"));
  // Sizes that no transformer has.
  Safetensors content = load_safetensors(folder.path() / "llama");
  const std::string good = content.metadata["network"];
  for (const auto& [from, to] :
       std::vector<std::pair<std::string, std::string>>{{"\"heads\":2", "\"heads\":0"},
                                                        {"\"heads\":2", "\"heads\":3"},
                                                        {"\"document_end\":3", "\"document_end\":-2"},
                                                        {"\"document_end\":3", "\"document_end\":99999"},
                                                        {"\"kv_heads\":1", "\"kv_heads\":-1"},
                                                        {"\"context\":7", "\"context\":0"},
                                                        {"\"sinks\":2", "\"sinks\":7"},
                                                        {"\"sinks\":2", "\"sinks\":-1"},
                                                        {"\"inner\":5", "\"inner\":-5"},
                                                        {"\"inner\":5", "\"inner\":4611686018427387905"},
                                                        {"\"rope_theta\":500.0", "\"rope_theta\":0"},
                                                        {"\"norm_eps\":0.001", "\"norm_eps\":-1"}}) {
    INFO(to);
    std::string sizes = good;
    const std::size_t at = sizes.find(from);
    REQUIRE(at != sizes.npos);
    content.metadata["network"] = sizes.replace(at, from.size(), to);
    save_safetensors(folder.path() / "sizes", content);
    CHECK_THROWS_AS(load_model(folder.path() / "sizes"), DataError);
  }
}

TEST_CASE("a folder of Hugging Face's files is a model", "[checkpoint]") {
  const Folder folder;
  const auto bytes = std::make_shared<const Bpe>(Bpe::train(text, {.size = 260}, "a text"));
  Rng rng(4);
  const GptNetwork network(rng, {.vocab = bytes->size() + 3, .width = 8, .heads = 2, .context = 7});
  save_pretrained(folder.path() / "gpt", network);
  CHECK_THROWS_WITH(load_model(folder.path() / "gpt"), Contains("tokenizer.json"));
  bytes->save_json(folder.path() / "gpt" / "tokenizer.json");
  const TrainedModel read = load_model(folder.path() / "gpt");
  CHECK(read.kind == "gpt");
  CHECK(read.vocabulary.size() == bytes->size());
  const std::vector<std::int32_t> tokens = encode(read.vocabulary, text);
  CHECK(score(read.model, tokens) == score(NeuralModel<GptNetwork>{network}, tokens));
  save_pretrained(folder.path() / "gpt", LlamaNetwork(rng, {.vocab = 100, .width = 8, .heads = 2}));
  CHECK_THROWS_WITH(load_model(folder.path() / "gpt"), Contains("tokens, and the model only 100"));
  save_pretrained(folder.path() / "gpt", LlamaNetwork(rng, {.vocab = 300, .width = 8, .heads = 2}));
  CHECK(load_model(folder.path() / "gpt").kind == "llama");
}

TEST_CASE("a network may be much wider than its weights are long", "[checkpoint]") {
  const Folder folder;
  const Vocabulary vocabulary = Vocabulary::build(Unit::character, text);
  Rng rng(4);
  const FeedForwardNetwork wide(rng, {.vocab = vocabulary.size(), .embedding = 2, .width = 2000, .order = 3});
  save_network(folder.path() / "wide", wide, vocabulary);
  CHECK_NOTHROW(load_model(folder.path() / "wide"));
  std::string bytes = read_bytes(folder.path() / "wide");
  bytes.replace(bytes.find("\\\"order\\\":3"), 11, "\\\"order\\\":1");
  CHECK_THROWS_WITH(load_model(folder.write("order", bytes)), Contains("order") && Contains("at least 2"));
}

TEST_CASE("a network that is of no kind in the list is not saved as a model", "[checkpoint]") {
  const Folder folder;
  CHECK_THROWS_WITH(save_network(folder.path() / "other", Other{}, Vocabulary::build(Unit::word, text)),
                    Contains("none of the kinds") && Contains("lstm"));
  CHECK(folder.files() == 0);
}

TEST_CASE("weights have PyTorch's names in the safetensors header", "[checkpoint]") {
  const Folder folder;
  const auto file = folder.path() / "model.safetensors";
  const Vocabulary vocabulary = Vocabulary::build(Unit::word, text);
  save_network(file, small_lstm(vocabulary.size()), vocabulary);
  const std::string bytes = read_bytes(file);
  for (const char* name : {"\"embed.weight\"", "\"recurrent.weight_ih_l0\"", "\"recurrent.bias_hh_l1\"",
                           "\"head.bias\"", "\"dtype\":\"F32\"", "\"data_offsets\""})
    CHECK(bytes.find(name) != bytes.npos);
  CHECK((8 + static_cast<unsigned char>(bytes[0]) + 256 * static_cast<unsigned char>(bytes[1])) % 8 == 0);
}

TEST_CASE("a model cut short anywhere is refused, and names the file", "[checkpoint]") {
  const Folder folder;
  const Vocabulary vocabulary = Vocabulary::build(Unit::word, text);
  const auto refuse_cuts = [&](const std::filesystem::path& file) {
    const std::string bytes = read_bytes(file);
    REQUIRE_NOTHROW(load_model(file));
    for (std::size_t length = 0; length + 1 < bytes.size(); length += 1 + bytes.size() / 97) {
      INFO(length << " of " << bytes.size() << " bytes");
      const auto cut = folder.write("cut", bytes.substr(0, length));
      CHECK_THROWS_WITH(load_model(cut), Contains("cut"));
    }
  };
  save_network(folder.path() / "lstm", small_lstm(vocabulary.size()), vocabulary);
  refuse_cuts(folder.path() / "lstm");
  save_ngram(folder.path() / "ngram",
             NgramModel(encode(vocabulary, text), static_cast<std::int32_t>(vocabulary.size()),
                        {.order = 3, .sentence_end = vocabulary.line_end()}),
             vocabulary);
  refuse_cuts(folder.path() / "ngram");
}

TEST_CASE("an n-gram model of a text with the words <s> and <unk> comes back", "[checkpoint]") {
  const Folder folder;
  // Such words are refused in a text, but a vocabulary may list them.
  const Vocabulary vocabulary =
      Vocabulary::parse("gradus vocabulary 1 word 6\n1\t<unk>\n2\t<s>\n2\t</s>\n1\ta\n1\tb\n1\t\\\\x3cs>\n");
  const std::vector<std::int32_t> tokens{3, 1, 4, 2, 0, 5, 1, 2};
  const NgramModel model(tokens, static_cast<std::int32_t>(vocabulary.size()),
                         {.order = 2, .sentence_end = vocabulary.line_end()});
  save_ngram(folder.path() / "ngram", model, vocabulary);
  const TrainedModel read = load_model(folder.path() / "ngram");
  CHECK(read.vocabulary == vocabulary);
  const std::vector<double> scores = score(model, tokens), found = score(read.model, tokens);
  for (std::size_t i = 0; i < scores.size(); ++i) CHECK(found[i] == Approx(scores[i]).epsilon(1e-7));
}

TEST_CASE("a spoiled model throws a gradus error or loads, and never crashes", "[checkpoint]") {
  const Folder folder;
  const Vocabulary vocabulary = Vocabulary::build(Unit::word, text);
  save_network(folder.path() / "lstm", small_lstm(vocabulary.size()), vocabulary);
  save_ngram(folder.path() / "ngram",
             NgramModel(encode(vocabulary, text), static_cast<std::int32_t>(vocabulary.size()), {.order = 2}),
             vocabulary);
  Rng rng(8);
  for (const char* name : {"lstm", "ngram"}) {
    const std::string good = read_bytes(folder.path() / name);
    int refused = 0;
    for (int i = 0; i < 400; ++i) {
      std::string bytes = good;
      for (int change = 0; change < 3; ++change)
        bytes[rng.below(std::min<std::size_t>(bytes.size(), 1200))] = static_cast<char>(rng.below(256));
      try {
        load_model(folder.write("spoiled", bytes));
      } catch (const Error&) {
        ++refused;
      }
    }
    CHECK(refused > 200);
  }
}

TEST_CASE("a header that asks for more than the file holds is refused before memory is taken",
          "[checkpoint]") {
  const Folder folder;
  const Vocabulary vocabulary = Vocabulary::build(Unit::word, text);
  save_network(folder.path() / "model", small_lstm(vocabulary.size()), vocabulary);
  const std::string good = read_bytes(folder.path() / "model");
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string bytes = good;
    const std::size_t at = bytes.find(from);
    REQUIRE(at != bytes.npos);
    bytes.replace(at, from.size(), to);
    // The length of the header stands in the first bytes.
    const std::size_t length = static_cast<unsigned char>(bytes[0]) +
                               256 * static_cast<unsigned char>(bytes[1]) + to.size() - from.size();
    bytes[0] = static_cast<char>(length & 255);
    bytes[1] = static_cast<char>(length >> 8);
    return folder.write("spoiled", bytes);
  };
  for (const char* width : {"2000000000", "4611686018427387905", "-4", "0"})
    CHECK_THROWS_AS(load_model(with("\\\"width\\\":4", std::string("\\\"width\\\":") + width)), DataError);
  for (const char* layers : {"2000000000", "-1", "0"})
    CHECK_THROWS_AS(load_model(with("\\\"layers\\\":2", std::string("\\\"layers\\\":") + layers)), DataError);
  CHECK_THROWS_AS(load_model(with("\\\"embedding\\\":3", "\\\"embedding\\\":4611686018427387904")),
                  DataError);
  CHECK_THROWS_WITH(load_model(with("\"kind\":\"lstm\"", "\"kind\":\"mamba\"")),
                    Contains("'mamba'") && Contains(network_kind_names()));
  // Two tensors over the same bytes.
  const std::string header =
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],)"
      R"("data_offsets":[4,8]}})";
  const std::string shared = static_cast<char>(header.size()) + std::string(7, '\0') + header + "01234567";
  CHECK_THROWS_WITH(parse_safetensors(shared, "m"), Contains("b lies over others"));
  CHECK_THROWS_AS(load_model(with("\"dtype\":\"F32\"", "\"dtype\":\"F16\"")), DataError);
}

TEST_CASE("weights without what a model needs beside them are refused, with what is missing",
          "[checkpoint]") {
  const Folder folder;
  const Vocabulary vocabulary = Vocabulary::build(Unit::word, text);
  const LstmNetwork network = small_lstm(vocabulary.size());
  nn::save_weights(folder.path() / "weights", network);
  CHECK_THROWS_WITH(load_model(folder.path() / "weights"),
                    Contains("weights: its header does not name the vocabulary") && Contains("gradus train"));
  const auto file = folder.path() / "model";
  save_network(file, network, vocabulary);
  for (const char* key : {"vocabulary", "network", "kind"}) {
    Safetensors content = load_safetensors(file);
    REQUIRE(content.metadata.erase(key) == 1);
    save_safetensors(folder.path() / "without", content);
    CHECK_THROWS_WITH(load_model(folder.path() / "without"),
                      Contains("without: its header does not name the " + std::string(key)));
  }
  Safetensors content = load_safetensors(file);
  for (const char* sizes : {R"({"vocab":3})", R"({"vocab":"three"})", "no JSON", "[]"}) {
    content.metadata["network"] = sizes;
    save_safetensors(folder.path() / "sizes", content);
    CHECK_THROWS_WITH(load_model(folder.path() / "sizes"),
                      Contains("sizes: its header lacks what a gradus model needs ("));
  }
}

TEST_CASE("a model is asked for by its own type", "[checkpoint]") {
  const ErasedModel model(NgramModel(std::vector<std::int32_t>{0, 1, 0}, 2, {.order = 1}));
  CHECK(model.get<NgramModel>().vocab_size() == 2);
  CHECK(model.get_if<NeuralModel<LstmNetwork>>() == nullptr);
  CHECK_THROWS_WITH(model.get<NeuralModel<LstmNetwork>>(),
                    Contains("of another kind than the one asked for"));
}

TEST_CASE("a network of a vocabulary of one symbol is refused", "[checkpoint]") {
  Rng rng(1);
  for (const NetworkKind& kind : network_kinds()) {
    CHECK_THROWS_WITH(kind.make(rng, {.vocab = 1, .embedding = 2, .width = 2, .order = 3}),
                      Contains("a vocabulary of 1: at least 2 symbols"));
  }
}

TEST_CASE("every error of a model's file is ours", "[checkpoint]") {
  const Folder folder;
  Safetensors content;
  content.tensors.emplace("caf\xE9", Tensor::of({1, 2}));
  CHECK_THROWS_AS(save_safetensors(folder.path() / "m", content), ArgumentError);
  CHECK_THROWS_WITH(save_safetensors(folder.path() / "m", content), Contains("no UTF-8"));
  content.tensors.clear();
  content.metadata["note"] = "caf\xE9";
  CHECK_THROWS_AS(save_safetensors(folder.path() / "m", content), ArgumentError);
  CHECK(folder.files() == 0);
  // A name that no file can have, and one that is no UTF-8.
  CHECK_THROWS_AS(load_model(folder.path() / std::string(5000, 'x')), DataError);
  CHECK_THROWS_AS(load_model(folder.path() / "caf\xE9"), DataError);
  CHECK_THROWS_AS(load_model(folder.write("caf\xE9", std::string("\5\0\0\0\0\0\0\0{\xE9}  ", 13))),
                  DataError);
}

TEST_CASE("what is no model at all is refused", "[checkpoint]") {
  const Folder folder;
  CHECK_THROWS_WITH(load_model(folder.path() / "none"), Contains("none"));
  CHECK_THROWS_AS(load_model(folder.path()), DataError);
  CHECK_THROWS_AS(load_model(folder.write("empty", "")), DataError);
  CHECK_THROWS_AS(load_model(folder.write("text", "just some text, longer than eight bytes\n")), DataError);
  CHECK_THROWS_WITH(
      load_model(folder.write("foreign.arpa", "\\data\\\nngram 1=1\n\n\\1-grams:\n-1\ta\n\n\\end\\\n")),
      Contains("foreign.arpa, line 5") && Contains("no unigram </s>"));
}

TEST_CASE("a file is written whole or not at all", "[checkpoint]") {
  const Folder folder;
  const auto file = folder.write("kept", "as it was");
  CHECK_THROWS_WITH(write_file(folder.path() / "no" / "folder", "x"), Contains("make its folder"));
  CHECK_THROWS_AS(write_file(folder.path(), "x"), DataError);
  write_file(file, "new");
  CHECK(read_bytes(file) == "new");
  // A link stays, and what it leads to is replaced.
  std::filesystem::create_symlink(file, folder.path() / "link");
  write_file(folder.path() / "link", "newer");
  CHECK(std::filesystem::is_symlink(folder.path() / "link"));
  CHECK(read_bytes(file) == "newer");
  // A device that is always full stands for a full disk; it stays a device.
  if (std::filesystem::is_character_file("/dev/full")) {
    CHECK_THROWS_WITH(write_file("/dev/full", "x"), Contains("/dev/full") && Contains("free some space"));
    CHECK(std::filesystem::is_character_file("/dev/full"));
  }
  CHECK(folder.files() == 2);
}
