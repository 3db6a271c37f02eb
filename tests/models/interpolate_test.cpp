#include "models/interpolate.hpp"

#include <cmath>
#include <limits>

#include "autograd/gradcheck.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "models/cache.hpp"
#include "models/checkpoint.hpp"
#include "models/train.hpp"
#include "optim/rules.hpp"
#include "tests/models/language_model_battery.hpp"
#include "tests/support/catch.hpp"
#include "text/synthetic.hpp"
#include "text/tokenizer.hpp"

using namespace gradus;
using namespace gradus::models;
using Catch::Contains;

namespace {

constexpr double impossible = -std::numeric_limits<double>::infinity();

/// A text with an n-gram model and a small network of its first part.
struct Example {
  Vocabulary vocabulary;
  std::vector<std::int32_t> train, held_out, test;

  Example() {
    const std::string text = synthetic_corpus(3, 14'000).text;
    vocabulary = Vocabulary::build(Unit::word, text);
    const std::vector<std::int32_t> all = encode(vocabulary, text);
    train.assign(all.begin(), all.begin() + 10'000);
    held_out.assign(all.begin() + 10'000, all.begin() + 12'000);
    test.assign(all.begin() + 12'000, all.end());
  }
  std::int32_t vocab() const { return static_cast<std::int32_t>(vocabulary.size()); }
  NgramModel ngram(int order = 3) const {
    return {train, vocab(), {.order = order, .sentence_end = vocabulary.line_end()}};
  }
  RnnModel rnn() const {
    Rng rng(2);
    RnnNetwork network(rng, {.vocab = vocab(), .embedding = 32, .width = 48});
    models::train(network, train, {.batch = 8, .steps = 20, .epochs = 6, .lr = 8e-3});
    return {std::move(network)};
  }
};

double perplexity(const auto& model, const std::vector<std::int32_t>& text) {
  return evaluate(model, text, 1).perplexity();
}

}  // namespace

TEST_CASE("an interpolation of an n-gram model and a network beats both", "[interpolate]") {
  const Example example;
  const NgramModel ngram = example.ngram();
  const RnnModel rnn = example.rnn();
  const ModelSet models({ErasedModel(ngram), ErasedModel(rnn)});
  const EmFit fit = fit_weights(models.score(example.held_out));
  INFO("weights " << fit.weights[0] << " " << fit.weights[1]);
  CHECK(fit.weights[0] > 0.05);
  CHECK(fit.weights[1] > 0.05);
  CHECK(fit.weights[0] + fit.weights[1] == Approx(1));
  const double alone = std::min(perplexity(ngram, example.test), perplexity(rnn, example.test));
  CHECK(perplexity(LinearInterpolation(models, fit.weights), example.test) < 0.98 * alone);

  // No other weights do better on the text they were fitted to.
  const double best = perplexity(LinearInterpolation(models, fit.weights), example.held_out);
  CHECK(std::log(best) == Approx(-fit.log_likelihood.back()).epsilon(1e-6));
  for (double weight = 0.05; weight < 1; weight += 0.1)
    CHECK(perplexity(LinearInterpolation(models, {weight, 1 - weight}), example.held_out) >=
          best * (1 - 1e-7));
}

TEST_CASE("interpolated models are language models", "[interpolate]") {
  const Example example;
  const ModelSet models({ErasedModel(example.ngram(1)), ErasedModel(example.ngram(3)),
                         ErasedModel(CacheModel(example.vocab(), 50))});
  const std::vector<std::int32_t> text(example.test.begin(), example.test.begin() + 80);
  test::language_model_battery("erased", ErasedModel(example.ngram(3)), text, 1e-5);
  test::language_model_battery("linear", LinearInterpolation(models, {0.2, 0.7, 0.1}), text, 1e-5);
  test::language_model_battery("log-linear", LogLinearInterpolation(models, {0.3, 0.8, 0.05}), text, 1e-9);
  test::language_model_battery("cache and unigrams",
                               LinearInterpolation(ModelSet({ErasedModel(CacheModel(example.vocab(), 20)),
                                                             ErasedModel(example.ngram(1))}),
                                                   {0.9, 0.1}),
                               text, 1e-5);

  // A linear interpolation is the weighted mean of the probabilities.
  const auto each = models.score(text);
  const std::vector<double> mixed = score(LinearInterpolation(models, {0.2, 0.7, 0.1}), text);
  for (std::size_t i = 0; i < mixed.size(); ++i) {
    CHECK(std::exp(mixed[i]) ==
          Approx(0.2 * std::exp(each[0][i]) + 0.7 * std::exp(each[1][i]) + 0.1 * std::exp(each[2][i])));
  }
}

TEST_CASE("expectation maximization finds known weights, and its likelihood never falls", "[interpolate]") {
  // Two models that are certain of different tokens: the weights are the tokens' shares.
  const std::vector<std::vector<double>> certain{{0, 0, 0, impossible},
                                                 {impossible, impossible, impossible, 0}};
  const EmFit shares = fit_weights(certain);
  CHECK(shares.weights[0] == Approx(0.75));
  CHECK(shares.log_likelihood.back() == Approx(0.75 * std::log(0.75) + 0.25 * std::log(0.25)));

  Rng rng(7);
  for (int trial = 0; trial < 20; ++trial) {
    std::vector<std::vector<double>> log_probs(2 + rng.below(3));
    for (auto& model : log_probs) {
      for (int t = 0; t < 50; ++t)
        model.push_back(std::log(1e-3 + static_cast<double>(rng.below(1000)) / 1001));
    }
    const EmFit fit = fit_weights(log_probs, {.iterations = 40, .tolerance = 0});
    for (std::size_t i = 1; i < fit.log_likelihood.size(); ++i)
      CHECK(fit.log_likelihood[i] >= fit.log_likelihood[i - 1] - 1e-14);
    double sum = 0;
    for (const double weight : fit.weights) sum += weight;
    CHECK(sum == Approx(1));
  }
}

TEST_CASE("weights by gradient are those of expectation maximization", "[interpolate]") {
  Rng rng(9);
  constexpr std::int64_t tokens = 60, count = 3;
  std::vector<std::vector<double>> log_probs(count);
  Tensor all = zeros({tokens, count}, Dtype::f64);
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t t = 0; t < tokens; ++t) {
      log_probs[static_cast<std::size_t>(i)].push_back(
          std::log(1e-2 + static_cast<double>(rng.below(1000)) / 1001));
      all.mutable_data<double>()[t * count + i] = log_probs[static_cast<std::size_t>(i)].back();
    }
  }
  const EmFit fit = fit_weights(log_probs, {.iterations = 10'000, .tolerance = 1e-15});
  MixtureWeights model(count, Dtype::f64);
  optim::Adam optimizer({.lr = 0.05});
  for (int step = 0; step < 2000; ++step) {
    Tape tape;
    const Variable loss = -mean(model(Variable(all)));
    optimizer.step(model, tape.backward(loss));
  }
  for (std::size_t i = 0; i < count; ++i)
    CHECK(model.weights()[i] == Approx(fit.weights[i]).epsilon(0).margin(1e-4));
  CHECK(mean(model(Variable(all))).item() == Approx(fit.log_likelihood.back()).epsilon(1e-8));
}

TEST_CASE("log-linear weights are fitted by gradient", "[interpolate]") {
  const Example example;
  const ModelSet models({ErasedModel(example.ngram(1)), ErasedModel(example.ngram(3))});
  const std::span<const std::int32_t> held_out(example.held_out);
  const LogLinearFit fit = fit_log_linear(models, held_out, {.epochs = 6});
  CHECK(fit.log_likelihood.back() > fit.log_likelihood.front());
  const auto likelihood = [&](const std::vector<double>& weights) {
    return -evaluate(LogLinearInterpolation(models, weights), held_out, 1).nats_per_token();
  };
  const double fitted = likelihood(fit.weights);
  CHECK(fitted > likelihood({0.5, 0.5}));
  CHECK(fitted > likelihood({0, 1}) - 1e-6);
  for (const double change : {-0.1, 0.1}) {
    CHECK(fitted > likelihood({fit.weights[0] + change, fit.weights[1]}));
    CHECK(fitted > likelihood({fit.weights[0], fit.weights[1] + change}));
  }
}

TEST_CASE("a cache counts the last tokens", "[interpolate]") {
  const CacheModel cache(5, 3);
  const std::vector<std::int32_t> text{1, 2, 1, 1, 3, 1, 4};
  const std::vector<double> scores = score(cache, text);
  const double expected[] = {0, 1.0 / 2, 2.0 / 3, 0, 2.0 / 3, 0};
  for (std::size_t i = 0; i < 6; ++i) CHECK(std::exp(scores[i]) == Approx(expected[i]));
  CacheModel::State state = cache.start();
  for (std::size_t i = 0; i < 5; ++i) state = cache.advance(state, text[i]);
  CHECK(state.recent == std::vector<std::int32_t>{1, 1, 3});
  CHECK(state == cache.advance({{2, 1, 1}}, 3));
  // Scoring leaves the same state, and a state may be of more tokens than a score is of.
  CacheModel::State scored = cache.start();
  score(cache, scored, std::span(text).first(5));
  CHECK(scored == state);
  CHECK(std::exp(score(cache, scored, std::span(text).subspan(5, 1)).front()) == Approx(2.0 / 3));
  CHECK(scored.recent == std::vector<std::int32_t>{1, 3, 1});
  CHECK_THROWS_AS(CacheModel(0), ArgumentError);
  CHECK_THROWS_AS(CacheModel(5, 0), ArgumentError);
  CHECK_THROWS_WITH(cache.advance({}, 5), Contains("token 5 is not in 0..4"));
}

TEST_CASE("a cache adds to an n-gram model of a text that repeats its words", "[interpolate]") {
  // Stories of words of their own.
  std::vector<std::int32_t> text;
  Rng rng(4);
  for (int story = 0; story < 60; ++story) {
    for (int i = 0; i < 40; ++i) text.push_back((story * 7) % 50 + static_cast<std::int32_t>(rng.below(8)));
  }
  const std::span<const std::int32_t> all(text);
  const NgramModel ngram(all.first(1600), 60, {.order = 1});
  const ModelSet models({ErasedModel(ngram), ErasedModel(CacheModel(60, 30))});
  const EmFit fit = fit_weights(models.score(all.subspan(1600)));
  CHECK(fit.weights[1] > 0.3);
  CHECK(evaluate(LinearInterpolation(models, fit.weights), all.subspan(1600), 1).perplexity() <
        0.7 * evaluate(ngram, all.subspan(1600), 1).perplexity());
}

TEST_CASE("an interpolation refuses what does not fit", "[interpolate]") {
  const ErasedModel five(CacheModel(5)), six(CacheModel(6));
  CHECK_THROWS_WITH(ModelSet({five, six}), Contains("5 and 6 words") && Contains("same vocabulary"));
  CHECK_THROWS_AS(ModelSet({}), ArgumentError);
  const ModelSet two({five, five});
  CHECK_THROWS_WITH(LinearInterpolation(two, {1}), Contains("2 models with 1 weights"));
  CHECK_THROWS_WITH(LinearInterpolation(two, {0.5, 0.6}), Contains("add up to 1.1"));
  CHECK_THROWS_WITH(LinearInterpolation(two, {1.5, -0.5}), Contains("negative"));
  CHECK_THROWS_AS(LogLinearInterpolation(two, {1, std::nan("")}), ArgumentError);
  CHECK_THROWS_AS(fit_weights({}), ArgumentError);
  const std::vector<std::vector<double>> uneven{{-1, -1}, {-1}}, nan{{std::nan("")}}, none{{0, impossible}};
  CHECK_THROWS_AS(fit_weights(uneven), ArgumentError);
  CHECK_THROWS_AS(fit_weights(nan), ArgumentError);
  CHECK_THROWS_WITH(fit_weights(none), Contains("token 2 of the held-out text is impossible"));
  const std::vector<double> halves{0.5, 0.5};
  CHECK_THROWS_WITH(mix_log_probs(uneven, halves),
                    Contains("an interpolation of 2 tokens by one model and 1 by another"));
  CHECK_THROWS_WITH(mix_log_probs(nan, halves), Contains("1 models with 2 weights"));
  CHECK_THROWS_WITH(mix_log_probs({}, {}), Contains("no models"));
  const std::vector<std::int32_t> tokens{0, 1, 2};
  CHECK_THROWS_WITH(fit_log_linear(two, std::span(tokens).first(1), {}),
                    Contains("a text of 1 tokens: at least 2 are needed"));
  CHECK_THROWS_WITH(fit_log_linear(two, tokens, {.epochs = 0}), Contains("in 0 epochs with"));
  CHECK_THROWS_WITH(fit_log_linear(two, tokens, {.epochs = 2, .chunk = 0}),
                    Contains("in 2 epochs with 0 tokens per update: both must be at least 1"));

  const Vocabulary a = Vocabulary::build(Unit::word, "x y z\n"), b = Vocabulary::build(Unit::word, "x z y\n"),
                   c = Vocabulary::build(Unit::character, "x y z\n"),
                   d = Vocabulary::build(Unit::word, "x\n");
  CHECK_NOTHROW(require_same_vocabulary(a, "a", Vocabulary::build(Unit::word, "x y z\n"), "b"));
  CHECK_THROWS_WITH(require_same_vocabulary(a, "a", b, "b"), Contains("symbol 2 is 'y' and 'z'"));
  CHECK_THROWS_WITH(require_same_vocabulary(a, "a", c, "c"), Contains("words and characters"));
  CHECK_THROWS_WITH(require_same_vocabulary(a, "a", d, "d"), Contains("5 and 3 symbols"));
}
