#include <cmath>
#include <map>

#include "models/adapt/adapt.hpp"
#include "models/evaluate.hpp"
#include "models/kinds.hpp"
#include "models/ngram/ngram.hpp"
#include "nn/weights.hpp"
#include "tensor/support/parallel.hpp"
#include "tests/models/language_model_battery.hpp"
#include "tests/support/catch.hpp"
#include "text/corpus.hpp"
#include "text/synthetic.hpp"

// Models that adapt to what they read.

using namespace gradus;
using namespace gradus::models;
using Catch::Contains;

namespace {

struct Trained {
  Corpus corpus = make_corpus(synthetic_corpus(3, 2500).text, {.split = {.train = 0.8, .valid = 0.1}});
  std::span<const std::int32_t> test() const { return corpus.test.tokens; }

  template <class Network>
  NeuralModel<Network> network() const {
    Rng rng(2);
    Network out(rng, {.vocab = corpus.vocabulary.size(), .embedding = 12, .width = 12});
    train(out, corpus.train.tokens, {.batch = 4, .steps = 16, .updates = 60, .lr = 1e-2});
    return {std::move(out)};
  }
};

/// That the probabilities after some of a text sum to one, and that asking for one token or a text gives the
/// same.
template <LanguageModel M>
void check_distributions(const M& model, std::span<const std::int32_t> tokens) {
  auto state = model.start(), at_once = model.start();
  const std::vector<double> together = score(model, at_once, tokens);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (i % 7 == 0) {
      const Tensor all = model.log_probs(state);
      double total = 0;
      for (std::int64_t w = 0; w < all.size(); ++w) total += std::exp(all.at(w));
      CHECK(total == Approx(1).epsilon(2e-5));
      CHECK(all.at(tokens[i]) == Approx(together[i]).epsilon(2e-5).margin(2e-5));
    }
    state = model.advance(state, tokens[i]);
  }
}

}  // namespace

TEST_CASE("a neural cache gives the probabilities of its definition", "[models][adapt]") {
  const Trained trained;
  const NeuralModel<LstmNetwork> model = trained.network<LstmNetwork>();
  const NeuralCacheOptions options{.weight = 0.3, .theta = 0.7, .window = 9};
  const NeuralCache<LstmNetwork> cache(model, options);
  const auto tokens = trained.test().first(40);
  auto state = cache.start();
  const std::vector<double> scored = score(cache, state, tokens);
  // By plain loops, a token at a time.
  auto at = model.start();
  std::vector<Tensor> features;     // h_i
  std::vector<std::int32_t> after;  // and what followed
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    double p = std::exp(model.log_probs(at).at(tokens[i]));
    if (!after.empty()) {
      double all = 0, wanted = 0;
      const std::size_t begin = after.size() > 9 ? after.size() - 9 : 0;
      for (std::size_t k = begin; k < after.size(); ++k) {
        const double share = std::exp(0.7 * sum(features[k] * at.features).item());
        all += share;
        if (after[k] == tokens[i]) wanted += share;
      }
      p = 0.7 * p + 0.3 * wanted / all;
    }
    CHECK(scored[i] == Approx(std::log(p)).epsilon(1e-5));
    if (at.features.defined()) {
      features.push_back(at.features);
      after.push_back(tokens[i]);
    }
    at = model.advance(at, tokens[i]);
  }
  check_distributions(cache, tokens);
  // A weight of 0 is the network alone, and a long text gains from what it repeats.
  auto plain = model.start();
  auto neutral = NeuralCache<LstmNetwork>(model, {.weight = 0}).start();
  const std::vector<double> of_network = score(model, plain, tokens),
                            without = score(NeuralCache<LstmNetwork>(model, {.weight = 0}), neutral, tokens);
  for (std::size_t i = 0; i < tokens.size(); ++i) CHECK(without[i] == Approx(of_network[i]).epsilon(1e-6));
}

TEST_CASE("a cache remembers the same however a text is cut", "[models][adapt]") {
  const Trained trained;
  const NeuralCache<GruNetwork> cache(trained.network<GruNetwork>(),
                                      {.weight = 0.2, .theta = 0.5, .window = 300});
  const auto tokens = trained.test();
  REQUIRE(tokens.size() > 200);
  auto whole_state = cache.start(), state = cache.start();
  const std::vector<double> whole = score(cache, whole_state, tokens);
  std::vector<double> parts;
  for (std::size_t at = 0, size = 1; at < tokens.size(); at += size, size = size % 90 + 7) {
    const auto part = tokens.subspan(at, std::min(size, tokens.size() - at));
    const std::vector<double> more = score(cache, state, part);
    parts.insert(parts.end(), more.begin(), more.end());
  }
  REQUIRE(parts.size() == whole.size());
  for (std::size_t i = 0; i < whole.size(); ++i)
    CHECK(parts[i] == Approx(whole[i]).epsilon(1e-4).margin(1e-5));
}

TEST_CASE("dynamic evaluation takes the steps of its definition", "[models][adapt]") {
  const Trained trained;
  const NeuralModel<RnnNetwork> model = trained.network<RnnNetwork>();
  const DynamicOptions options{.lr = 0.5, .decay = 0.1, .steps = 6, .clip = 0.2};
  const DynamicEvaluation<RnnNetwork> dynamic(model.network, options);
  const auto tokens = trained.test().first(20);
  auto state = dynamic.start();
  const std::vector<double> scored = score(dynamic, state, tokens);
  CHECK(scored[0] == Approx(-std::log(trained.corpus.vocabulary.size())));
  // By hand: predictions 1..6 with the trained weights, one step, 7..12, one step, 13..18, one step, then one
  // more.
  RnnNetwork network = model.network;
  auto carried = network.start(1);
  for (std::size_t begin = 0; begin + 1 < tokens.size(); begin += 6) {
    const auto count = static_cast<std::int64_t>(std::min<std::size_t>(6, tokens.size() - 1 - begin));
    const auto ids = [&](std::size_t from) {
      const auto part = tokens.subspan(from, static_cast<std::size_t>(count));
      return Indices(std::vector<std::int32_t>(part.begin(), part.end()), {count, 1});
    };
    Tape tape;
    auto [logits, next] = network(ids(begin), carried);
    const Variable losses = cross_entropy(logits, ids(begin + 1), Reduction::none);
    for (std::int64_t i = 0; i < count; ++i)
      CHECK(scored[begin + 1 + static_cast<std::size_t>(i)] == Approx(-losses.value().at(i)).epsilon(1e-5));
    if (count < 6) break;
    const Gradients gradients = tape.backward(mean(losses));
    const double scale = std::min(1.0, 0.2 / norm(gradients));
    std::vector<Tensor> origin;
    for_each_parameter(model.network,
                       [&](const std::string&, const Parameter& p) { origin.push_back(p.value()); });
    std::size_t k = 0;
    for_each_parameter(network, [&](const std::string&, Parameter& p) {
      const Tensor before = p.value();
      Tensor after = before + (origin[k++] - before) * 0.1;
      if (gradients.contains(p)) after = after - gradients[p] * (0.5 * scale);
      p.mutable_value() = after;
    });
    carried = detach(next);
  }
  const Safetensors learned = nn::weights(dynamic.network(state)), by_hand = nn::weights(network);
  for (const auto& [path, value] : by_hand.tensors) {
    INFO(path);
    CHECK(max(abs(value - learned.tensors.at(path))).item() < 1e-5);
  }
  check_distributions(dynamic, tokens);
}

TEST_CASE("dynamic evaluation without a rate is the network, and states do not learn from each other",
          "[models][adapt]") {
  const Trained trained;
  const NeuralModel<GruNetwork> model = trained.network<GruNetwork>();
  const auto tokens = trained.test().first(60);
  const DynamicEvaluation<GruNetwork> still(model.network, {.lr = 0, .steps = 7}),
      learns(model.network, {.lr = 1, .steps = 7});
  auto plain = model.start();
  auto at = still.start();
  const std::vector<double> expected = score(model, plain, tokens), same = score(still, at, tokens);
  for (std::size_t i = 0; i < tokens.size(); ++i) CHECK(same[i] == Approx(expected[i]).epsilon(1e-5));
  // What another copy of a state reads changes nothing.
  auto state = learns.start();
  score(learns, state, tokens.first(10));
  const Tensor before = learns.log_probs(state);
  auto other = state;
  score(learns, other, tokens.subspan(10));
  CHECK(identical(learns.log_probs(state), before));
  CHECK(identical(learns.log_probs(learns.start()), learns.log_probs(still.start())));
  CHECK(&learns.network(state) != &learns.network(other));
}

TEST_CASE("mean squares of gradients are those of a loop, and scale the steps of dynamic evaluation",
          "[models][adapt]") {
  const Trained trained;
  const NeuralModel<RnnNetwork> model = trained.network<RnnNetwork>();
  const BatchOptions cut{.batch = 2, .steps = 400};
  const Safetensors squares = gradient_mean_squares(model.network, trained.corpus.train.tokens, cut);
  const Batches all(trained.corpus.train.tokens, cut, "text");
  Tensor by_hand;
  auto state = model.network.start(2);
  for (std::int64_t i = 0; i < all.size(); ++i) {
    Tape tape;
    auto [loss, next] = model.network.loss(all[i].x, all[i].y, state);
    const Tensor g = tape.backward(loss)[model.network.head.weight];
    by_hand = by_hand.defined() ? by_hand + g * g : g * g;
    state = detach(next);
  }
  by_hand = by_hand * (1.0 / static_cast<double>(all.size()));
  CHECK(max(abs(squares.tensors.at("head.weight") - by_hand)).item() <= 1e-6 * max(by_hand).item());
  // One number by the formula: w - lr g / (sqrt(m) + eps) + decay min(sqrt(m) / mean, 1 / decay) (w0 - w).
  const Tensor updated =
      models::detail::dynamic_update(Tensor::scalar(2.0), Tensor::scalar(3.0), Tensor::scalar(0.5), 0.8,
                                     Tensor::scalar(0.04), 0.1, {.lr = 0.3, .decay = 0.25, .eps = 0.05});
  CHECK(updated.item() == Approx(2 - 0.3 * 0.8 * 0.5 / (0.2 + 0.05) + 0.25 * 2 * 1).epsilon(1e-6));
}

TEST_CASE("learned counts give the probabilities of their definition, behind any model", "[models][adapt]") {
  const Trained trained;
  const auto vocab = static_cast<std::int32_t>(trained.corpus.vocabulary.size());
  const ErasedModel ngrams(NgramModel(trained.corpus.train.tokens, vocab, {.order = 2}));
  const LearnedCountsOptions options{.order = 3, .strength = 1.5};
  const LearnedCounts counts(ngrams, options);
  const auto tokens = trained.test().first(80);
  auto state = counts.start();
  const std::vector<double> scored = score(counts, state, tokens);
  std::map<std::vector<std::int32_t>, std::map<std::int32_t, int>> seen;
  auto inner = ngrams.start();
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    double p = std::exp(ngrams.log_prob(inner, tokens[i]));
    for (std::size_t length = 0; length <= std::min<std::size_t>(2, i); ++length) {
      const auto context = tokens.subspan(i - length, length);
      const auto found = seen.find({context.begin(), context.end()});
      if (found == seen.end()) break;
      double total = 0;
      for (const auto& [token, count] : found->second) total += count;
      const double left = 1.5 * static_cast<double>(found->second.size());
      const auto here = found->second.find(tokens[i]);
      p = ((here == found->second.end() ? 0 : here->second) + left * p) / (total + left);
    }
    CHECK(scored[i] == Approx(std::log(p)).epsilon(1e-9));
    for (std::size_t length = 0; length <= std::min<std::size_t>(2, i); ++length) {
      const auto context = tokens.subspan(i - length, length);
      ++seen[{context.begin(), context.end()}][tokens[i]];
    }
    inner = ngrams.advance(inner, tokens[i]);
  }
  check_distributions(counts, tokens);
  // Copies of a state part ways.
  auto one = counts.start();
  score(counts, one, tokens.first(30));
  const Tensor before = counts.log_probs(one);
  auto two = one;
  score(counts, two, tokens.subspan(30));
  CHECK(identical(counts.log_probs(one), before));
}

TEST_CASE("adapted models are made of every kind, the same with any number of threads",
          "[models][adapt][threads]") {
  const Trained trained;
  const auto tokens = trained.test().first(60);
  for (const NetworkKind& kind : network_kinds()) {
    INFO(kind.name);
    Rng rng(4);
    const auto network = kind.make(
        rng,
        {.vocab = trained.corpus.vocabulary.size(), .embedding = 8, .width = 8, .heads = 2, .context = 32});
    const ErasedModel model = network->model();
    for (const AdaptOptions& options : {AdaptOptions{.neural_cache = NeuralCacheOptions{.weight = 0.2}},
                                        AdaptOptions{.dynamic = DynamicOptions{.lr = 0.1, .steps = 5}},
                                        AdaptOptions{.counts = LearnedCountsOptions{},
                                        .cache = CacheOptions{.weight = 0.1, .length = 20}}}) {
      std::vector<double> first;
      for (const int count : {1, 2, 3}) {
        set_threads(count);
        const ErasedModel made = adapted(model, options);
        auto state = made.start();
        const std::vector<double> scored = score(made, state, tokens);
        if (count == 1) first = scored;
        CHECK(scored == first);
        if (options.dynamic) {
          const auto learned = learned_weights(made, state);
          REQUIRE(learned);
          CHECK(learned->tensors.size() == network->weights().tensors.size());
        }
      }
      set_threads(0);
    }
    CHECK_FALSE(learned_weights(model, model.start()));
  }
  const ErasedModel counts(NgramModel(trained.corpus.train.tokens,
                                      static_cast<std::int32_t>(trained.corpus.vocabulary.size()),
                                      {.order = 2}));
  CHECK_THROWS_WITH(adapted(counts, {.dynamic = DynamicOptions{}}),
                    Contains("dynamic evaluation is of networks"));
  CHECK_THROWS_WITH(adapted(counts, {.neural_cache = NeuralCacheOptions{}}),
                    Contains("a neural cache is of networks"));
  CHECK_THROWS_AS(adapted(counts, {.counts = LearnedCountsOptions{.order = 0}}), ArgumentError);
  CHECK_THROWS_AS(adapted(counts, {.counts = LearnedCountsOptions{.strength = std::nan("")}}), ArgumentError);
  CHECK_THROWS_AS((NeuralCache<RnnNetwork>(trained.network<RnnNetwork>(), {.weight = 1.5})), ArgumentError);
  CHECK_THROWS_AS((DynamicEvaluation<RnnNetwork>(trained.network<RnnNetwork>().network, {.steps = 0})),
                  ArgumentError);
}

TEST_CASE("tuning finds numbers that predict the text no worse", "[models][adapt]") {
  const Trained trained;
  const ErasedModel model(trained.network<RnnNetwork>());
  const auto tokens = trained.test();
  const AdaptOptions begin{.counts = LearnedCountsOptions{.order = 2, .strength = 0.01}};
  const AdaptOptions found = tuned(model, begin, tokens);
  const auto loss = [&](const AdaptOptions& options) {
    double total = 0;
    for (const double log_prob : score(adapted(model, options), tokens)) total -= log_prob;
    return total;
  };
  CHECK(found.counts->strength > 0.1);
  CHECK(loss(found) < loss(begin) - 1);
  AdaptOptions twice = found, half = found;
  twice.counts->strength *= 2;
  half.counts->strength /= 2;
  CHECK(loss(found) <= loss(twice));
  CHECK(loss(found) <= loss(half));
}
