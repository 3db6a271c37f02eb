#include "models/generate.hpp"

#include "models/cache.hpp"
#include "models/interpolate.hpp"
#include "models/kinds.hpp"
#include "models/min_gru.hpp"
#include "models/neural.hpp"
#include "models/ngram/ngram.hpp"
#include "models/transformers.hpp"
#include "nn/quantize.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/threads.hpp"

using namespace gradus;
using namespace gradus::models;
using Catch::Matchers::Contains;

namespace {

using Ids = std::vector<std::int32_t>;

constexpr std::int32_t vocab = 23;

const NetworkOptions small{
    .vocab = vocab, .embedding = 6, .width = 8, .layers = 2, .heads = 2, .context = 12, .inner = 11};

/// Untrained networks, with weights that make their distributions uneven.
ErasedModel random_model(const NetworkKind& kind) {
  Rng rng(3);
  const auto network = kind.make(rng, small);
  Safetensors weights = network->weights();
  for (auto& [name, value] : weights.tensors) value = rng.normal(value.shape(), 0, 0.6);
  network->set_weights(weights, "random");
  return network->model();
}

std::vector<Ids> ragged_prompts() {
  return {{1}, {4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17}, {2, 2}, {22, 0, 3}, {9}};
}

/// Whether the texts of several prompts are those of each alone.
template <LanguageModel M>
void check_alone(const M& model, const std::vector<Ids>& prompts, GenerateOptions how, std::int64_t count) {
  const std::vector<Ids> together = generate(model, prompts, how, count);
  REQUIRE(together.size() == prompts.size() * static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < together.size(); ++i) {
    INFO("text " << i);
    GenerateOptions own = how;
    own.stream = how.stream + i;
    CHECK(together[i] == generate(model, prompts[i / static_cast<std::size_t>(count)], own));
  }
}

/// A model that counts how often its functions are called. p(w | h) is uniform.
struct Counting {
  struct State {};
  std::shared_ptr<int> read = std::make_shared<int>(0);

  std::int32_t vocab_size() const { return vocab; }
  State start() const { return {}; }
  State advance(const State& state, std::int32_t /*token*/) const {
    ++*read;
    return state;
  }
  Tensor log_probs(const State& /*state*/) const { return full({vocab}, -std::log(double{vocab})); }
};

}  // namespace

TEST_CASE("several prompts are continued together as each alone", "[generate]") {
  for (const NetworkKind& kind : network_kinds()) {
    INFO(kind.name);
    const ErasedModel model = random_model(kind);
    // Longer than the context, and more texts than are written at once.
    check_alone(model, ragged_prompts(), {.max_tokens = 30, .seed = 5}, 1);
    check_alone(model, ragged_prompts(), {.max_tokens = 20, .stream = 7, .batch = 3}, 2);
    check_alone(model, ragged_prompts(), {.max_tokens = 8, .temperature = 0}, 1);
    check_alone(model, ragged_prompts(), {.max_tokens = 8, .temperature = 1.3, .top_k = 5, .top_p = 0.9}, 1);
  }
}

TEST_CASE("models that have no faster way continue several prompts one after another", "[generate]") {
  const Ids text{1, 2, 3, 4, 5, 1, 2, 3, 1, 2, 22, 1, 0, 7, 8, 9, 10, 3, 4, 4, 4};
  const NgramModel ngrams(text, vocab, {.order = 3});
  check_alone(ngrams, ragged_prompts(), {.max_tokens = 20}, 2);
  check_alone(CacheModel(vocab), ragged_prompts(), {.max_tokens = 20}, 2);
  const LinearInterpolation mixed(ModelSet({ErasedModel(ngrams), random_model(*find_network_kind("gpt"))}),
                                  {0.4, 0.6});
  check_alone(mixed, ragged_prompts(), {.max_tokens = 20}, 2);
  // A network of one's own, with a state of its own.
  struct Plain {
    struct State {
      LstmNetwork::State inner;
    };
    LstmNetwork inner;
    NetworkOptions options = small;
    State start(std::int64_t batch) const { return {inner.start(batch)}; }
    std::pair<Variable, State> operator()(const Indices& x, const State& state) const {
      auto [logits, next] = inner(x, state.inner);
      return {std::move(logits), {std::move(next)}};
    }
  };
  Rng rng(1);
  check_alone(NeuralModel<Plain>{{LstmNetwork(rng, small)}}, ragged_prompts(), {.max_tokens = 20}, 2);
}

TEST_CASE("up to eight texts have the bits that each has alone, more the same up to rounding", "[generate]") {
  for (const NetworkKind& kind : network_kinds()) {
    for (const std::size_t count : {2U, 5U, 8U, 20U}) {
      INFO(kind.name << ", " << count << " texts");
      const ErasedModel erased = random_model(kind);
      const auto check = [&]<class Network>(const NeuralModel<Network>& model) {
        using State = typename NeuralModel<Network>::State;
        std::vector<State> together, alone;
        for (std::size_t i = 0; i < count; ++i)
          together.push_back(advance(model, model.start(), ragged_prompts()[i % 5]));
        alone = together;
        for (std::int32_t step = 0; step < 15; ++step) {
          Ids tokens;
          for (std::size_t i = 0; i < count; ++i)
            tokens.push_back((static_cast<std::int32_t>(i) * 5 + step * 3) % vocab);
          advance_each(model, std::span(together), tokens);
          const Tensor logs = model.log_probs_each(together);
          for (std::size_t i = 0; i < count; ++i) {
            alone[i] = model.advance(alone[i], tokens[i]);
            const Tensor own = model.log_probs(alone[i]), found = logs[static_cast<std::int64_t>(i)];
            if (count <= 8) {
              REQUIRE(identical(found, own));
            } else {
              REQUIRE(test::difference(found, own) < 1e-5);
            }
          }
        }
      };
      if (const auto* const model = erased.get_if<NeuralModel<GptNetwork>>()) check(*model);
      if (const auto* const model = erased.get_if<NeuralModel<LlamaNetwork>>()) check(*model);
      if (const auto* const model = erased.get_if<LstmModel>()) check(*model);
      if (const auto* const model = erased.get_if<GruModel>()) check(*model);
      if (const auto* const model = erased.get_if<RnnModel>()) check(*model);
      if (const auto* const model = erased.get_if<NeuralModel<MinGruNetwork>>()) check(*model);
      if (const auto* const model = erased.get_if<FeedForwardModel>()) check(*model);
      if (const auto* const model = erased.get_if<NeuralModel<LogBilinearNetwork>>()) check(*model);
    }
  }
}

TEST_CASE("texts of a Llama with sinks are continued together as each alone", "[generate]") {
  Rng rng(4);
  NetworkOptions options = small;
  options.sinks = 3;
  LlamaNetwork network(rng, options);
  for_each_parameter(
      network, [&](const std::string&, Parameter& p) { p.mutable_value() = rng.normal(p.shape(), 0, 0.6); });
  check_alone(NeuralModel<LlamaNetwork>{network}, ragged_prompts(), {.max_tokens = 40}, 1);
}

TEST_CASE("quantized networks continue several prompts together as each alone", "[generate]") {
  Rng rng(6);
  const auto check = [&](auto network) {
    for_each_parameter(network, [&](const std::string&, Parameter& p) {
      p.mutable_value() = rng.normal(p.shape(), 0, 0.6);
    });
    for (const Dtype dtype : {Dtype::bf16, Dtype::i8}) {
      nn::quantize(network, {.dtype = dtype});
      check_alone(NeuralModel<decltype(network)>{network}, ragged_prompts(), {.max_tokens = 20}, 1);
      convert(network, Dtype::f32);
    }
  };
  check(GptNetwork(rng, small));
  check(LlamaNetwork(rng, small));
  check(GruNetwork(rng, small));
}

TEST_CASE("a text that ends leaves the batch, and another takes its place", "[generate]") {
  const ErasedModel model = random_model(*find_network_kind("llama"));
  const GenerateOptions how{.max_tokens = 40, .batch = 3, .stop = 7, .stop_count = 2, .other_stops = {3}};
  check_alone(model, ragged_prompts(), how, 4);
  std::size_t shortest = 40, longest = 0;
  for (const Ids& text : generate(model, ragged_prompts(), how, 4)) {
    shortest = std::min(shortest, text.size());
    longest = std::max(longest, text.size());
    CHECK((text.size() == 40 || text.back() == 7 || text.back() == 3));
  }
  CHECK(shortest < longest);
}

TEST_CASE("a prompt is read once for all of its texts", "[generate]") {
  const Counting model;
  const std::vector<Ids> prompts{{1, 2, 3}, {4, 5}};
  CHECK(generate(model, prompts, {.max_tokens = 1, .batch = 4}, 10).size() == 20);
  CHECK(*model.read == 5);
}

TEST_CASE("texts draw from streams of their own", "[generate]") {
  const Counting model;
  const std::vector<Ids> texts = generate(model, std::vector<Ids>{{1}}, {.max_tokens = 30}, 3);
  CHECK(texts[0] == generate(model, Ids{1}, {.max_tokens = 30}));
  CHECK(texts[0] != texts[1]);
  CHECK(texts[1] != texts[2]);
}

TEST_CASE("no prompts give no texts, and a prompt needs a token", "[generate]") {
  const Counting model;
  CHECK(generate(model, std::vector<Ids>{}, {}).empty());
  CHECK(generate(model, std::vector<Ids>{{1}}, {.max_tokens = 0}) == std::vector<Ids>{{}});
  CHECK_THROWS_WITH(generate(model, std::vector<Ids>{{1}, {}}, {}),
                    Contains("a prompt of at least one token"));
  CHECK(*model.read == 0);  // it is found before the work
  CHECK_THROWS_WITH(generate(model, std::vector<Ids>{{1}}, {.batch = 0}), Contains("0 at once"));
  CHECK_THROWS_WITH(generate(model, std::vector<Ids>{{1}}, {}, 0), Contains("0 texts of each prompt"));
  std::vector<Counting::State> states(2);
  CHECK_THROWS_AS(advance_each(model, std::span(states), Ids{1}), ArgumentError);
  std::vector<Rng> rngs(1);
  CHECK_THROWS_AS(draw_each(model, std::span<const Counting::State>(states), {}, std::span(rngs)),
                  ArgumentError);
  CHECK_THROWS_AS(sample_each(full({2, vocab}, -1), {}, rngs), ShapeError);
}

TEST_CASE("a token out of range leaves all states as they were", "[generate]") {
  for (const NetworkKind& kind : network_kinds()) {
    INFO(kind.name);
    const ErasedModel model = random_model(kind);
    std::vector<ErasedModel::State> states(3, model.advance(model.start(), 4));
    const Tensor before = model.log_probs(states[0]);
    CHECK_THROWS_AS(advance_each(model, std::span(states), Ids{1, 2, vocab + 7}), Error);
    for (const ErasedModel::State& state : states) CHECK(identical(model.log_probs(state), before));
    CHECK(identical(model.log_probs(model.advance(states[1], 3)),
                    model.log_probs(model.advance(model.advance(model.start(), 4), 3))));
  }
}

TEST_CASE("texts that are written together have the same bits for any number of threads", "[generate]") {
  Rng rng(8);
  const NeuralModel<GptNetwork> gpt{
      GptNetwork(rng, {.vocab = 3000, .width = 192, .layers = 2, .heads = 4, .context = 20})};
  const NeuralModel<LlamaNetwork> llama{
      LlamaNetwork(rng, {.vocab = 300, .width = 192, .layers = 2, .heads = 6, .kv_heads = 3, .context = 30})};
  const auto logits = [](const auto& model) {
    using State = typename std::remove_cvref_t<decltype(model)>::State;
    std::vector<State> states(17, model.start());
    for (std::int32_t step = 0; step < 25; ++step) {
      Ids tokens;
      for (std::int32_t i = 0; i < 17; ++i) tokens.push_back((i * 31 + step * 7) % 300);
      advance_each(model, std::span(states), tokens);
    }
    return model.log_probs_each(states);
  };
  test::check_same_bits([&] { return std::vector{logits(gpt), logits(llama)}; });
}

TEST_CASE("a token that is generated has the same bits for any number of threads", "[generate]") {
  Rng rng(8);
  const NeuralModel<GptNetwork> gpt{
      GptNetwork(rng, {.vocab = 3000, .width = 192, .layers = 2, .heads = 4, .context = 100})};
  const NeuralModel<LlamaNetwork> llama{
      LlamaNetwork(rng, {.vocab = 300, .width = 192, .layers = 2, .heads = 6, .kv_heads = 3, .context = 30})};
  const auto logits = [](const auto& model) {
    auto state = model.start();
    for (int i = 0; i < 40; ++i) state = model.advance(state, i * 7 % 300);
    return model.log_probs(state);
  };
  test::check_same_bits([&] { return std::vector{logits(gpt), logits(llama)}; });
}
