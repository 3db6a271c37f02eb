#include "models/ngram/ngram.hpp"

#include <array>
#include <cmath>
#include <sstream>

#include "models/evaluate.hpp"
#include "models/ngram/arpa.hpp"
#include "tests/catch.hpp"
#include "tests/shared_text.hpp"
#include "text/tokenizer.hpp"
#include "text/vocabulary.hpp"

using namespace gradus;
using namespace gradus::models;
using gradus::test::renamed;
using gradus::test::shared_text;
using gradus::test::with_line_end_first;

TEST_CASE("Kneser-Ney's discounts, n-grams and scores are KenLM's", "[ngram]") {
  const std::string train = renamed(shared_text("reference/kenlm_small.train.txt.gz"));
  if (train.empty()) return;
  const Vocabulary vocabulary = Vocabulary::build(Unit::word, train);
  const std::vector<std::int32_t> tokens = encode(vocabulary, train);
  const NgramModel model(tokens, static_cast<std::int32_t>(vocabulary.size()),
                         {.order = 3, .sentence_end = vocabulary.line_end()});
  const double expected[3][3] = {
      {0.605222, 1.19394, 1.61838}, {0.823291, 1.27969, 1.73667}, {0.872368, 1.42335, 1.57162}};
  for (std::size_t n = 0; n < 3; ++n) {
    for (std::size_t k = 0; k < 3; ++k)
      CHECK(model.discounts()[n].amount[k] == Approx(expected[n][k]).epsilon(1e-5));
  }

  std::istringstream test(renamed(shared_text("reference/kenlm_small.test.txt.gz")));
  std::istringstream scores(shared_text("reference/kenlm_small.test.scores.tsv"));
  std::string line;
  double log10 = 0;
  int unknown = 0, lines = 0;
  while (std::getline(test, line) && scores >> log10 >> unknown) {
    const std::vector<std::int32_t> ids = with_line_end_first(vocabulary, line + "\n");
    const Evaluation result = evaluate(model, ids, 1, vocabulary.unknown());
    // KenLM adds up floats, whose rounding reaches 4e-4 on the longest lines; added up as floats, ours agree
    // up to one rounding of the sum: both models hold floats, but of different logarithms.
    float as_kenlm = 0;
    for (const double log_prob : model.score(ids)) as_kenlm += static_cast<float>(log_prob / std::log(10.0));
    CHECK(static_cast<double>(as_kenlm) == Approx(log10).epsilon(0).margin(1e-4 + 6e-8 * std::abs(log10)));
    CHECK(result.log_prob / std::log(10.0) == Approx(log10).epsilon(0).margin(1e-4 + 5e-7 * std::abs(log10)));
    CHECK(result.unknown == unknown);
    ++lines;
  }
  CHECK(lines == 100);
}

TEST_CASE("every probability and backoff of KenLM's ARPA file", "[ngram]") {
  const std::string train = renamed(shared_text("reference/kenlm_small.train.txt.gz"));
  if (train.empty()) return;
  const Vocabulary vocabulary = Vocabulary::build(Unit::word, train);
  const NgramModel model(encode(vocabulary, train), static_cast<std::int32_t>(vocabulary.size()),
                         {.order = 3, .sentence_end = vocabulary.line_end()});
  std::istringstream arpa(shared_text("reference/kenlm_small.o3.arpa.gz"));
  std::string line;
  std::int64_t checked = 0, wrong = 0;
  while (std::getline(arpa, line)) {
    std::istringstream fields(line);
    double log10 = 0;
    if (!(fields >> log10)) continue;
    fields.ignore(1);
    std::string words;
    std::getline(fields, words, '\t');
    std::istringstream split(words);
    std::vector<std::int32_t> ids;
    for (std::string word; split >> word;) {
      ids.push_back(word == "<s>" ? static_cast<std::int32_t>(vocabulary.size()) : vocabulary.id(word));
    }
    if (words == "<s>") continue;  // never predicted
    const NgramModel::State state = model.context(std::span(ids).first(ids.size() - 1));
    wrong += std::abs(model.log_prob(state, ids.back()) / std::log(10.0) - log10) > 1e-5;
    ++checked;
  }
  CHECK(checked > 20000);
  CHECK(wrong == 0);
}

TEST_CASE("Kneser-Ney on WikiText-2 has KenLM's perplexity", "[ngram]") {
  const std::string train = renamed(shared_text("data/wikitext-2.train.txt.gz"));
  if (train.empty()) return;
  const Vocabulary vocabulary = Vocabulary::build(Unit::word, train);
  const NgramModel model(encode(vocabulary, train), static_cast<std::int32_t>(vocabulary.size()),
                         {.order = 3, .sentence_end = vocabulary.line_end()});
  CHECK(model.counts().back() == 1398959);
  const auto perplexity = [&](const char* name, std::int64_t count) {
    const std::vector<std::int32_t> ids = with_line_end_first(vocabulary, renamed(shared_text(name)));
    const Evaluation result = evaluate(model, ids, 1);
    CHECK(result.tokens == count);
    return result.perplexity();
  };
  CHECK(perplexity("data/wikitext-2.valid.txt.gz", 217646) == Approx(242.3250).epsilon(0).margin(5e-5));
  CHECK(perplexity("data/wikitext-2.test.txt.gz", 245569) == Approx(226.0510).epsilon(0).margin(5e-5));
}

TEST_CASE("maximum likelihood and add-k are ratios of counts", "[ngram]") {
  // a b a b a c: after a: b 2, c 1; after b: a 2.
  const std::vector<std::int32_t> tokens{0, 1, 0, 1, 0, 2};
  const NgramModel likelihood(tokens, 4, {.order = 2, .method = NgramMethod::maximum_likelihood});
  CHECK(likelihood.log_prob(likelihood.context({0}), 1) == Approx(std::log(2.0 / 3)));
  CHECK(likelihood.log_prob(likelihood.context({1}), 0) == Approx(0.0).epsilon(0).margin(1e-12));
  CHECK(std::isinf(likelihood.log_prob(likelihood.context({1}), 2)));
  CHECK(likelihood.log_prob(likelihood.context({3}), 0) ==
        Approx(std::log(3.0 / 6)));  // an unseen context: the unigram
  CHECK(likelihood.log_prob(likelihood.context({2}), 0) ==
        Approx(std::log(3.0 / 6)));  // seen at the end only

  const NgramModel smoothed(tokens, 4, {.order = 2, .method = NgramMethod::add_k, .k = 0.5});
  CHECK(smoothed.log_prob(smoothed.context({0}), 1) == Approx(std::log(2.5 / 5)));
  CHECK(smoothed.log_prob(smoothed.context({0}), 3) == Approx(std::log(0.5 / 5)));
  CHECK(smoothed.log_prob(smoothed.context({3}), 3) == Approx(std::log(0.25)));
}

TEST_CASE("Kneser-Ney falls back to fixed discounts where counts of counts give none", "[ngram]") {
  const NgramModel model(std::vector<std::int32_t>{0, 1, 0, 1, 0, 2}, 4, {.order = 2});
  CHECK(model.discounts()[0].fallback);
  CHECK(model.discounts()[1].amount == std::array{0.5, 1.0, 1.5});
}

TEST_CASE("an n-gram model refuses what it cannot be made of", "[ngram]") {
  const std::vector<std::int32_t> tokens{0, 1, 5};
  CHECK_THROWS_AS(NgramModel(tokens, 4, {.order = 2}), ArgumentError);
  CHECK_THROWS_AS(NgramModel(tokens, 6, {.order = 0}), ArgumentError);
  CHECK_THROWS_AS(NgramModel({}, 6, {.order = 2}), ArgumentError);
}

TEST_CASE("an n-gram model comes back from ARPA text as it was", "[ngram]") {
  const std::string text = "the cat sat .\nthe dog sat on the cat .\n\na \\ b\n";
  const Vocabulary vocabulary = Vocabulary::build(Unit::word, text);
  const std::vector<std::int32_t> tokens = encode(vocabulary, text);
  const NgramModel model(tokens, static_cast<std::int32_t>(vocabulary.size()),
                         {.order = 3, .sentence_end = vocabulary.line_end()});
  const std::string arpa = to_arpa(model, vocabulary);
  const ArpaModel read = from_arpa(arpa, "m");
  CHECK(read.vocabulary == vocabulary);
  const std::vector<double> before = model.score(tokens), after = read.model.score(tokens);
  REQUIRE(before.size() == after.size());
  for (std::size_t i = 0; i < before.size(); ++i) CHECK(after[i] == Approx(before[i]).epsilon(1e-7));
  // What contradicts itself is refused, by its line.
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = arpa;
    return changed.replace(arpa.find(from), from.size(), to);
  };
  CHECK_THROWS_WITH(from_arpa(with("# sentence end ", "# sentence end 99"), "m"),
                    Catch::Contains("m, line 2") && Catch::Contains("no id"));
  CHECK_THROWS_WITH(from_arpa(with("ngram 2=", "ngram 2=9"), "m"),
                    Catch::Contains("15 2-grams; line 19 names 915"));
  // Cut anywhere, it is refused.
  for (std::size_t length = 0; length + 2 < arpa.size(); length += 7) {
    CHECK_THROWS_AS(from_arpa(arpa.substr(0, length), "m"), DataError);
  }
}
