#include "autograd/tape.hpp"
#include "models/kinds.hpp"
#include "models/min_gru.hpp"
#include "models/neural.hpp"
#include "models/train.hpp"
#include "models/transformers.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fixture.hpp"

using namespace gradus;
using namespace gradus::models;
using Catch::Matchers::Contains;
using gradus::test::difference;

// Documents that stand one behind another in a text, with the token 0 between them.

namespace {

constexpr std::int32_t end = 0;

NetworkOptions options_of(int layers = 2) {
  return {.vocab = 9,
          .embedding = 5,
          .width = 8,
          .layers = layers,
          .document_end = end,
          .heads = 2,
          .context = 14,
          .inner = 7};
}

/// In f64, with weights so large that every path counts.
template <class Network>
Network random_network(std::uint64_t seed) {
  Rng rng(seed);
  Network network(rng, options_of());
  convert(network, Dtype::f64);
  for_each_parameter(network, [&](const std::string&, Parameter& p) {
    p.mutable_value() = rng.normal(p.shape(), 0, 0.5, Dtype::f64);
  });
  return network;
}

Indices column(const std::vector<std::int32_t>& ids) {
  return Indices(ids, {std::ssize(ids), 1});
}

struct Texts {
  static constexpr std::int64_t time = 14, batch = 3;
  std::vector<std::int32_t> x{0, 4, 7, 3, 1, 0, 5, 0, 2, 2, 0, 3, 8, 5, 1, 6, 5, 0, 7, 0, 4,
                              0, 2, 1, 1, 3, 2, 0, 8, 6, 5, 0, 3, 1, 0, 2, 4, 6, 7, 2, 2, 0},
      y{3, 1, 7, 5, 1, 2, 2, 3, 2, 8, 5, 1, 6, 0, 1, 0, 7, 0, 7, 2, 4,
        1, 1, 1, 3, 2, 0, 8, 6, 3, 0, 3, 1, 0, 2, 4, 6, 7, 2, 2, 0, 4};

  Indices ids(const std::vector<std::int32_t>& of, std::int64_t from = 0, std::int64_t to = time) const {
    return Indices(std::vector<std::int32_t>(of.begin() + from * batch, of.begin() + to * batch),
                   {to - from, batch});
  }
  /// Each document's tokens and targets, (time, 1) each.
  std::vector<std::pair<Indices, Indices>> documents() const {
    std::vector<std::pair<Indices, Indices>> out;
    for (std::int64_t b = 0; b < batch; ++b) {
      std::vector<std::int32_t> tokens, targets;
      for (std::int64_t t = 0; t < time; ++t) {
        const auto at = static_cast<std::size_t>(t * batch + b);
        if (x[at] == end && !tokens.empty()) {
          out.emplace_back(column(tokens), column(targets));
          tokens.clear();
          targets.clear();
        }
        tokens.push_back(x[at]);
        targets.push_back(y[at]);
      }
      out.emplace_back(column(tokens), column(targets));
    }
    return out;
  }
};

template <class Check>
void for_each_network(const Check& check) {
  check("rnn", random_network<RnnNetwork>(1));
  check("gru", random_network<GruNetwork>(2));
  check("lstm", random_network<LstmNetwork>(3));
  check("min-gru", random_network<MinGruNetwork>(4));
  check("gpt", random_network<GptNetwork>(5));
  check("llama", random_network<LlamaNetwork>(6));
}

}  // namespace

TEST_CASE("the loss of packed documents is the mean over documents that are read alone", "[documents]") {
  for_each_network([](const char* name, const auto& network) {
    INFO(name);
    const Texts texts;
    const auto all = texts.documents();
    REQUIRE(all.size() > 8);
    Tape packed_tape;
    const Variable packed = network.loss(texts.ids(texts.x), texts.ids(texts.y), network.start(3)).first;
    const double value = packed.item();
    const Gradients found = packed_tape.backward(packed);
    auto plain = network;
    plain.options.document_end = -1;
    CHECK(std::abs(plain.loss(texts.ids(texts.x), texts.ids(texts.y), plain.start(3)).first.item() - value) >
          1e-4);
    double mean = 0;
    std::vector<Tensor> expected;
    for (const auto& [x, y] : all) {
      const double share = static_cast<double>(x.size()) / static_cast<double>(Texts::time * Texts::batch);
      Tape tape;
      const Variable alone = plain.loss(x, y, plain.start(1)).first;
      mean += share * alone.item();
      const Gradients gradients = tape.backward(alone);
      std::size_t i = 0;
      for_each_parameter(plain, [&](const std::string&, const Parameter& p) {
        if (expected.size() <= i) expected.push_back(zeros(p.shape(), Dtype::f64));
        expected[i] = expected[i] + share * gradients[p];
        ++i;
      });
    }
    CHECK(value == Approx(mean).epsilon(1e-12));
    std::size_t i = 0;
    for_each_parameter(network, [&](const std::string& path, const Parameter& p) {
      INFO(path);
      CHECK(difference(found[p], expected[i++]) < 1e-11);
    });
  });
}

TEST_CASE("a document goes on from one batch to the next in a recurrent network", "[documents]") {
  for_each_network([](const char* name, const auto& network) {
    INFO(name);
    if constexpr (models::detail::carries_state<std::remove_cvref_t<decltype(network)>>) {
      const Texts texts;
      const double whole =
          network.loss(texts.ids(texts.x), texts.ids(texts.y), network.start(3)).first.item();
      for (const std::int64_t cut : {1, 4, 9, 13}) {
        auto [first, state] =
            network.loss(texts.ids(texts.x, 0, cut), texts.ids(texts.y, 0, cut), network.start(3));
        const double second =
            network.loss(texts.ids(texts.x, cut), texts.ids(texts.y, cut), state).first.item();
        const double share = static_cast<double>(cut) / Texts::time;
        CHECK(share * first.item() + (1 - share) * second == Approx(whole).epsilon(1e-12));
      }
    }
  });
}

TEST_CASE("reading, each document is read as if it were alone", "[documents]") {
  for_each_network([](const char* name, const auto& network) {
    INFO(name);
    const NeuralModel<std::remove_cvref_t<decltype(network)>> model{network};
    const std::vector<std::int32_t> first{0, 4, 7, 3, 1, 8, 8}, second{0, 5, 2, 2, 6};
    std::vector<std::int32_t> both = first;
    both.insert(both.end(), second.begin(), second.end());
    const std::vector<double> scored = score(model, both), alone = score(model, second);
    for (std::size_t i = 0; i < alone.size(); ++i)
      CHECK(scored[first.size() + i] == Approx(alone[i]).epsilon(1e-6));
    auto stepped = model.start();
    for (const std::int32_t token : both) stepped = model.advance(stepped, token);
    std::vector each(2, advance(model, model.start(), first));
    for (const std::int32_t token : second) advance_each(model, std::span(each), std::vector{token, token});
    const Tensor expected = model.log_probs(advance(model, model.start(), second));
    for (const auto& state : {stepped, advance(model, model.start(), both), each[0], each[1]})
      CHECK(difference(model.log_probs(state), expected) < 1e-6);
  });
}

TEST_CASE("networks learn documents that are kept apart", "[documents]") {
  // The second token of a document is the first of the one before it: what a network that sees no other
  // document cannot know.
  Rng draws(3);
  std::vector<std::int32_t> text{end};
  for (std::int32_t i = 0, before = 1; i < 300; ++i) {
    const auto next = static_cast<std::int32_t>(1 + draws.below(8));
    for (const std::int32_t token : {next, before, end}) text.push_back(token);
    before = next;
  }
  const auto trained = [&]<class Network>(NetworkOptions options, std::type_identity<Network>) {
    Rng rng(1);
    options.vocab = 9;
    Network network(rng, options);
    return train(network, text, {.batch = 4, .steps = 12, .updates = 500, .lr = 2e-2}).loss;
  };
  NetworkOptions apart = options_of(1);
  apart.width = 16;
  NetworkOptions together = apart;
  together.document_end = -1;
  const double least = 2 * std::log(8.0) / 3;  // nats a token, where all but the ends are left to chance
  const double gru = trained(apart, std::type_identity<GruNetwork>());
  const double llama = trained(apart, std::type_identity<LlamaNetwork>());
  const double sees_all = trained(together, std::type_identity<GruNetwork>());
  INFO("least " << least << ", GRU " << gru << ", Llama " << llama << ", GRU that sees all " << sees_all);
  CHECK((gru > 0.95 * least && gru < 1.1 * least));
  CHECK((llama > 0.95 * least && llama < 1.1 * least));
  CHECK(sees_all < 0.8 * least);
}

TEST_CASE("a network that sees a window of tokens takes no documents", "[documents]") {
  Rng rng(1);
  CHECK_THROWS_WITH(FeedForwardNetwork(rng, options_of()), Contains("does not keep documents apart"));
  CHECK_THROWS_WITH(LogBilinearNetwork(rng, options_of()), Contains("does not keep documents apart"));
}
