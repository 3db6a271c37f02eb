#include <array>
#include <cmath>
#include <random>
#include <vector>

#include "models/ngram/estimate/estimate.hpp"
#include "models/ngram/ngram.hpp"
#include "models/ngram/store/writer.hpp"
#include "tests/models/ngram/ngram_collector.hpp"
#include "tests/support/catch.hpp"

using namespace gradus;
using namespace gradus::models;
using gradus::test::methods;
using Method = NgramMethod;
using Ids = std::vector<std::int32_t>;

namespace {

/// A text of ids from 1 on; 0 never occurs.
struct Text {
  Ids tokens;
  std::int32_t vocab;
};

Ids random_text(std::size_t count, std::int32_t vocab, unsigned seed) {
  std::mt19937 random(seed);
  Ids out;
  for (std::size_t i = 0; i < count; ++i) {
    const auto draw = static_cast<std::int32_t>(random() % static_cast<unsigned>((vocab - 1) * (vocab - 1)));
    out.push_back(1 + static_cast<std::int32_t>(std::sqrt(draw)));
  }
  return out;
}

std::vector<Text> texts() {
  Ids all_equal, pairs;
  for (int times = 0; times < 9; ++times) {
    for (std::int32_t id = 1; id < 5; ++id) all_equal.push_back(id);
  }
  for (std::int32_t id = 1; id < 8; ++id) pairs.insert(pairs.end(), {id, id});
  return {{{1}, 2},
          {{1}, 4},
          {{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, 2},
          {{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, 3},
          {{1, 2}, 3},
          {{1, 2, 3, 1, 2, 4, 1, 3, 4}, 6},
          {{1, 2, 3, 4, 5, 6, 7}, 8},
          {{2, 2, 2, 2, 1, 1, 1, 1}, 3},
          {all_equal, 5},
          {all_equal, 6},
          {pairs, 9},
          {random_text(300, 9, 1), 9},
          {random_text(300, 9, 2), 10},
          {random_text(2000, 5, 3), 5}};
}

/// Every context of up to order - 1 tokens of the text, and some that do not occur: with words in another
/// order and with the word that never occurs.
std::vector<NgramModel::State> states(const NgramModel& model, const Text& text, int order) {
  std::vector<NgramModel::State> out{model.start(), model.context({})};
  NgramModel::State running = model.start();
  for (std::size_t i = 0; i < std::min<std::size_t>(text.tokens.size(), 60); ++i) {
    running = model.advance(running, text.tokens[i]);
    out.push_back(running);
    for (std::size_t length = 1; length < static_cast<std::size_t>(order) && length <= i + 1; ++length)
      out.push_back(model.context(std::span(text.tokens).subspan(i + 1 - length, length)));
  }
  const std::int32_t last = text.vocab - 1;
  for (const Ids& odd :
       {Ids{0}, Ids{last, 0}, Ids{0, last}, Ids{last, last, last}, Ids{1, 0, 1}, Ids{last, 1}})
    out.push_back(model.context(odd));
  return out;
}

/// How far the probabilities after a state are from summing to one. Also checks each against log_prob.
double off_by(const NgramModel& model, const NgramModel::State& state) {
  const Tensor distribution = model.log_probs(state);
  double sum = 0, different = 0;
  for (std::int32_t token = 0; token < model.vocab_size(); ++token) {
    const double p = std::exp(static_cast<double>(distribution.data<float>()[token]));
    const double alone = std::exp(model.log_prob(state, token));
    sum += alone;
    different = std::max(different, std::abs(p - alone));
  }
  CHECK(different < 1e-6);
  return std::abs(sum - 1);
}

void require_sums(const NgramModel& model, const Text& text, const NgramOptions& options) {
  Rng rng(1);
  for (const NgramModel::State& state : states(model, text, options.order)) {
    const double wrong = off_by(model, state);
    if (options.method != Method::stupid_backoff) CHECK(wrong < 1e-6);
    if (options.impossible < 0) continue;
    CHECK(model.log_prob(state, 0) == -INFINITY);
    const std::vector<Candidate> ranked = model.top_k(state, text.vocab);
    REQUIRE(std::ssize(ranked) == text.vocab);
    CHECK(ranked.back().log_prob == -INFINITY);
    for (int draw = 0; draw < 3; ++draw) CHECK(model.sample(state, rng) != 0);
  }
}

}  // namespace

TEST_CASE("the probabilities after any context sum to one, the vocabulary open or closed",
          "[ngram][estimate]") {
  const std::vector<Text> all = texts();
  for (const Method method : methods) {
    for (const std::int32_t impossible : {-1, 0}) {
      for (std::size_t t = 0; t < all.size(); ++t) {
        const Text& text = all[t];
        for (int order = 1; order <= 8; ++order) {
          for (const std::int32_t end : {-1, 1}) {
            const NgramOptions options{
                .order = order, .method = method, .k = 0.3, .impossible = impossible, .sentence_end = end};
            INFO(name_of(method) << ", order " << order << ", text " << t << ", sentence end " << end
                                 << (impossible < 0 ? ", open" : ", closed"));
            require_sums(NgramModel(text.tokens, text.vocab, options), text, options);
          }
        }
      }
    }
  }
}

TEST_CASE("the probabilities of models without rare n-grams sum to one", "[ngram][estimate]") {
  const std::vector<Text> all = texts();
  for (const Method method : methods) {
    for (const std::int32_t impossible : {-1, 0}) {
      for (std::size_t t = 0; t < all.size(); ++t) {
        for (const std::vector<std::int64_t>& prune :
             {std::vector<std::int64_t>{0, 1}, {0, 0, 1}, {0, 1, 2, 5}, {0, 1000}}) {
          const NgramOptions options{.order = 4, .method = method, .k = 0.3, .impossible = impossible};
          INFO(name_of(method) << ", text " << t << ", pruned by " << prune[1]
                               << (impossible < 0 ? ", open" : ", closed"));
          ngram::IdSource source(all[t].tokens, all[t].vocab, 1);
          NgramWriter writer;
          const NgramSummary whole = ngram::estimate(source, options, {.prune = prune}, writer);
          require_sums(writer.model(), all[t], options);
          // Discounts are computed from all counts.
          const NgramModel unpruned(
              all[t].tokens, all[t].vocab,
              {.order = 4, .method = method, .k = 0.3, .impossible = impossible, .sentence_end = 1});
          for (std::size_t n = 0; n < unpruned.discounts().size(); ++n)
            CHECK(whole.discounts[n] == unpruned.discounts()[n]);
        }
      }
    }
  }
}

TEST_CASE("add-k with a closed vocabulary gives all probability to the possible words", "[ngram][estimate]") {
  const Ids tokens{1, 2, 1, 3};  // of 0 to 4, 0 being impossible: V = 4
  const NgramModel model(tokens, 5, {.order = 2, .method = Method::add_k, .k = 0.5, .impossible = 0});
  CHECK(std::exp(model.log_prob(model.context({1}), 2)) == Approx(1.5 / 4));
  CHECK(std::exp(model.log_prob(model.context({1}), 4)) == Approx(0.5 / 4));
  CHECK(std::exp(model.log_prob(model.context({}), 1)) == Approx(2.5 / 6));
  CHECK(std::exp(model.log_prob(model.context({4}), 4)) == Approx(0.25));  // never seen
  CHECK(std::exp(model.log_prob(model.context({0}), 4)) == Approx(0.25));
  CHECK(model.log_prob(model.context({4}), 0) == -INFINITY);
}

TEST_CASE("a text of a closed vocabulary may not hold the unknown word", "[ngram][estimate]") {
  for (const Method method : methods)
    CHECK_THROWS_WITH(NgramModel(Ids{1, 2, 3}, 4, {.order = 2, .method = method, .impossible = 3}),
                      Catch::Contains("the unknown word stands 1 times"));
}

TEST_CASE("Katz takes fixed discounts where those of Good-Turing are not valid", "[ngram][estimate]") {
  // 4 words once, 3 twice, 3 three times: with a cutoff of 2, m = 3 n3 / n1 = 9/4, and the quotients of
  // negative numbers for d(1) and d(2) are both 3/5, as if they were discounts.
  Ids tokens{0, 1, 2, 3};
  for (std::int32_t id = 4; id < 7; ++id) tokens.insert(tokens.end(), {id, id});
  for (std::int32_t id = 7; id < 10; ++id) tokens.insert(tokens.end(), {id, id, id});
  const NgramModel model(tokens, 12, {.order = 1, .method = Method::katz, .katz_cutoff = 2});
  REQUIRE(model.discounts().size() == 1);
  CHECK(model.discounts()[0] == Discounts{{0.5, 0.75}, true});
  // (1 - 1/2) of each single word and (2 - 3/2) of each pair: 7/2 of 19, for the two never seen.
  CHECK(std::exp(model.log_prob(model.start(), 0)) == Approx(0.5 / 19));
  CHECK(std::exp(model.log_prob(model.start(), 11)) == Approx(3.5 / 19 / 2));
}
