#include "models/inspect.hpp"
#include "models/kinds.hpp"
#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"

// What is shown of networks while they read.

using namespace gradus;
using namespace gradus::models;

namespace {

const std::vector<std::int32_t> ids{3, 1, 4, 1, 5};

}  // namespace

TEST_CASE("the attention that is shown is that which the network pays", "[models][inspect]") {
  Rng rng(2);
  // Keys and queries of a layer decide what of the values comes through: with values that are all alike the
  // rows must sum to 1, and a token whose vector is changed may only change rows from its own on.
  const LlamaNetwork llama(rng,
                           {.vocab = 7, .width = 8, .layers = 2, .heads = 4, .kv_heads = 2, .context = 9});
  const GptNetwork gpt(rng, {.vocab = 7, .width = 8, .layers = 2, .heads = 4, .context = 9});
  const auto check = [&](const auto& network) {
    const std::vector<NetworkView> all = views(network, ids);
    REQUIRE(all.size() == 8);
    CHECK(all[5].name == "layer 2, head 2");
    for (const NetworkView& view : all) {
      REQUIRE(view.values.shape() == Shape{5, 5});
      CHECK(view.gates.empty());
      for (std::int64_t i = 0; i < 5; ++i) {
        CHECK(sum(view.values[i]).item() == Approx(1));
        for (std::int64_t j = 0; j < 5; ++j) CHECK((view.values.at(5 * i + j) > 0) == (j <= i));
      }
    }
    std::vector<std::int32_t> other = ids;
    other[3] = 6;
    const std::vector<NetworkView> changed = views(network, other);
    for (std::size_t k = 0; k < all.size(); ++k) {
      CHECK(identical(slice(all[k].values, 0, 0, 3), slice(changed[k].values, 0, 0, 3)));
      CHECK_FALSE(identical(all[k].values[3], changed[k].values[3]));
    }
    CHECK(views(network, std::vector<std::int32_t>(20, 1)).front().values.dim(0) == 9);
  };
  check(llama);
  check(gpt);
  // The first layer of a GPT by hand, from its weights.
  const auto& block = gpt.h[0];
  const Tensor x = gpt.wte(Indices(ids, {5})).value() + slice(gpt.wpe.weight.value(), 0, 0, 5);
  const Tensor packed = block.attn.c_attn(block.ln_1(Variable(x))).value();  // (5, 24)
  for (std::int64_t head = 0; head < 4; ++head) {
    const Tensor q = slice(packed, 1, 2 * head, 2 * head + 2),
                 k = slice(packed, 1, 8 + 2 * head, 10 + 2 * head);
    const Tensor scores = matmul(q, transpose(k, 0, 1)) / std::sqrt(2.0);
    const Tensor shown = views(gpt, ids)[static_cast<std::size_t>(head)].values;
    for (std::int64_t i = 0; i < 5; ++i) {
      const Tensor row = softmax(slice(scores[i], 0, 0, i + 1), 0);
      for (std::int64_t j = 0; j <= i; ++j) CHECK(shown.at(5 * i + j) == Approx(row.at(j)).epsilon(1e-5));
    }
  }
}

TEST_CASE("the gates that are shown are those of the equations", "[models][inspect]") {
  Rng rng(3);
  LstmNetwork lstm(rng, {.vocab = 7, .embedding = 3, .width = 4, .layers = 2});
  const auto all = views(lstm, ids);
  REQUIRE(all.size() == 2);
  CHECK(all[0].gates == std::vector<std::string>{"input", "forget", "output"});
  REQUIRE(all[1].values.shape() == Shape{3, 5});
  for (const NetworkView& view : all) {
    for (std::int64_t i = 0; i < view.values.size(); ++i) {
      CHECK(view.values.at(i) > 0);
      CHECK(view.values.at(i) < 1);
    }
  }
  // Biases decide a gate whose weights are 0: of layer 2 the forget gate is sigmoid(2 + 1).
  auto& layer = lstm.recurrent.layers[1];
  layer.weight_ih.mutable_value() = zeros({16, 4});
  layer.weight_hh.mutable_value() = zeros({16, 4});
  layer.bias_ih.mutable_value() = concat({zeros({4}), full({4}, 2), zeros({8})}, 0);
  layer.bias_hh.mutable_value() = full({16}, 1);
  const Tensor gates = views(lstm, ids)[1].values;
  for (std::int64_t t = 0; t < 5; ++t) {
    CHECK(gates.at(t) == Approx(1 / (1 + std::exp(-1.0))));
    CHECK(gates.at(5 + t) == Approx(1 / (1 + std::exp(-3.0))));
    CHECK(gates.at(10 + t) == Approx(1 / (1 + std::exp(-1.0))));
  }
  const GruNetwork gru(rng, {.vocab = 7, .embedding = 3, .width = 4});
  CHECK(views(gru, ids).front().gates == std::vector<std::string>{"reset", "update"});
}

TEST_CASE("embeddings of every kind have a row a token", "[models][inspect]") {
  for (const NetworkKind& kind : network_kinds()) {
    INFO(kind.name);
    Rng rng(1);
    const auto network = kind.make(rng, {.vocab = 7, .embedding = 4, .width = 8, .heads = 2});
    CHECK(network->embeddings().dim(0) == 7);
    CHECK(network->embeddings().dim(1) == (kind.is_recurrent || kind.name == "feed-forward" ? 4 : 8));
    CHECK(network->views(ids).empty() == (kind.name != "lstm" && kind.name != "gru" && !kind.is_transformer));
  }
}
