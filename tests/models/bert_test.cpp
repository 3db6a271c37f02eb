#include "models/bert.hpp"

#include <algorithm>
#include <map>

#include "autograd/gradcheck.hpp"
#include "autograd/members.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/cross_entropy.hpp"
#include "autograd/ops/indexing.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/tape.hpp"
#include "tensor/ops.hpp"
#include "tensor/safetensors.hpp"
#include "tests/models/hugging_face.hpp"
#include "tests/support/threads.hpp"

using namespace gradus;
using namespace gradus::models;
using namespace gradus::test;
using Catch::Matchers::Contains;

namespace {

namespace fs = std::filesystem;

Indices ids_of(const std::string& name, const char* what) {
  return load_npy_indices((folder_of(name) / (std::string(what) + ".npy")).string());
}

void check_outputs(const BertNetwork& network, const std::string& name) {
  INFO(name);
  const BertText text{.segments = ids_of(name, "segments"), .lengths = ids_of(name, "lengths")};
  const Variable h = network(ids_of(name, "ids"), text);
  const auto compare = [&](const Variable& found, const char* what) {
    INFO(what);
    CHECK(difference(found.value().to(Dtype::f64), fixture("transformers/" + name + "/" + what)) < 1e-5);
  };
  compare(h, "hidden");
  if (network.pooler) compare(network.pooled(h), "pooled");
  if (network.predictions) compare(network.logits(h), "logits");
  if (network.seq_relationship) compare(network.next_sentence(h), "next");
}

const BertOptions small{.vocab = 7,
                        .width = 4,
                        .layers = 1,
                        .heads = 2,
                        .inner = 3,
                        .context = 5,
                        .dropout = 0.2,
                        .attention_dropout = 0.2,
                        .eps = 0.1};

}  // namespace

TEST_CASE("BERT in Hugging Face's files gives the published formulas' numbers", "[bert]") {
  for (const char* name : {"bert_f32", "bert_bf16", "bert_f16"})
    check_outputs(load_bert(folder_of(name)), name);
  const BertNetwork all = load_bert(folder_of("bert_f32")), masked = load_bert(folder_of("bert_bf16")),
                    bare = load_bert(folder_of("bert_f16"));
  CHECK((all.pooler && all.predictions && all.seq_relationship));
  CHECK((!masked.pooler && masked.predictions && !masked.seq_relationship));
  CHECK((bare.pooler && !bare.predictions && !bare.seq_relationship));
}

TEST_CASE("BERT written as Hugging Face's files is read again", "[bert]") {
  const Folder folder;
  for (const std::string name : {"bert_f32", "bert_bf16", "bert_f16"}) {
    const BertNetwork network = load_bert(folder_of(name));
    save_pretrained(folder.path() / name, network, {.max_bytes = 3000});  // in parts
    const BertNetwork read = load_bert(folder.path() / name);
    check_saved(network, read);
    check_outputs(read, name);
  }
  // Without its heads a model has no prefix.
  CHECK(read_file((folder.path() / "bert_f16" / "model.safetensors.index.json").string())
            .find("\"encoder.layer.0.attention.self.query.weight\"") != std::string::npos);
}

TEST_CASE("a file of BERT that does not fit is refused by name", "[bert]") {
  const Folder folder;
  const auto refuses = [&](const std::string& pattern, const std::string& text, const std::string& says) {
    copy_with(folder, "bert_f32", pattern, text);
    CHECK_THROWS_WITH(load_bert(folder.path()), Contains(says));
  };
  refuses("\"bert\"", "\"gpt2\"", "a model of the type \"gpt2\", not \"bert\"");
  refuses("\"gelu\"", "\"relu\"", "the key \"hidden_act\" is \"relu\"; only \"gelu\" is supported");
  refuses("\"absolute\"", "\"relative_key\"", "the key \"position_embedding_type\"");
  refuses("\"num_attention_heads\": 3", "\"num_attention_heads\": 5", "5 heads do not divide a width of 12");
  refuses("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1", "unexpected: bert.encoder.layer.1.");
  refuses("\"vocab_size\": 13", "\"vocab_size\": 2147483647", "its sizes ask for more numbers than the");
  refuses("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 2147483647",
          "its sizes ask for more numbers than the");
  refuses("\"type_vocab_size\": 2", "\"type_vocab_size\": 1",
          "token_type_embeddings.weight ((2, 12) in the file");
  Safetensors weights = load_safetensors(folder_of("bert_f32") / "model.safetensors");
  copy_with(folder, "bert_f32", "\"vocab_size\": 13", "\"vocab_size\": 13 ");
  weights.tensors.emplace("bert.more", weights.tensors.extract("bert.embeddings.LayerNorm.beta").mapped());
  save_safetensors(folder.path() / "model.safetensors", weights);
  CHECK_THROWS_WITH(load_bert(folder.path()),
                    Contains("missing: bert.embeddings.LayerNorm.bias") && Contains("unexpected: bert.more"));
}

TEST_CASE("tokens are masked in their shares, never special ones or what stands past an end", "[bert]") {
  Rng rng(3);
  const std::int64_t batch = 40, time = 50;
  std::vector<std::int32_t> values, lengths;
  for (std::int64_t i = 0; i < batch * time; ++i)
    values.push_back(i % time == 0 ? 1 : static_cast<std::int32_t>(3 + rng.below(97)));
  for (std::int64_t i = 0; i < batch; ++i) lengths.push_back(i < 20 ? 50 : 30);
  const Indices ids(values, {batch, time});
  const MaskingOptions options{.special = {1}, .lengths = Indices(lengths)};
  std::map<std::string, double> shares;
  double possible = 0;
  for (int round = 0; round < 30; ++round) {
    const MaskedTokens masked = mask_tokens(ids, 2, 100, rng, options);
    REQUIRE(masked.ids.shape() == ids.shape());
    REQUIRE(masked.places.size() == masked.targets.size());
    possible += 20 * 49 + 20 * 29;
    std::int64_t next = 0;
    for (std::int64_t at = 0; at < ids.size(); ++at) {
      const std::int32_t before = ids.data()[at], after = masked.ids.data()[at];
      if (next == masked.places.size() || masked.places.data()[next] != at) {
        CHECK(before == after);
        continue;
      }
      CHECK(masked.targets.data()[next++] == before);
      CHECK(at % time != 0);
      CHECK(at % time < lengths[static_cast<std::size_t>(at / time)]);
      ++shares["chosen"];
      ++shares[after == 2 ? "masked" : after == before ? "kept" : "random"];
    }
    CHECK(next == masked.places.size());
  }
  CHECK(shares["chosen"] / possible == Approx(0.15).margin(0.01));
  CHECK(shares["masked"] / shares["chosen"] == Approx(0.801).margin(0.02));
  CHECK(shares["random"] / shares["chosen"] == Approx(0.098).margin(0.015));
  CHECK(shares["kept"] / shares["chosen"] == Approx(0.101).margin(0.015));
  // At least one, and the same of the same seed.
  Rng first(4), second(4);
  const Indices two({5, 6}, {1, 2});
  for (int round = 0; round < 20; ++round) {
    const MaskedTokens a = mask_tokens(two, 2, 100, first), b = mask_tokens(two, 2, 100, second);
    CHECK(a.places.size() >= 1);
    CHECK(std::ranges::equal(a.ids.values(), b.ids.values()));
    CHECK(std::ranges::equal(a.places.values(), b.places.values()));
  }
  CHECK_THROWS_WITH(mask_tokens(two, 2, 100, rng, {.special = {5, 6}}), Contains("no token can be chosen"));
  CHECK_THROWS_WITH(mask_tokens(two, 100, 100, rng), Contains("a mask of 100 in a vocabulary of 100"));
  CHECK_THROWS_WITH(mask_tokens(two, 2, 100, rng, {.rate = 1.5}), Contains("the rate is 1.5"));
  CHECK_THROWS_WITH(mask_tokens(two, 2, 100, rng, {.masked = 0.8, .random = 0.3}), Contains("0.8 and 0.3"));
}

TEST_CASE(
    "BERT's loss is the mean cross entropy at the chosen places, and its derivatives are central "
    "differences'",
    "[bert][gradient]") {
  Rng rng(5);
  BertOptions options = small;
  options.next_sentence = true;
  const BertNetwork network(rng, options);
  const MaskedTokens masked{
      .ids = Indices({1, 2, 3, 4, 2, 6}, {2, 3}), .places = {1, 3, 4}, .targets = {5, 4, 0}};
  const BertText text{.segments = Indices({0, 0, 1, 0, 1, 1}, {2, 3}), .lengths = {3, 2}};
  const Variable logits = network.logits(network(masked.ids, text));  // (2, 3, 7)
  const Variable expected =
      cross_entropy(index_select(flatten(logits, 0, 1), 0, masked.places), masked.targets);
  CHECK(network.loss(masked, text).item() == Approx(expected.item()).epsilon(1e-5));

  std::vector<Tensor> values;
  for_each_parameter(network, [&](const std::string&, const Parameter& p) {
    values.push_back(rng.uniform(p.shape(), -0.8, 0.8, Dtype::f64));
  });
  const GradcheckResult result = gradcheck(
      [&](std::span<const Variable> inputs) {
        BertNetwork copy = network;
        std::size_t next = 0;
        for_each_parameter(
            copy, [&](const std::string&, Parameter& p) { static_cast<Variable&>(p) = inputs[next++]; });
        return copy.loss(masked, text) + cross_entropy(copy.next_sentence(copy(masked.ids, text)), {0, 1});
      },
      values, {.second_order = false});
  INFO(result.message);
  CHECK(result.passed);
  CHECK(result.checked > 200);
}

TEST_CASE("BERT has the same bits for any number of threads, and drops in training alone",
          "[bert][threads]") {
  Rng rng(6);
  BertOptions options = small;
  options.vocab = 300;
  options.width = 64;
  options.inner = 200;
  options.context = 40;
  const BertNetwork network(rng, options);
  std::vector<std::int32_t> values;
  for (int i = 0; i < 20 * 40; ++i) values.push_back(static_cast<std::int32_t>(rng.below(300)));
  const MaskedTokens masked = mask_tokens(Indices(values, {20, 40}), 0, 300, rng);
  check_same_bits([&] {
    Rng dropped(7);
    Tape tape;
    const Variable loss = network.loss(masked, {}, &dropped);
    const Gradients g = tape.backward(loss);
    return std::vector<Tensor>{loss.value(), g[network.layers[0].query.weight], g[network.predictions->bias]};
  });
  Rng first(7), second(7), third(8);
  CHECK(network.loss(masked, {}, &first).item() == network.loss(masked, {}, &second).item());
  CHECK(network.loss(masked).item() != network.loss(masked, {}, &third).item());
}

TEST_CASE("BERT says what it has not, and which sizes are impossible", "[bert]") {
  Rng rng(8);
  const auto with = [&](const auto& change) {
    BertOptions options = small;
    change(options);
    return BertNetwork(rng, options);
  };
  CHECK_THROWS_WITH(with([](auto& o) { o.heads = 3; }), Contains("3 heads do not divide a width of 4"));
  CHECK_THROWS_WITH(with([](auto& o) { o.vocab = 1; }), Contains("a vocabulary of 1"));
  CHECK_THROWS_WITH(with([](auto& o) { o.context = 0; }), Contains("a context of 0"));
  CHECK_THROWS_WITH(with([](auto& o) { o.dropout = 1; }), Contains("a rate of 1"));
  CHECK_THROWS_WITH(with([](auto& o) { o.next_sentence = true, o.pooler = false; }),
                    Contains("needs the pooler"));
  const BertNetwork bare = with([](auto& o) { o.pooler = o.predictions = false; });
  const Variable h = bare(Indices({1, 2}, {1, 2}));
  CHECK_THROWS_WITH(bare.logits(h), Contains("without predictions"));
  CHECK_THROWS_WITH(bare.pooled(h), Contains("without a pooler"));
  CHECK_THROWS_WITH(bare.next_sentence(h), Contains("not made for it"));
  CHECK_THROWS_WITH(bare(Indices({1, 2, 3, 4, 5, 6}, {1, 6})), Contains("at most 5 tokens"));
  CHECK_THROWS_WITH(bare(Indices({1, 9}, {1, 2})), Contains("word_embeddings") && Contains("9"));
}
