#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tensor/random.hpp"

namespace gradus {

namespace synthetic {
struct Word;
}  // namespace synthetic

/// The grammar of the synthetic corpus: small stories in plain English words, one sentence a line, whose
/// exact probability is known.
///
/// It is a probabilistic grammar in Greibach normal form (Greibach, "A new normal-form theorem for
/// context-free phrase structure grammars", JACM 1965): every rule begins with a word, and the rules that may
/// apply at the same point begin with different words. So each word shows which rule was chosen, the words
/// alone determine the state, and the probability of a word given all words before it is the probability of
/// one choice, without hidden variables to sum over. The generator samples from `next`; a scorer follows the
/// same states over a given text.
///
/// What a model must remember, and over how many words:
///   - the number and gender of each subject, across attributes, relative clauses and brackets, for its
///     verbs, possessives and reflexive pronouns (2 to about 40);
///   - who the story is about, for every later "she", "they" or "the queen" (2 to over 60);
///   - the treasure and the place named in the first line, until the last line (over 60);
///   - the open quotations and brackets, which are closed in reverse order (3 to about 40).
class SyntheticGrammar {
 public:
  using Token = std::int32_t;

  /// What a verb or pronoun agrees with.
  enum class Person : std::int8_t { she, he, it, they, i, you, we, of_noun };
  enum class Slot : std::int8_t;

  /// Consecutive tokens: a class of words, or one word.
  struct WordSet {
    Token first = 0;
    std::int32_t count = 0;
    bool contains(Token t) const { return t >= first && t < first + count; }
    bool operator==(const WordSet&) const = default;
  };

  /// A part of a story still to come.
  struct Item {
    Slot slot;
    Person who{};           // of_noun in a rule: the person of the noun that was chosen
    std::int8_t depth = 0;  // how many clauses it is inside of
    WordSet words{};        // Slot::word only: the possible words
    bool operator==(const Item&) const = default;
  };

  /// Everything that the words so far determine about the words to come. A value.
  struct State {
    std::vector<Item> rest;  // the items still to come; the next one is last
    Token hero = -1;
    Token treasure = -1;
    Token place = -1;
    std::int32_t sentences = 0;
    bool operator==(const State&) const = default;
  };

  /// The words that may come next, with integer weights, so that sampling is the same on every machine.
  struct Choices {
    struct Choice {
      Token token;
      std::uint64_t weight;
    };
    std::vector<Choice> list;
    std::uint64_t total = 0;

    /// The weight of a token divided by the total; 0 when it cannot come next.
    double probability(Token token) const;
  };

  SyntheticGrammar();

  /// The spelling of each token. Token 0 is the end of the line, "</s>".
  std::span<const std::string> words() const { return words_; }
  /// The token of a word. Throws DataError for a word that the grammar does not have.
  Token token(std::string_view word) const;

  /// The state before the first word of a story, which is also that after the last word of a story.
  State start() const;
  /// The words that may come next, each once.
  Choices next(const State& state) const;
  /// Moves the state past a word. Throws DataError, which names the possible words, when it cannot come next.
  void advance(State& state, Token token) const;

 private:
  struct Rule {
    int percent = 0;
    WordSet words;  // none: the item is left out, and the next one follows at once
    std::vector<Item> then;
  };
  using WordClass = std::array<WordSet, 7>;  // the words for each Person
  /// A part or a class of words in a rule as it is written.
  struct Symbol {
    Slot slot{};
    bool agrees = false, deeper = false, hero = false, treasure = false;
    WordClass words{};
  };
  struct Production {
    std::array<int, 3> percents{};
    std::vector<Symbol> symbols;
  };

  void read_grammar();
  std::vector<Rule> rules(const Item& item, const State& state) const;
  void remember(State& state, const Item& item, Token token) const;

  Token add(std::string_view word, std::uint32_t weight, Person person = Person::it);
  /// These give a class its name in the rules.
  WordSet add_set(std::span<const std::string_view> words, const std::string& name,
                  Person person = Person::it);
  WordSet add_forms(std::span<const synthetic::Word> words, const std::string& one, const std::string& many);
  void even(WordSet set);

  std::vector<std::string> words_;
  std::vector<std::uint32_t> weights_;  // within its class
  std::vector<Person> persons_;         // of nouns
  std::unordered_map<std::string, Token> ids_;
  std::unordered_map<std::string, WordClass> classes_;
  std::vector<std::vector<Production>> productions_;  // by Slot
  WordSet heroes_, groups_;
};

/// A corpus with its exact probability, which bounds the perplexity of any model from below.
struct SyntheticText {
  /// Lines of words with single spaces between them, each line ended by "\n".
  std::string text;
  /// For each token, line ends included, the natural logarithm of its probability given all tokens before it.
  std::vector<double> log_probs;

  /// exp of the mean negative log-probability over the tokens from `first` on.
  double perplexity(std::size_t first = 0) const;
};

/// Generates complete stories until there are at least `tokens` tokens (words and line ends). The same seed
/// gives the same text on every machine. Throws ArgumentError for tokens < 1.
SyntheticText synthetic_corpus(std::uint64_t seed, std::int64_t tokens);

}  // namespace gradus
