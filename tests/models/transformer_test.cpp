#include "models/transformers.hpp"

#include <map>
#include <string>

#include "autograd/gradcheck.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/attention.hpp"
#include "autograd/ops/cross_entropy.hpp"
#include "autograd/ops/indexing.hpp"
#include "autograd/ops/movement.hpp"
#include "models/neural.hpp"
#include "models/pretrained.hpp"
#include "tests/models/hugging_face.hpp"

using namespace gradus;
using namespace gradus::models;
using Catch::Matchers::Contains;
using gradus::test::check_saved;
using gradus::test::copy_with;
using gradus::test::difference;
using gradus::test::fixture;
using gradus::test::Folder;
using gradus::test::folder_of;

namespace {

namespace fs = std::filesystem;

const std::vector<std::string> gpts{"gpt_f32", "gpt_bf16"}, llamas{"llama_f32", "llama_bf16", "llama_f16"};

/// (a, b) to (b, a).
Indices turned(const Indices& ids) {
  std::vector<std::int32_t> out;
  for (std::int64_t j = 0; j < ids.dim(1); ++j) {
    for (std::int64_t i = 0; i < ids.dim(0); ++i)
      out.push_back(ids.values()[static_cast<std::size_t>(i * ids.dim(1) + j)]);
  }
  return Indices(std::move(out), {ids.dim(1), ids.dim(0)});
}

/// Logits of the fixture's ids, read `count` at a time, against PyTorch's: (time, batch, vocab).
template <class Network>
void check_logits(const Network& network, const std::string& name, std::int64_t count) {
  INFO(name << ", " << count << " at a time");
  const Indices ids = turned(load_npy_indices((folder_of(name) / "ids.npy").string()));
  const Tensor expected = transpose(fixture("transformers/" + name + "/logits"), 0, 1);
  auto state = network.start(ids.dim(1));
  for (std::int64_t begin = 0; begin < ids.dim(0); begin += count) {
    const std::int64_t end = std::min(begin + count, ids.dim(0));
    std::vector<std::int32_t> part(ids.values().begin() + begin * ids.dim(1),
                                   ids.values().begin() + end * ids.dim(1));
    auto [logits, next] = network(Indices(std::move(part), {end - begin, ids.dim(1)}), state);
    CHECK(difference(logits.value().to(Dtype::f64), slice(expected, 0, begin, end)) < 1e-5);
    state = std::move(next);
  }
}

/// The gradients of a loss by name, and the next number that its generator draws.
template <class Network>
std::pair<std::map<std::string, Tensor>, double> gradients_of(const NetworkOptions& options) {
  Rng weights(3), rng(4);
  const Network network(weights, options);
  const Indices x({1, 4, 2, 0, 3, 1, 4, 4, 0, 2}, {5, 2}), y({4, 2, 1, 1, 0, 3, 2, 2, 1, 0}, {5, 2});
  Tape tape;
  const Variable loss = network.loss(x, y, network.start(2), &rng).first;
  const double next = rng.uniform();  // what the layers drew was drawn from it
  const Gradients gradients = tape.backward(loss);
  std::map<std::string, Tensor> out{{"loss", loss.value()}};
  for_each_parameter(network, [&](const std::string& name, const Parameter& p) { out[name] = gradients[p]; });
  return {std::move(out), next};
}
template <class Network>
void check_checkpoints(const NetworkOptions& options) {
  NetworkOptions checkpointed = options;
  checkpointed.checkpoint_layers = true;
  const auto [expected, next] = gradients_of<Network>(options);
  const auto [found, next_found] = gradients_of<Network>(checkpointed);
  CHECK(next_found == next);
  REQUIRE(found.size() == expected.size());
  for (const auto& [name, gradient] : expected) {
    INFO(name);
    CHECK(identical(found.at(name), gradient));
  }
}

const NetworkOptions small{.vocab = 5, .width = 4, .layers = 1, .heads = 2, .context = 6, .inner = 3};

}  // namespace

TEST_CASE("models in Hugging Face's files give PyTorch's logits, however they are read", "[transformer]") {
  for (const std::int64_t count : {1, 3, 64}) {
    for (const std::string& name : gpts) check_logits(load_gpt(folder_of(name)), name, count);
    for (const std::string& name : llamas) check_logits(load_llama(folder_of(name)), name, count);
  }
}

TEST_CASE("what is written as Hugging Face's files is read again", "[transformer]") {
  const Folder folder;
  const GptNetwork gpt = load_gpt(folder_of("gpt_f32"));
  save_pretrained(folder.path() / "gpt", gpt);
  check_saved(gpt, load_gpt(folder.path() / "gpt"));
  check_logits(load_gpt(folder.path() / "gpt"), "gpt_f32", 64);
  for (const std::string& name : llamas) {
    const LlamaNetwork llama = load_llama(folder_of(name));
    save_pretrained(folder.path() / name, llama, {.max_bytes = 2000});  // in parts
    check_saved(llama, load_llama(folder.path() / name));
  }
}

TEST_CASE("a transformer's file that does not fit is refused by name", "[transformer]") {
  const Folder folder;
  const auto refuses_gpt = [&](const std::string& pattern, const std::string& text, const std::string& says) {
    copy_with(folder, "gpt_f32", pattern, text);
    CHECK_THROWS_WITH(load_gpt(folder.path()), Contains(says));
  };
  refuses_gpt("\"gpt2\"", "\"bert\"", "of the type \"bert\"; gpt2 and llama are supported");
  refuses_gpt("\"gelu_new\"", "\"relu\"", "the key \"activation_function\" is \"relu\"; only \"gelu_new\"");
  refuses_gpt("\"n_head\": 3", "\"n_head\": 5", "5 heads do not divide a width of 12");
  refuses_gpt("\"n_head\": 3", "\"n_head\": \"3\"", "the key \"n_head\" is \"3\"");
  refuses_gpt("\"n_head\": 3,", "", "the key \"n_head\" is missing");
  refuses_gpt("\"n_layer\": 2", "\"n_layer\": -2", "the key \"n_layer\" is -2");
  refuses_gpt("\"n_layer\": 2", "\"n_layer\": 3", "missing: h.2.");
  // Before memory is taken.
  refuses_gpt("\"vocab_size\": 13", "\"vocab_size\": 2147483647", "its sizes ask for more numbers than the");
  refuses_gpt("\"n_inner\": null", "\"n_inner\": 2147483647", "its sizes ask for more numbers than the");
  refuses_gpt("\"n_layer\": 2", "\"n_layer\": 1", "unexpected: transformer.h.1.");
  refuses_gpt("\"n_positions\": 10", "\"n_positions\": 9",
              "wpe.weight ((10, 12) in the file, (9, 12) in the model)");
  refuses_gpt("\\{", "[{", "not JSON");
  copy_with(folder, "llama_f32", "\"rope_scaling\": null", "\"rope_scaling\": {\"factor\": 8}");
  CHECK_THROWS_WITH(load_llama(folder.path()), Contains("\"rope_scaling\" is not supported"));
  copy_with(folder, "llama_f32", "\"head_dim\": 4", "\"head_dim\": 8");
  CHECK_THROWS_WITH(load_llama(folder.path()), Contains("the key \"head_dim\" is 8; only 4 is supported"));
  CHECK_THROWS_WITH(load_gpt(folder_of("llama_f32")), Contains("a model of the kind llama, not gpt"));
  CHECK_THROWS_WITH(load_gpt(folder.path() / "none"), Contains("config.json"));

  Safetensors weights = load_safetensors(folder_of("gpt_f32") / "model.safetensors");
  copy_with(folder, "gpt_f32", "\"n_positions\": 10", "\"n_positions\": 10 ");
  weights.tensors.emplace("transformer.more", weights.tensors.extract("transformer.ln_f.bias").mapped());
  save_safetensors(folder.path() / "model.safetensors", weights);
  CHECK_THROWS_WITH(load_gpt(folder.path()),
                    Contains("missing: ln_f.bias") && Contains("unexpected: transformer.more"));
  fs::remove(folder.path() / "model.safetensors");
  CHECK_THROWS_WITH(load_gpt(folder.path()), Contains("model.safetensors"));
  CHECK_THROWS_WITH(save_pretrained(folder.path() / "config.json", load_gpt(folder_of("gpt_f32"))),
                    Contains("cannot be made a folder"));
}

TEST_CASE("transformers say which sizes are impossible", "[transformer]") {
  Rng rng(1);
  CHECK_THROWS_WITH(GptNetwork(rng, {.vocab = 1}), Contains("a vocabulary of 1"));
  CHECK_THROWS_WITH(GptNetwork(rng, {.vocab = 5, .width = 6, .heads = 4}), Contains("4 heads do not divide"));
  CHECK_THROWS_WITH(GptNetwork(rng, {.vocab = 5, .context = 0}), Contains("a context of 0"));
  CHECK_THROWS_WITH(LlamaNetwork(rng, {.vocab = 5, .width = 6, .heads = 2}), Contains("an odd width, 3"));
  CHECK_THROWS_WITH(LlamaNetwork(rng, {.vocab = 5, .context = 4, .sinks = 4}),
                    Contains("4 sinks in a context of 4"));
  CHECK_THROWS_WITH(GptNetwork(rng, {.vocab = 5, .sinks = 1}), Contains("1 sinks, which are of Llama"));
  CHECK_THROWS_WITH(LlamaNetwork(rng, {.vocab = 5, .width = 8, .heads = 4, .kv_heads = 3}),
                    Contains("3 heads of keys and values do not divide the 4 heads"));
  const GptNetwork network(rng, small);
  const Indices long_text(std::vector<std::int32_t>(7, 1), {7, 1});
  CHECK_THROWS_WITH(network.loss(long_text, long_text, network.start(1), &rng),
                    Contains("a step of 7 tokens, but the context is 6"));
}

TEST_CASE("a text longer than the context is read on", "[transformer]") {
  const auto check = [](const auto& network) {
    const NeuralModel<std::remove_cvref_t<decltype(network)>> model{network};
    std::vector<std::int32_t> text;
    for (int i = 0; i < 40; ++i) text.push_back(i * i % 5);
    const std::vector<double> all = score(model, text);
    auto state = model.start();
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (i > 0) CHECK(log_prob(model, state, text[i]) == Approx(all[i - 1]).margin(1e-5));
      const auto kept = state;  // reading on does not change it
      state = model.advance(kept, text[i]);
      CHECK(identical(model.advance(kept, text[i]).features, state.features));
      for (const KeyValues& layer : state.network.layers) CHECK(layer.size() <= network.options.context);
    }
  };
  Rng rng(3);
  check(GptNetwork(rng, small));
  check(LlamaNetwork(rng, {.vocab = 5, .width = 8, .layers = 2, .heads = 2, .kv_heads = 1, .context = 6}));
}

TEST_CASE("a Llama that has read more than its context sees the last tokens alone", "[transformer]") {
  Rng rng(4);
  LlamaNetwork network(rng, {.vocab = 5, .width = 8, .layers = 1, .heads = 2, .context = 4});
  const auto last = [&](std::vector<std::int32_t> ids) {
    const std::int64_t count = std::ssize(ids);
    return slice(network(Indices(std::move(ids), {count, 1}), network.start(1)).first.value(), 0, count - 1,
                 count);
  };
  // Rotary positions: only distances count.
  CHECK(difference(last({4, 4, 0, 1, 2, 3}), last({0, 1, 2, 3})) < 1e-5);
  CHECK(difference(last({4, 4, 0, 1, 2, 3}), last({4, 1, 2, 3})) > 1e-4);
}

namespace {

/// The features of a text, (time, 1, width): of each token by attention to the tokens that it sees, the sinks
/// and the last ones, as its definition says, each key turned by its place among them.
Variable with_sinks(const LlamaNetwork& network, const Indices& ids) {
  const NetworkOptions& o = network.options;
  const std::int64_t time = ids.dim(0), kv_heads = o.kv_heads > 0 ? o.kv_heads : o.heads,
                     width = o.width / o.heads;
  Variable x = network.embed_tokens(ids.reshape({time}));  // (time, width)
  for (const LlamaBlock& block : network.layers) {
    const LlamaAttention& at = block.self_attn;
    const Variable h = block.input_layernorm(x);
    const Variable q = at.q_proj(h), k = at.k_proj(h), v = at.v_proj(h);
    std::vector<Variable> rows;
    for (std::int64_t t = 0; t < time; ++t) {
      std::vector<std::int32_t> seen;
      for (std::int64_t j = 0; j <= t; ++j) {
        if (j < o.sinks || t - j < o.context - o.sinks) seen.push_back(static_cast<std::int32_t>(j));
      }
      const std::int64_t count = std::ssize(seen);
      const RotaryOptions how{.base = o.rope_theta, .dtype = x.dtype()};
      const auto heads = [&](const Variable& all, std::int64_t heads_of) {
        return reshape(all, {1, all.dim(0), heads_of, width});
      };
      const RotaryLayout layout{.time_first = true};
      const Variable turned_q =
          rotary(heads(slice(q, 0, t, t + 1), o.heads), rotary_angles(1, width, how, count - 1), layout);
      const Variable turned_k = rotary(heads(index_select(k, 0, Indices(seen)), kv_heads),
                                       rotary_angles(count, width, how), layout);
      rows.push_back(attention(turned_q, turned_k, heads(index_select(v, 0, Indices(seen)), kv_heads),
                               {.time_first = true}));
    }
    x = x + at.o_proj(reshape(concat(rows, 1), {time, o.width}));
    x = x + block.mlp(block.post_attention_layernorm(x));
  }
  return reshape(network.norm(x), {time, 1, o.width});
}

}  // namespace

TEST_CASE("a Llama with sinks reads on as attention to them and to the last tokens", "[transformer]") {
  Rng rng(9);
  std::vector<std::int32_t> text;
  for (int i = 0; i < 90; ++i) text.push_back(static_cast<std::int32_t>(rng.below(7)));
  const Indices ids(text, {90, 1});
  for (const auto& [context, sinks] : {std::pair{10, 3}, {10, 0}, {6, 5}, {80, 70}}) {
    LlamaNetwork network(rng, {.vocab = 7,
                               .width = 16,
                               .layers = 2,
                               .heads = 4,
                               .kv_heads = 2,
                               .context = context,
                               .sinks = sinks,
                               .inner = 9});
    convert(network, Dtype::f64);
    for_each_parameter(network, [&](const std::string&, Parameter& p) {
      p.mutable_value() = rng.normal(p.shape(), 0, 0.5, Dtype::f64);
    });
    const Tensor expected = with_sinks(network, ids).value();
    for (const std::int64_t count : {1, 3, 17, 90}) {  // one by one, where keys lie, and side by side
      INFO(context << " tokens, " << sinks << " sinks, " << count << " at a time");
      auto state = network.start(1);
      double most = 0;
      for (std::int64_t begin = 0; begin < 90; begin += count) {
        const std::int64_t end = std::min<std::int64_t>(begin + count, 90);
        auto [found, next] =
            network.features(Indices({text.begin() + begin, text.begin() + end}, {end - begin, 1}), state);
        most = std::max(most, difference(found.value(), slice(expected, 0, begin, end)));
        state = std::move(next);
        CHECK(state.layers[1].size() < context);
      }
      CHECK(most < 1e-11);
    }
  }
}

TEST_CASE("layers that are computed again in backward have the same gradients, with dropout too",
          "[transformer]") {
  for (const double dropout : {0.0, 0.4}) {
    for (const std::int64_t document_end : {-1, 4}) {
      INFO(dropout << " " << document_end);
      NetworkOptions options{
          .vocab = 5, .width = 8, .layers = 3, .dropout = dropout, .heads = 2, .context = 6};
      options.document_end = document_end;
      check_checkpoints<GptNetwork>(options);
      options.kv_heads = 1;
      check_checkpoints<LlamaNetwork>(options);
    }
  }
  // Nodes of the tape do not grow with the layers' insides.
  const auto nodes = [](bool checkpoint_layers) {
    Rng rng(1);
    GptNetwork network(rng, {.vocab = 5, .width = 8, .layers = 4, .heads = 2, .context = 6});
    network.options.checkpoint_layers = checkpoint_layers;
    Tape tape;
    const auto loss = network.loss(Indices({1, 2}, {2, 1}), Indices({2, 3}, {2, 1}), network.start(1));
    return tape.size();
  };
  CHECK(nodes(true) < nodes(false));
}

TEST_CASE("a transformer's loss is the mean cross entropy of its logits", "[transformer]") {
  const auto check = [](const auto& network) {
    const Indices x({0, 3, 1, 2, 4, 0, 3, 3}, {4, 2}), y({1, 2, 4, 0, 3, 3, 0, 1}, {4, 2});
    const Variable loss = network.loss(x, y, network.start(2)).first;
    CHECK(loss.item() == Approx(cross_entropy(network(x, network.start(2)).first, y).item()).epsilon(1e-5));
  };
  Rng rng(5);
  check(GptNetwork(rng, small));
  check(LlamaNetwork(rng, {.vocab = 5, .width = 8, .layers = 1, .heads = 2, .context = 6}));
}

TEST_CASE("dropout changes a transformer in training alone", "[transformer]") {
  Rng rng(6), first(7), second(7), third(8);
  NetworkOptions options = small;
  options.dropout = 0.3;
  const GptNetwork network(rng, options);
  const Indices x({0, 3, 1, 2}, {4, 1});
  const auto loss = [&](Rng* draws) { return network.loss(x, x, network.start(1), draws).first.item(); };
  CHECK(loss(&first) == loss(&second));
  CHECK(loss(&first) != loss(&third));
  CHECK(loss(nullptr) == loss(nullptr));
}
