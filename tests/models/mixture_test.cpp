#include <cmath>

#include "models/interpolate.hpp"
#include "models/mixture.hpp"
#include "models/neural.hpp"
#include "models/ngram/merge.hpp"
#include "models/ngram/store/writer.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"
#include "text/corpus.hpp"
#include "text/synthetic.hpp"

// Mixtures of models as models.

using namespace gradus;
using namespace gradus::models;
using Catch::Contains;
using gradus::test::Folder;
using gradus::test::read_bytes;

namespace {

const std::vector<std::string> two_names{"a", "b"};

NgramModel merged(std::span<const NgramModel> models, std::span<const double> weights) {
  NgramWriter writer;
  merge(models, weights, writer);
  return writer.model();
}

}  // namespace

TEST_CASE("n-gram models merge into one that is their mixture on listed n-grams and sums to one",
          "[models][mixture]") {
  const Corpus corpus = make_corpus(synthetic_corpus(5, 3000).text, {.split = {.train = 0.5, .valid = 0.4}});
  const auto vocab = static_cast<std::int32_t>(corpus.vocabulary.size());
  const std::int32_t end = corpus.vocabulary.line_end();
  const std::vector<NgramModel> models{
      NgramModel(corpus.train.tokens, vocab, {.order = 3, .sentence_end = end}),
      NgramModel(corpus.valid.tokens, vocab, {.order = 2, .sentence_end = end})};
  const std::vector<double> weights{0.7, 0.3};
  const NgramModel one = merged(models, weights);
  CHECK(one.description().order == 3);
  CHECK(one.counts()[1] > models[0].counts()[1]);
  const LinearInterpolation together(ModelSet({ErasedModel(models[0]), ErasedModel(models[1])}), weights);
  int checked = 0;
  for (int order = 1; order <= 3; ++order) {
    one.visit_entries(order, [&](std::span<const std::int32_t> ngram, double log_prob, double) {
      if (ngram.back() == vocab || ++checked % 17 != 0) return;
      double p = 0;
      for (std::size_t i = 0; i < 2; ++i)
        p += weights[i] *
             std::exp(models[i].log_prob(models[i].context(ngram.first(ngram.size() - 1)), ngram.back()));
      CHECK(log_prob == Approx(std::log(p)).epsilon(1e-5).margin(1e-6));
    });
  }
  CHECK(checked > 1000);
  // Each context is a distribution, the begin symbol's too.
  auto state = one.start();
  for (std::size_t i = 0; i < 60; ++i) {
    double total = 0;
    const Tensor all = one.log_probs(state);
    for (std::int64_t w = 0; w < all.size(); ++w) total += std::exp(all.at(w));
    CHECK(total == Approx(1).epsilon(1e-4));
    state = one.advance(state, corpus.test.tokens[i]);
  }
  // And near the mixture itself on a text.
  double merged_loss = 0, mixed_loss = 0;
  for (const double log_prob : score(one, corpus.test.tokens)) merged_loss -= log_prob;
  for (const double log_prob : score(together, corpus.test.tokens)) mixed_loss -= log_prob;
  CHECK(merged_loss == Approx(mixed_loss).epsilon(0.02));
  // A model merged with itself is itself.
  const std::vector<NgramModel> twice{models[0], models[0]};
  const NgramModel same = merged(twice, std::vector<double>{0.25, 0.75});
  CHECK(same.counts() == models[0].counts());
  const std::vector<double> a = score(same, corpus.test.tokens), b = score(models[0], corpus.test.tokens);
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i] == Approx(b[i]).epsilon(1e-4).margin(1e-5));
}

TEST_CASE("models that cannot be merged are refused", "[models][mixture]") {
  const std::vector<std::int32_t> tokens{1, 2, 3, 1, 2, 3, 1, 3, 2, 1, 2, 3, 3, 1};
  const NgramModel backs_off(tokens, 4, {.order = 2}), other(tokens, 5, {.order = 2}),
      adds(tokens, 4, {.order = 2, .method = NgramMethod::add_k, .k = 0.1});
  const std::vector<double> half{0.5, 0.5};
  CHECK_THROWS_AS(merged(std::vector{backs_off, other}, half), ArgumentError);
  CHECK_THROWS_AS(merged(std::vector{backs_off, adds}, half), ArgumentError);
  CHECK_THROWS_AS(merged(std::vector{backs_off, backs_off}, std::vector{0.5, 0.6}), ArgumentError);
  CHECK_THROWS_AS(merged(std::vector{backs_off, backs_off}, std::vector{1.5, -0.5}), ArgumentError);
  CHECK_THROWS_AS(merged(std::vector{backs_off}, half), ArgumentError);
}

TEST_CASE("a mixture file is the mixture of its models, and can hold mixtures", "[models][mixture]") {
  const Folder folder;
  const Corpus corpus = make_corpus(synthetic_corpus(5, 3000).text);
  const Corpus small = make_corpus(synthetic_corpus(6, 400).text);
  Rng rng(1);
  const GruNetwork network(rng, {.vocab = corpus.vocabulary.size(), .embedding = 6, .width = 6});
  const std::string net = folder.path() / "net.safetensors", counts = folder.path() / "counts.ngram",
                    few = folder.path() / "few.arpa", both = folder.path() / "both",
                    all = folder.path() / "all";
  save_network(net, network, corpus.vocabulary);
  const auto vocab = static_cast<std::int32_t>(corpus.vocabulary.size());
  save_ngram(counts, NgramModel(corpus.train.tokens, vocab, {.order = 3}), corpus.vocabulary, {});
  save_ngram(few,
             NgramModel(small.train.tokens, static_cast<std::int32_t>(small.vocabulary.size()), {.order = 2}),
             small.vocabulary);
  save_mixture(both, std::vector{net, counts}, {.weights = {0.25, 0.7, 0.05}, .cache = 30});
  const TrainedModel loaded = load_model(both);
  CHECK(loaded.kind == "mixture");
  CHECK(loaded.vocabulary.same_symbols(corpus.vocabulary));
  const ErasedModel by_hand =
      mixture({load_model(net), load_model(counts)}, two_names, {.weights = {0.25, 0.7, 0.05}, .cache = 30})
          .model;
  CHECK(score(loaded.model, corpus.test.tokens) == score(by_hand, corpus.test.tokens));
  // Of a mixture, with a model of other words.
  save_mixture(all, std::vector{both, few}, {.weights = {1, 0.5}, .log_linear = true});
  const TrainedModel nested = load_model(all);
  CHECK(nested.vocabulary.size() >= corpus.vocabulary.size());
  const Tensor log_probs = nested.model.log_probs(nested.model.start());
  double total = 0;
  for (std::int64_t w = 0; w < log_probs.size(); ++w) total += std::exp(log_probs.at(w));
  CHECK(total == Approx(1).epsilon(1e-4));
}

TEST_CASE("mixtures within mixtures are read to a depth of 16", "[models][mixture]") {
  const Folder folder;
  const std::vector<std::int32_t> tokens{1, 2, 3, 1, 2, 3, 1, 3, 2, 1, 2, 3, 3, 1};
  const std::string a = folder.path() / "a.ngram";
  save_ngram(a, NgramModel(tokens, 4, {.order = 2}), Vocabulary::build(Unit::word, "a b\n"), {});
  const std::vector<double> expected = score(load_model(a).model, tokens);
  std::string inner = a;
  for (int depth = 1; depth <= 17; ++depth) {
    INFO("depth " << depth);
    const std::string outer = folder.path() / std::to_string(depth);
    save_mixture(outer, std::vector{inner, a}, {.weights = {0.5, 0.5}});
    inner = outer;
    if (depth == 17) {
      CHECK_THROWS_WITH(load_model(outer), Contains("more than 16 mixtures within one another"));
      continue;
    }
    const std::vector<double> found = score(load_model(outer).model, tokens);
    for (std::size_t i = 0; i < found.size(); ++i) CHECK(found[i] == Approx(expected[i]).epsilon(1e-5));
  }
}

TEST_CASE("a damaged mixture is refused with the part that is damaged", "[models][mixture]") {
  const Folder folder;
  const std::vector<std::int32_t> tokens{1, 2, 3, 1, 2, 3, 1, 3, 2, 1, 2, 3, 3, 1};
  const Vocabulary vocabulary = Vocabulary::build(Unit::word, "a b\n");
  const std::string a = folder.path() / "a.ngram", b = folder.path() / "b.arpa",
                    file = folder.path() / "mixture";
  save_ngram(a, NgramModel(tokens, 4, {.order = 2}), vocabulary, {});
  save_ngram(b, NgramModel(tokens, 4, {.order = 3}), vocabulary);
  save_mixture(file, std::vector{a, b}, {.weights = {0.5, 0.5}});
  CHECK(load_model(file).kind == "mixture");
  const std::string whole = read_bytes(file);
  Rng rng(8);
  for (int i = 0; i < 300; ++i) {
    std::string bytes = whole;
    const std::size_t at = rng.below(bytes.size());
    if (i % 3 == 0) {
      bytes.resize(at);
    } else {
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << rng.below(8)));
    }
    folder.write("damaged", bytes);
    try {
      load_model(folder.path() / "damaged");
    } catch (const DataError& error) {
      CHECK_THAT(error.what(), Contains("damaged"));
    }
  }
  std::string last = whole;
  last.back() = static_cast<char>(last.back() ^ 1);
  CHECK_THROWS_WITH(parse_model(last, "it"), Contains("it, its part b.arpa") && Contains("checksum"));
  CHECK_THROWS_WITH(parse_model(whole.substr(0, whole.size() - 1), "it"),
                    Contains("its part b.arpa") && Contains("cut short"));
  CHECK_THROWS_WITH(parse_model(whole + "x", "it"), Contains("1 bytes behind the last model"));
  CHECK_THROWS_WITH(save_mixture(file, std::vector{a, std::string("none")}, {.weights = {0.5, 0.5}}),
                    Contains("none"));
  CHECK(read_bytes(file) == whole);
  save_mixture(file, std::vector{a, b}, {.weights = {0.5}});
  CHECK_THROWS_WITH(load_model(file), Contains("its weights do not fit its models"));
}
