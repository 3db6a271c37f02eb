#include <algorithm>
#include <numeric>
#include <set>

#include "models/evaluate.hpp"
#include "models/generate.hpp"
#include "models/ngram/store/compact_layout.hpp"
#include "tests/models/ngram/ngram_models.hpp"
#include "tests/support/catch.hpp"
#include "text/synthetic.hpp"
#include "text/tokenizer.hpp"

using namespace gradus;
using namespace gradus::models;
using gradus::test::all_storages;
using gradus::test::NaiveNgrams;
using gradus::test::random_ngrams;
using gradus::test::skewed;
using gradus::test::stored;

// The layouts of n-gram models, compared with a map that is queried by the definition of backing off.

namespace {

struct Asked {
  std::string name;
  NaiveNgrams ngrams;
};

std::vector<Asked> random_models() {
  std::vector<Asked> out;
  std::uint64_t seed = 0;
  const auto add = [&](const std::string& name, NgramDescription about, int length, double holes = 0) {
    about.method = name;
    out.push_back({name, random_ngrams(++seed, about, length, holes)});
  };
  for (int order = 1; order <= 5; ++order)
    add("order " + std::to_string(order), {.order = order, .vocab = 12, .sentence_end = 3, .method = {}},
        900);
  add("one word", {.order = 3, .vocab = 1, .method = {}}, 20);
  add("one text", {.order = 4, .vocab = 50, .method = {}}, 3000);
  add("order 20", {.order = 20, .vocab = 5, .sentence_end = 4, .method = {}}, 150);
  add("many continuations", {.order = 3, .vocab = 900, .sentence_end = 2, .method = {}}, 25000);
  add("holes", {.order = 4, .vocab = 40, .sentence_end = 1, .method = {}}, 3000, 0.3);
  add("add-k", {.order = 3, .vocab = 40, .sentence_end = 1, .fallback = NgramFallback::uniform, .method = {}},
      2000);
  add("add-k of order 1", {.order = 1, .vocab = 40, .fallback = NgramFallback::uniform, .method = {}}, 2000);
  add("maximum likelihood",
      {.order = 3, .vocab = 40, .sentence_end = 1, .fallback = NgramFallback::nothing, .method = {}}, 2000);
  return out;
}

/// A text with the history before each token, as the model sees it.
struct Reading {
  std::vector<std::int32_t> tokens;
  std::vector<std::vector<std::int32_t>> histories;
};

Reading random_reading(const NgramDescription& about, int length) {
  Rng rng(99);
  Reading out;
  std::vector<std::int32_t> history{about.vocab};
  for (int i = 0; i < length; ++i) {
    out.tokens.push_back(rng.below(4) == 0
                             ? static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(about.vocab)))
                             : skewed(rng, about.vocab));
    out.histories.push_back(history);
    history.push_back(out.tokens.back());
    if (out.tokens.back() == about.sentence_end) history = {about.vocab};
  }
  return out;
}

void check_close(double found, double expected) {
  if (std::isinf(expected)) {
    CHECK(found == expected);
  } else {
    REQUIRE(found == Approx(expected).epsilon(1e-12).margin(1e-12));
  }
}

NgramModel synthetic_model(int order, NgramStorage storage) {
  const std::string text = synthetic_corpus(7, 20000).text;
  const Vocabulary vocabulary = Vocabulary::build(Unit::word, text);
  const NgramModel model(encode(vocabulary, text), static_cast<std::int32_t>(vocabulary.size()),
                         {.order = order, .sentence_end = vocabulary.line_end()});
  NgramWriter writer(storage);
  model.write_to(writer);
  return writer.model();
}

std::vector<NgramModel::State> some_states(const NgramModel& model, int count) {
  Rng rng(5);
  std::vector<NgramModel::State> out{model.start(), model.context({})};
  NgramModel::State state = model.start();
  while (static_cast<int>(out.size()) < count) {
    state = model.advance(state, skewed(rng, model.vocab_size()));
    out.push_back(state);
  }
  return out;
}

}  // namespace

TEST_CASE("every layout scores as the definition of backing off says", "[ngram]") {
  for (const Asked& asked : random_models()) {
    for (const auto& [layout, storage] : all_storages()) {
      INFO(asked.name << ", " << layout);
      const NgramModel model = stored(asked.ngrams, storage);
      model.verify();
      // A quantized model is compared by its own rounded numbers.
      const NaiveNgrams naive = NaiveNgrams::of(model);
      REQUIRE(naive.ngrams.size() == asked.ngrams.ngrams.size());
      if (storage.quantize == 0) {
        bool same = true;
        for (const auto& [ngram, numbers] : asked.ngrams.ngrams) {
          const auto found = naive.ngrams.find(ngram);
          const bool inner = ngram.size() < static_cast<std::size_t>(naive.about.order);
          same = same && found != naive.ngrams.end() && found->second.log_prob == numbers.log_prob &&
                 found->second.backoff == (inner ? numbers.backoff : 0);
        }
        CHECK(same);
      }
      const Reading reading = random_reading(naive.about, 400);
      NgramModel::State state = model.start();
      std::vector<double> singly;
      for (std::size_t i = 0; i < reading.tokens.size(); ++i) {
        const std::int32_t token = reading.tokens[i];
        const double expected = naive.log_prob(reading.histories[i], token);
        check_close(model.log_prob(state, token), expected);
        const NgramModel::State rebuilt = model.context(reading.histories[i]);
        check_close(model.log_prob(rebuilt, token), expected);
        const NgramModel::State next = model.advance(state, token);
        singly.push_back(model.score(state, token).log_prob);
        REQUIRE(state == next);
        REQUIRE(std::hash<NgramState>{}(state) == std::hash<NgramState>{}(next));
      }
      const std::vector<double> scores = score(model, reading.tokens);
      REQUIRE(scores.size() + 1 == singly.size());
      CHECK(std::equal(scores.begin(), scores.end(), singly.begin() + 1));
    }
  }
}

TEST_CASE("distribution, top k and log p agree in every layout", "[ngram]") {
  for (const Asked& asked : random_models()) {
    for (const auto& [layout, storage] : all_storages()) {
      const NgramModel model = stored(asked.ngrams, storage);
      for (const NgramModel::State& state : some_states(model, 40)) {
        INFO(asked.name << ", " << layout << ", a context of " << state.length);
        const Tensor distribution = model.log_probs(state);
        std::vector<Candidate> sorted;
        bool same = true;
        for (std::int32_t token = 0; token < model.vocab_size(); ++token) {
          const float log_prob = distribution.values<float>()[static_cast<std::size_t>(token)];
          same = same && log_prob == static_cast<float>(model.log_prob(state, token));
          sorted.push_back({token, log_prob});
        }
        CHECK(same);
        std::sort(sorted.begin(), sorted.end());
        for (const std::int64_t k :
             {std::int64_t{0}, std::int64_t{1}, std::int64_t{10}, std::int64_t{5000}}) {
          const std::vector<Candidate> top = model.top_k(state, k);
          REQUIRE(top.size() == std::min(static_cast<std::size_t>(k), sorted.size()));
          CHECK(std::equal(top.begin(), top.end(), sorted.begin(), [](const auto& a, const auto& b) {
            return a.token == b.token && a.log_prob == b.log_prob;
          }));
        }
      }
    }
  }
}

TEST_CASE("a state is the shortest context that matters", "[ngram]") {
  for (const auto& [layout, storage] : all_storages()) {
    INFO(layout);
    const NaiveNgrams naive =
        random_ngrams(4, {.order = 4, .vocab = 30, .sentence_end = 1, .method = "random"}, 3000);
    const NgramModel model = stored(naive, storage);
    Rng rng(8);
    for (int i = 0; i < 300; ++i) {
      std::vector<std::int32_t> history;
      for (int n = 0; n < 8; ++n) history.push_back(2 + skewed(rng, 28));
      const std::span<const std::int32_t> all(history);
      // Tokens before the last three do not matter.
      const NgramModel::State state = model.context(all);
      CHECK(state == model.context(all.last(3)));
      // Nor does a token without n-grams that continue it.
      const std::vector<std::int32_t> longest(history.end() - state.length, history.end());
      CHECK(state == model.context(longest));
      if (state.length > 0) {
        CHECK((naive.has_children(longest) || naive.ngrams.at(longest).backoff != 0));
        CHECK_FALSE(state == model.context(std::span(longest).subspan(1)));
      }
      CHECK(model.advance(state, 1) == model.start());
    }
  }
}

TEST_CASE("the probabilities of a context sum to one", "[ngram]") {
  for (const auto& [layout, storage] : all_storages()) {
    if (storage.quantize > 0) continue;
    for (int order = 1; order <= 5; ++order) {
      const NgramModel model = synthetic_model(order, storage);
      for (const NgramModel::State& state : some_states(model, 60)) {
        INFO(layout << " of order " << order);
        const Tensor log_probs = model.log_probs(state);
        double sum = 0;
        for (const float log_prob : log_probs.values<float>()) sum += std::exp(static_cast<double>(log_prob));
        CHECK(std::abs(sum - 1) < 1e-6);
      }
    }
  }
}

TEST_CASE("tokens are drawn as often as the distribution says", "[ngram]") {
  std::vector<Asked> models = random_models();
  models.push_back({"Kneser-Ney", NaiveNgrams::of(synthetic_model(3, {}))});
  for (const Asked& asked : models) {
    for (const auto& [layout, storage] : all_storages()) {
      const NgramModel model = stored(asked.ngrams, storage);
      Rng rng(17);
      for (const NgramModel::State& state : some_states(model, 8)) {
        INFO(asked.name << ", " << layout << ", a context of " << state.length);
        const Tensor distribution = model.log_probs(state);
        std::vector<double> probs;
        for (const float log_prob : distribution.values<float>())
          probs.push_back(std::exp(static_cast<double>(log_prob)));
        const double total = std::accumulate(probs.begin(), probs.end(), 0.0);
        if (total == 0) {
          CHECK_THROWS_AS(model.sample(state, rng), NumericError);
          continue;
        }
        constexpr int draws = 4000;
        std::vector<int> drawn(probs.size());
        for (int i = 0; i < draws; ++i) ++drawn[static_cast<std::size_t>(model.sample(state, rng))];
        // Pearson's statistic, with the rare tokens as one. Its mean is the number of degrees of freedom, its
        // variance twice that.
        double chi2 = 0, rare_expected = 0, rare_drawn = 0;
        int degrees = -1;
        const auto cell = [&](double expected, double found) {
          chi2 += (found - expected) * (found - expected) / expected;
          ++degrees;
        };
        for (std::size_t i = 0; i < probs.size(); ++i) {
          const double expected = probs[i] / total * draws;
          if (probs[i] == 0) CHECK(drawn[i] == 0);
          if (expected >= 5) {
            cell(expected, drawn[i]);
          } else {
            rare_expected += expected;
            rare_drawn += drawn[i];
          }
        }
        if (rare_expected >= 5) cell(rare_expected, rare_drawn);
        if (degrees > 0) CHECK(chi2 < degrees + 5 * std::sqrt(2.0 * degrees));
      }
    }
  }
}

TEST_CASE("generation draws from the n-grams, and never what is banned", "[ngram]") {
  for (const auto& [layout, storage] : all_storages()) {
    INFO(layout);
    const NgramModel model = synthetic_model(3, storage);
    const std::int32_t likeliest = model.top_k(model.start(), 1).front().token;
    const GenerateOptions how{.max_tokens = 2000, .seed = 5, .banned = {likeliest}};
    const std::vector<std::int32_t> prompt{model.description().sentence_end};
    const std::vector<std::int32_t> text = generate(model, prompt, how);
    CHECK(text.size() == 2000);
    CHECK(std::find(text.begin(), text.end(), likeliest) == text.end());
    CHECK(generate(model, prompt, how) == text);
    // All but one are banned: repeated draws would not end, so the whole distribution is read.
    GenerateOptions one{.max_tokens = 5};
    for (std::int32_t token = 0; token < model.vocab_size(); ++token) {
      if (token != 7) one.banned.push_back(token);
    }
    CHECK(generate(model, prompt, one) == std::vector<std::int32_t>(5, 7));
    CHECK(generate(model, prompt, {.max_tokens = 0}).empty());
  }
}

TEST_CASE("a quantized model says nearly what the exact one says, in fewer bytes", "[ngram]") {
  const std::string text = synthetic_corpus(7, 20000).text, other = synthetic_corpus(8, 4000).text;
  const Vocabulary vocabulary = Vocabulary::build(Unit::word, text);
  const NgramModel exact(encode(vocabulary, text), static_cast<std::int32_t>(vocabulary.size()),
                         {.order = 4, .sentence_end = vocabulary.line_end()});
  const std::vector<std::int32_t> tokens = encode(vocabulary, other);
  const double expected = evaluate(exact, tokens, 1).perplexity();
  std::uint64_t bytes = 0;
  for (const auto& [layout, storage] : all_storages()) {
    NgramWriter writer(storage);
    exact.write_to(writer);
    const NgramModel model = writer.model();
    INFO(layout << ", " << model.bytes() << " bytes");
    const double found = evaluate(model, tokens, 1).perplexity();
    if (storage.quantize == 0) CHECK(found == Approx(expected).epsilon(1e-12));
    if (storage.quantize == 8) CHECK(found == Approx(expected).epsilon(0.005));
    if (bytes > 0) CHECK(model.bytes() < bytes);
    bytes = model.bytes();
    for (int order = 2; order <= 4; ++order) {
      std::set<double> log_probs, backoffs;
      model.visit_entries(order, [&](std::span<const std::int32_t>, double log_prob, double backoff) {
        log_probs.insert(log_prob);
        backoffs.insert(backoff);
      });
      if (storage.quantize > 0) {
        CHECK(log_probs.size() <= std::size_t{1} << storage.quantize);
        CHECK(backoffs.size() <= std::size_t{1} << storage.quantize);
      }
    }
  }
}

TEST_CASE("n-grams that do not make a model are refused", "[ngram]") {
  const auto begin = [](NgramWriter& writer, NgramDescription about) {
    about.method = "test";
    writer.describe(about);
  };
  for (const NgramDescription& about :
       {NgramDescription{.order = 0, .vocab = 3, .method = {}},
        NgramDescription{.order = 21, .vocab = 3, .method = {}},
        NgramDescription{.order = 2, .vocab = 0, .method = {}},
        NgramDescription{.order = 2, .vocab = 3, .sentence_end = 3, .method = {}}}) {
    NgramWriter writer;
    CHECK_THROWS_AS(begin(writer, about), ArgumentError);
  }
  CHECK_THROWS_AS(NgramWriter({NgramLayout::fast, 8}), ArgumentError);
  CHECK_THROWS_AS(NgramWriter({NgramLayout::compact, 1}), ArgumentError);
  CHECK_THROWS_AS(NgramWriter({NgramLayout::compact, 17}), ArgumentError);
  const auto with_unigrams = [&](auto&& then, const char* what) {
    NgramWriter writer;
    begin(writer, {.order = 2, .vocab = 2, .method = {}});
    CHECK_THROWS_AS(writer.begin_order(2, 1), ArgumentError);
    CHECK_THROWS_AS(writer.begin_order(1, 2), ArgumentError);
    writer.begin_order(1, 3);
    for (const std::int32_t token : {0, 1, 2}) writer.add(std::vector{token}, -1, -0.5);
    CHECK_THROWS_WITH(then(writer), Catch::Contains(what));
  };
  const auto add = [](NgramWriter& writer, std::vector<std::int32_t> ngram, float log_prob = -1,
                      float backoff = 0) { writer.add(ngram, log_prob, backoff); };
  with_unigrams([&](NgramWriter& w) { add(w, {0}); }, "4th of 3");
  with_unigrams([&](NgramWriter& w) { w.finish(); }, "ends after order 1");
  const auto with_bigrams = [&](auto&& then, const char* what) {
    with_unigrams(
        [&](NgramWriter& writer) {
          writer.begin_order(2, 3);
          add(writer, {1, 0});
          then(writer);
        },
        what);
  };
  with_bigrams([&](NgramWriter& w) { add(w, {1, 0}); }, "twice");
  with_bigrams([&](NgramWriter& w) { add(w, {0, 1}); }, "out of order");
  with_bigrams([&](NgramWriter& w) { add(w, {1, 2}); }, "tokens are 0..1");
  with_bigrams([&](NgramWriter& w) { add(w, {1, -7}); }, "out of order");
  with_bigrams([&](NgramWriter& w) { add(w, {1, 1, 1}); }, "3 tokens");
  with_bigrams([&](NgramWriter& w) { add(w, {1, 1}, 0.5); }, "log p 0.5");
  with_bigrams([&](NgramWriter& w) { add(w, {1, 1}, std::nanf("")); }, "log p nan");
  with_bigrams([&](NgramWriter& w) { add(w, {1, 1}, -1, INFINITY); }, "backoff inf");
  with_bigrams([&](NgramWriter& w) { w.finish(); }, "1 n-grams of order 2, where 3");
  NgramWriter writer;
  begin(writer, {.order = 3, .vocab = 3, .method = {}});
  writer.begin_order(1, 4);
  for (const std::int32_t token : {0, 1, 2, 3}) add(writer, {token});
  writer.begin_order(2, 1);
  add(writer, {1, 2});
  writer.begin_order(3, 1);
  CHECK_THROWS_WITH(add(writer, {1, 1, 1}), Catch::Contains("whose context"));

  const NgramModel model = stored(random_ngrams(1, {.order = 3, .vocab = 9, .method = {}}, 100), {});
  CHECK_THROWS_AS(model.log_prob(model.start(), 10), ArgumentError);
  CHECK_THROWS_AS(model.log_prob(model.start(), -1), ArgumentError);
  CHECK_THROWS_AS(model.top_k(model.start(), -1), ArgumentError);
  NgramState foreign;
  foreign.length = 2;
  foreign.node[0] = foreign.node[1] = 1'000'000;
  CHECK_THROWS_WITH(model.log_prob(foreign, 0), Catch::Contains("another model"));
  CHECK_THROWS_WITH(model.log_probs(foreign), Catch::Contains("another model"));
}

TEST_CASE("continuations whose keys are close together are found", "[ngram]") {
  // The place of a key is guessed from its size, which is far off here.
  constexpr std::int32_t vocab = 1 << 12;
  const ngram::TokenKeys keys(12);
  std::vector<std::uint32_t> listed;
  const auto list = [&](std::uint32_t begin, std::uint32_t end) {
    for (std::uint32_t key = begin; key < end; ++key) listed.push_back(keys.token(key));
  };
  list(40, 340);
  list(2000, 2001);
  list(3700, 4090);
  std::sort(listed.begin(), listed.end());
  NgramWriter writer({NgramLayout::compact, 0});
  writer.describe({.order = 2, .vocab = vocab, .method = "made up"});
  writer.begin_order(1, vocab + 1);
  for (std::int32_t i = 0; i <= vocab; ++i) writer.add(std::vector{i}, -9, -0.5f);
  writer.begin_order(2, static_cast<std::int64_t>(listed.size()));
  for (const std::uint32_t token : listed)
    writer.add(std::vector{7, static_cast<std::int32_t>(token)}, -1 - static_cast<float>(token) / 64, 0);
  writer.finish();
  const NgramModel model = writer.model();
  const NgramModel::State state = model.context({7});
  for (std::int32_t token = 0; token < vocab; ++token) {
    const bool there = std::binary_search(listed.begin(), listed.end(), static_cast<std::uint32_t>(token));
    CHECK(model.log_prob(state, token) == (there ? -1 - token / 64.0 : -9.5));
  }
  CHECK_NOTHROW(model.verify());
}

TEST_CASE("each bit of a word is found by its number", "[ngram]") {
  Rng rng(5);
  for (int i = 0; i < 300; ++i) {
    std::uint64_t word = rng.next_u64() & rng.next_u64();
    if (i % 3 == 0) word |= rng.next_u64();
    if (i == 0) word = ~std::uint64_t{0};
    int k = 0;
    for (int bit = 0; bit < 64; ++bit) {
      if ((word >> bit & 1) == 0) continue;
      CHECK(ngram::select_bit(word, ngram::sums_of_bits(word), k) == bit);
      ++k;
    }
    CHECK(static_cast<int>(ngram::sums_of_bits(word) >> 56) == k);
  }
}

TEST_CASE("zero and minus infinity are represented exactly, however rare, in any number of bits", "[ngram]") {
  using gradus::models::ngram::Codebook;
  // More numbers than are sorted at once, so that a sample is used, with one zero and one infinity.
  constexpr std::uint64_t count = (std::uint64_t{1} << 23) + 5;
  const auto number = [](std::uint64_t i) {
    if (i == 7'000'001) return 0.0f;
    if (i == 4'999'999) return -INFINITY;
    return -1 - static_cast<float>(i % 1009);
  };
  for (const int bits : {2, 8}) {
    const Codebook codes = ngram::quantized_codebook(count, number, bits);
    CHECK(codes.floats.size() <= std::size_t{1} << bits);
    CHECK(codes.floats[codes.code(0)] == 0);
    CHECK(codes.floats[codes.code(-INFINITY)] == -INFINITY);
    CHECK(std::isfinite(codes.floats[codes.code(-1e9f)]));
  }
}

TEST_CASE("the floats of a quantized model are the means of the numbers they stand for", "[ngram]") {
  constexpr std::uint64_t count = std::uint64_t{1} << 22;
  const auto number = [](std::uint64_t i) { return -5 - static_cast<float>(i % 16); };
  std::vector<float> expected;
  for (int i = 15; i >= 0; --i) expected.push_back(-5 - static_cast<float>(i));
  CHECK(ngram::quantized_codebook(count - 1, number, 4).floats == expected);
  // With numbers as large as possible.
  const auto huge = [](std::uint64_t i) { return i % 2 == 0 ? -3e38f : 3e38f; };
  CHECK(ngram::quantized_codebook(100, huge, 4).floats == std::vector<float>{-3e38f, 3e38f});
}
