#include "nn/lora.hpp"

#include <cmath>

#include "autograd/unreached.hpp"
#include "models/bert.hpp"
#include "models/checkpoint.hpp"
#include "models/evaluate.hpp"
#include "models/min_gru.hpp"
#include "models/pretrained.hpp"
#include "models/transformers.hpp"
#include "nn/attention.hpp"
#include "nn/quantize.hpp"
#include "nn/transformer.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/folder.hpp"
#include "text/synthetic.hpp"
#include "text/tokenizer.hpp"

// Adapters in the models of the library.

using namespace gradus;
using namespace gradus::models;
using Catch::Contains;
using gradus::test::difference;

namespace {

constexpr std::int64_t vocab = 11;
const Indices x({0, 3, 1, 2, 4, 0, 10, 3}, {4, 2}), y({1, 2, 4, 0, 3, 9, 0, 1}, {4, 2});

/// As after training: B is no longer 0.
template <class M>
void learn(M& model) {
  Rng rng(11);
  for_each_parameter(model, [&](const std::string& path, Parameter& p) {
    if (path.ends_with("lora_B.weight")) p.mutable_value() = rng.normal(p.shape(), 0, 0.2);
  });
}

/// Adapters in all linear layers of a model, of which loss(model) makes a number: they change nothing at
/// first, all of them are reached by the gradient and nothing else, and merging changes the loss by no more
/// than rounding.
template <class M, class Loss>
void check_adapters(M model, std::size_t layers, const Loss& loss) {
  Rng rng(5);
  const double before = loss(model).item();
  const nn::LoraReport report = nn::add_lora(rng, model, {"*"}, {.rank = 2, .alpha = 4});
  CHECK(report.layers.size() == layers);
  CHECK(loss(model).item() == before);
  learn(model);
  const double adapted = loss(model).item();
  CHECK(adapted != before);
  {
    Tape tape;
    const Gradients gradients = tape.backward(loss(model));
    CHECK(unreached(model, gradients).empty());
    CHECK(gradients.entries().size() == 2 * layers);
    for_each_parameter(model, [&](const std::string& path, const Parameter& p) {
      INFO(path);
      if (gradients.contains(p)) CHECK(norm(gradients[p]).item() > 0);
    });
  }
  nn::merge_lora(model);
  CHECK(loss(model).item() == Approx(adapted).epsilon(1e-5));
  nn::unmerge_lora(model);
  CHECK(loss(model).item() == adapted);
  nn::remove_lora(model);
  CHECK(loss(model).item() == before);
}

template <class Network>
void check_network(const Network& network, std::size_t layers) {
  check_adapters(network, layers, [](const Network& n) { return cross_entropy(n(x, n.start(2)).first, y); });
  if constexpr (requires { network.loss(x, y, network.start(2)); })  // fused with the output layer
    check_adapters(network, layers, [](const Network& n) { return n.loss(x, y, n.start(2)).first; });
}

GptNetwork small_gpt() {
  Rng rng(1);
  return {rng, {.vocab = vocab, .width = 8, .layers = 2, .heads = 2, .context = 8}};
}

}  // namespace

TEST_CASE("adapters work in every linear layer of every network", "[models][lora]") {
  Rng rng(1);
  const NetworkOptions recurrent{.vocab = vocab, .embedding = 5, .width = 6};
  check_network(small_gpt(), 8);
  check_network(
      LlamaNetwork(rng, {.vocab = vocab, .width = 8, .layers = 1, .heads = 4, .kv_heads = 2, .context = 8}),
      7);
  check_network(
      LlamaNetwork(rng, {.vocab = vocab, .width = 8, .layers = 1, .heads = 2, .context = 8, .tied = false}),
      8);
  check_network(MinGruNetwork(rng, {.vocab = vocab, .width = 6}), 4);
  check_network(MinGruNetwork(rng, {.vocab = vocab, .width = 6, .tied = false}), 5);
  check_network(LstmNetwork(rng, recurrent), 1);
  check_network(GruNetwork(rng, recurrent), 1);
  check_network(RnnNetwork(rng, recurrent), 1);
  check_network(FeedForwardNetwork(rng, {.vocab = vocab, .embedding = 5, .width = 6, .order = 3}), 3);
  check_network(LogBilinearNetwork(rng, {.vocab = vocab, .width = 6, .order = 3}), 1);
}

TEST_CASE("adapters work in the linear layers of attention and of encoders and decoders", "[models][lora]") {
  Rng rng(2);
  const Variable source(rng.normal({2, 3, 4})), target(rng.normal({2, 5, 4})), w(rng.normal({2, 5, 4}));
  check_adapters(nn::MultiHeadAttention(rng, 4, 2), 1,
                 [&](const nn::MultiHeadAttention& m) { return sum(m(target) * w); });
  check_adapters(nn::Transformer(rng, 4, 2, 1, 1, {.inner = 6}), 2 + 1 + 2 + 2,
                 [&](const nn::Transformer& m) { return sum(m(source, target) * w); });
  check_adapters(
      BertNetwork(
          rng,
          {.vocab = vocab, .width = 4, .layers = 1, .heads = 2, .inner = 6, .context = 8, .pooler = false}),
      7, [&](const BertNetwork& m) { return cross_entropy(m.logits(m(x)), y); });
}

TEST_CASE("a network with adapters is trained, merged, and saved as an ordinary model", "[models][lora]") {
  const test::Folder folder;
  const std::string text = synthetic_corpus(1, 1500).text;
  const Vocabulary vocabulary = Vocabulary::build(Unit::character, text);
  const std::vector<std::int32_t> tokens = encode(vocabulary, text);
  Rng rng(1);
  GptNetwork network(rng, {.vocab = vocabulary.size(), .width = 16, .layers = 1, .heads = 2, .context = 16});
  const Tensor weight = network.h[0].mlp.c_fc.weight.value(), table = network.wte.weight.value();
  nn::add_lora(rng, network, {"*.c_fc", "*.c_attn"}, {.rank = 4, .dropout = 0.1});
  const double before = evaluate(NeuralModel<GptNetwork>{network}, tokens, 0).perplexity();
  const TrainOptions options{.batch = 8, .steps = 16, .updates = 40, .lr = 1e-2};
  GptNetwork again = network, undropped = network;
  train(network, tokens, options);
  CHECK(identical(network.h[0].mlp.c_fc.weight.value(), weight));
  CHECK(identical(network.wte.weight.value(), table));
  const NeuralModel<GptNetwork> adapted{network};
  CHECK(evaluate(adapted, tokens, 0).perplexity() < 0.95 * before);
  // The same generator, of TrainOptions::seed, draws what adapters drop.
  train(again, tokens, options);
  CHECK(identical(again.h[0].mlp.c_fc.lora->b.value(), network.h[0].mlp.c_fc.lora->b.value()));

  undropped.h[0].mlp.c_fc.lora->dropout = undropped.h[0].attn.c_attn.lora->dropout = 0;
  train(undropped, tokens, options);
  CHECK_FALSE(identical(undropped.h[0].mlp.c_fc.lora->b.value(), network.h[0].mlp.c_fc.lora->b.value()));

  const auto file = folder.path() / "model.safetensors";
  CHECK_THROWS_WITH(save_network(file, network, vocabulary),
                    Contains("h.0.attn.c_attn.lora_A.weight") && Contains("merge_lora"));
  CHECK_THROWS_WITH(save_pretrained(folder.path() / "pretrained", network), Contains("merge_lora"));
  CHECK_FALSE(std::filesystem::exists(file));
  CHECK_FALSE(std::filesystem::exists(folder.path() / "pretrained"));
  nn::merge_lora(network);
  save_network(file, network, vocabulary);
  const TrainedModel read = load_model(file);
  CHECK(score(read.model, tokens) == score(NeuralModel<GptNetwork>{network}, tokens));
  const std::vector<double> merged = score(read.model, tokens), unmerged = score(adapted, tokens);
  for (std::size_t i = 0; i < merged.size(); ++i) CHECK(merged[i] == Approx(unmerged[i]).margin(1e-4));
  nn::unmerge_lora(network);
  CHECK(identical(network.h[0].mlp.c_fc.weight.value(), weight));
}

TEST_CASE("a network with adapters is quantized, its output layer too", "[models][lora]") {
  Rng rng(1);
  LlamaNetwork network(rng,
                       {.vocab = vocab, .width = 8, .layers = 1, .heads = 2, .context = 8, .tied = false});
  nn::add_lora(rng, network, {"*"}, {.rank = 2});
  learn(network);
  const double exact = network.loss(x, y, network.start(2)).first.item();
  nn::quantize(network);
  CHECK(network.loss(x, y, network.start(2)).first.item() == Approx(exact).epsilon(1e-2));
  Tape tape;
  CHECK_THROWS_WITH(network.loss(x, y, network.start(2)), Contains("a quantized model cannot be trained"));
}

TEST_CASE("a network reads token by token with adapters as it does at once", "[models][lora]") {
  GptNetwork network = small_gpt();
  Rng rng(1);
  nn::add_lora(rng, network, {"*"}, {.rank = 2});
  learn(network);
  const NeuralModel<GptNetwork> model{network};
  const std::vector<std::int32_t> tokens{0, 3, 1, 2, 4, 0, 10, 3, 7, 5, 6};
  auto state = model.start();
  const std::vector<double> at_once = score(model, tokens);  // of the second token and those behind it
  for (std::size_t i = 0; i < at_once.size(); ++i) {
    state = model.advance(state, tokens[i]);
    CHECK(model.log_probs(state).at(tokens[i + 1]) == Approx(at_once[i]).margin(1e-5));
  }
}
