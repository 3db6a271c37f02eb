#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tensor/support/error.hpp"
#include "tests/support/catch.hpp"
#include "text/synthetic.hpp"
#include "text/synthetic_words.hpp"
#include "text/tokenizer.hpp"

using namespace gradus;
using Catch::Contains;

namespace {

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  for_tokens(Unit::word, text, "synthetic", [&](std::string_view word) { words.emplace_back(word); });
  return words;
}

std::vector<std::vector<std::string>> lines_of(const std::string& text) {
  std::vector<std::vector<std::string>> lines(1);
  for (std::string& word : words_of(text)) {
    if (word == "</s>") {
      lines.emplace_back();
    } else {
      lines.back().push_back(std::move(word));
    }
  }
  lines.pop_back();
  return lines;
}

}  // namespace

TEST_CASE("the synthetic corpus is the same for the same seed and another for another", "[text][synthetic]") {
  const SyntheticText a = synthetic_corpus(7, 5000);
  const SyntheticText b = synthetic_corpus(7, 5000);
  CHECK(a.text == b.text);
  CHECK(a.log_probs == b.log_probs);
  CHECK(synthetic_corpus(8, 5000).text != a.text);
  // A longer corpus of the same seed begins with the shorter one.
  CHECK(synthetic_corpus(7, 9000).text.starts_with(a.text));
  CHECK_THROWS_AS(synthetic_corpus(7, 0), ArgumentError);
}

TEST_CASE("the synthetic corpus begins with these words on every machine", "[text][synthetic]") {
  const std::string text = synthetic_corpus(1, 100).text;
  CHECK(text.substr(0, text.find('\n')) == "one night , seven polite pirates go to the market .");
}

TEST_CASE("every token of the synthetic corpus has a log-probability", "[text][synthetic]") {
  const SyntheticText corpus = synthetic_corpus(3, 20000);
  const std::vector<std::string> words = words_of(corpus.text);
  REQUIRE(words.size() == corpus.log_probs.size());
  CHECK(words.size() >= 20000);
  CHECK(corpus.text.back() == '\n');
  CHECK(std::all_of(corpus.log_probs.begin(), corpus.log_probs.end(),
                    [](double p) { return std::isfinite(p) && p <= 0; }));
  const double floor = corpus.perplexity();
  CHECK(floor > 5);
  CHECK(floor < 12);
}

TEST_CASE("a scorer that sees only the text finds the generator's log-probabilities", "[text][synthetic]") {
  const SyntheticText corpus = synthetic_corpus(11, 30000);
  const SyntheticGrammar grammar;
  SyntheticGrammar::State state = grammar.start();
  std::size_t at = 0;
  std::size_t different = 0;
  for (const std::string& word : words_of(corpus.text)) {
    const SyntheticGrammar::Token token = grammar.token(word);
    const double p = std::log(grammar.next(state).probability(token));
    different += std::abs(p - corpus.log_probs[at++]) > 1e-12;
    grammar.advance(state, token);
  }
  CHECK(different == 0);
}

TEST_CASE("at every point the choices are different words whose weights sum to the total",
          "[text][synthetic]") {
  const SyntheticText corpus = synthetic_corpus(12, 30000);
  const SyntheticGrammar grammar;
  SyntheticGrammar::State state = grammar.start();
  std::size_t wrong_sum = 0, repeated = 0, impossible = 0;
  for (const std::string& word : words_of(corpus.text)) {
    const SyntheticGrammar::Choices choices = grammar.next(state);
    std::uint64_t sum = 0;
    std::set<SyntheticGrammar::Token> tokens;
    for (const auto& choice : choices.list) {
      sum += choice.weight;
      impossible += choice.weight == 0;
      tokens.insert(choice.token);
    }
    wrong_sum += sum != choices.total;
    repeated += tokens.size() != choices.list.size();
    grammar.advance(state, grammar.token(word));
  }
  CHECK(wrong_sum == 0);
  CHECK(repeated == 0);
  CHECK(impossible == 0);
}

TEST_CASE("the text has the frequencies that the grammar gives its words", "[text][synthetic]") {
  // For each word: how often it occurs, compared with the sum of its probabilities at all places.
  const SyntheticText corpus = synthetic_corpus(13, 60000);
  const SyntheticGrammar grammar;
  std::vector<double> expected(grammar.words().size()), variance(expected.size()), found(expected.size());
  SyntheticGrammar::State state = grammar.start();
  for (const std::string& word : words_of(corpus.text)) {
    const SyntheticGrammar::Choices choices = grammar.next(state);
    for (const auto& choice : choices.list) {
      const double p = static_cast<double>(choice.weight) / static_cast<double>(choices.total);
      expected[static_cast<std::size_t>(choice.token)] += p;
      variance[static_cast<std::size_t>(choice.token)] += p * (1 - p);
    }
    const SyntheticGrammar::Token token = grammar.token(word);
    ++found[static_cast<std::size_t>(token)];
    grammar.advance(state, token);
  }
  for (std::size_t token = 0; token < expected.size(); ++token) {
    INFO(grammar.words()[token] << ": " << found[token] << " found, " << expected[token] << " expected");
    CHECK(std::abs(found[token] - expected[token]) <= 5 * std::sqrt(variance[token]) + 1e-6);
  }
}

TEST_CASE("the synthetic corpus has 300 word types or more, all of them used, with a Zipf-like fall",
          "[text][synthetic]") {
  const SyntheticGrammar grammar;
  CHECK(grammar.words().size() >= 300);
  std::map<std::string, int> counts;
  for (const std::string& word : words_of(synthetic_corpus(5, 200000).text)) ++counts[word];
  CHECK(counts.size() == grammar.words().size());
  CHECK(counts["tree"] < counts["house"]);
  CHECK(counts["flags"] < counts["house"] / 4);
  for (const auto& [word, count] : counts) {
    const bool plain =
        word == "</s>" || std::all_of(word.begin(), word.end(), [](char c) {
          return (c >= 'a' && c <= 'z') || std::string_view(".,()[]\"'").find(c) != std::string_view::npos;
        });
    CHECK(plain);
  }
}

TEST_CASE("quotations and brackets close as they opened", "[text][synthetic]") {
  std::size_t deepest = 0, longest = 0, wrong = 0;
  for (const auto& line : lines_of(synthetic_corpus(21, 100000).text)) {
    std::vector<std::pair<std::string, std::size_t>> open;
    for (std::size_t i = 0; i < line.size(); ++i) {
      const std::string& word = line[i];
      const bool quote = word == "\"" || word == "'";
      const bool closes = word == ")" || word == "]" || (quote && !open.empty() && open.back().first == word);
      if (closes) {
        const std::string wanted = word == ")" ? "(" : word == "]" ? "[" : word;
        wrong += open.empty() || open.back().first != wanted;
        if (open.empty()) continue;
        longest = std::max(longest, i - open.back().second);
        open.pop_back();
      } else if (quote || word == "(" || word == "[") {
        open.emplace_back(word, i);
        deepest = std::max(deepest, open.size());
      }
    }
    wrong += !open.empty();
  }
  CHECK(wrong == 0);
  CHECK(deepest >= 2);
  CHECK(longest >= 20);
}

TEST_CASE("the treasure of the first lines returns in the last, mostly over 60 words later",
          "[text][synthetic]") {
  std::set<std::string> treasures;
  for (std::string_view word : synthetic::treasures) treasures.emplace(word);
  std::string treasure;
  int stories = 0, far = 0, words_since = 0;
  for (const auto& line : lines_of(synthetic_corpus(22, 100000).text)) {
    if (line[0] == "one") {
      treasure.clear();
      words_since = 0;
    }
    for (const std::string& word : line) {
      ++words_since;
      if (treasures.count(word) == 0) continue;
      if (treasure.empty()) {
        treasure = word;
        words_since = 0;
      }
      REQUIRE(word == treasure);
      if (line[0] != "at") continue;
      ++stories;
      far += words_since > 60;
    }
  }
  CHECK(stories > 500);
  CHECK(far > stories * 3 / 4);
}

TEST_CASE("verbs and pronouns agree with the story's hero and refuse another", "[text][synthetic]") {
  const SyntheticGrammar grammar;
  const auto after = [&](std::string_view text) {
    SyntheticGrammar::State state = grammar.start();
    for_tokens(Unit::word, text, "story",
               [&](std::string_view word) { grammar.advance(state, grammar.token(word)); });
    return state;
  };
  const auto p = [&](const SyntheticGrammar::State& state, std::string_view word) {
    return grammar.next(state).probability(grammar.token(word));
  };
  const std::string queen =
      "one day , a queen goes to the city .\nthere , the queen finds a drum and keeps the drum .\n";
  CHECK(p(after(queen), "she") > 0.1);
  CHECK(p(after(queen), "he") == 0);
  CHECK(p(after(queen), "they") == 0);
  const std::string crowd =
      "one day , two pirates go to the city .\nthere , the pirates find a drum and keep the drum .\n";
  CHECK(p(after(crowd), "they") > 0.1);
  CHECK(p(after(crowd), "she") == 0);
  // A plural between the subject and its verb changes nothing.
  SyntheticGrammar::State state = grammar.start();
  const std::string line = queen + "the dog near the old trees";
  for_tokens(Unit::word, line, "story", [&](std::string_view word) {
    if (word != "</s>" || state.rest.back().depth >= 0) {
      const SyntheticGrammar::Token token = grammar.token(word);
      if (p(state, word) > 0) grammar.advance(state, token);
    }
  });
  CHECK(p(state, "sleeps") > 0);
  CHECK(p(state, "sleep") == 0);
  CHECK_THROWS_WITH(grammar.advance(state, grammar.token("sleep")), Contains("'sleep' cannot come here"));
  CHECK_THROWS_AS(grammar.token("electron"), DataError);
}
