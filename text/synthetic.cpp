#include "text/synthetic.hpp"

#include <cmath>
#include <numeric>

#include "tensor/support/error.hpp"
#include "text/synthetic_words.hpp"

namespace gradus {

namespace {

using Person = SyntheticGrammar::Person;
using Item = SyntheticGrammar::Item;

// The weights of the words of a class sum to this number, and those of the rules of a slot to 100, so the
// weights of a distribution are integers with a common total.
constexpr std::uint32_t class_total = 4096;
constexpr std::int32_t shortest_body = 4;  // lines between the first and the last
constexpr std::int8_t deepest = 2;         // clauses inside clauses

constexpr std::string_view function_words[] = {"</s>", "one",  "a",     "the",  "in", "to", "and", "when",
                                               "at",   "last", "there", "that", "am", "is", "are", ".",
                                               ",",    "(",    ")",     "[",    "]",  "\"", "'"};
constexpr std::string_view subjects[] = {"she", "he", "it", "they", "i", "you", "we"};
constexpr std::string_view possessives[] = {"her", "his", "its", "their", "my", "your", "our"};
constexpr std::string_view reflexives[] = {"herself", "himself",  "itself",   "themselves",
                                           "myself",  "yourself", "ourselves"};

std::size_t index(Person who) {
  return static_cast<std::size_t>(who);
}
bool singular(Person who) {
  return who == Person::she || who == Person::he || who == Person::it;
}

}  // namespace

enum class SyntheticGrammar::Slot : std::int8_t {
  word,     // one of the item's own words
  opening,  // the first line of a story
  hero_article,
  arriving,
  finding,
  treasure,
  place,
  sentence,   // a line of the body, or the last line
  closing,    // what the hero does in the last line
  adjective,  // or none
  adverb,     // or none
  clause,     // a subject and what it does
  subject,    // a noun after "the", and what it does
  kin,        // a noun after "her", and what it does
  predicate,  // a verb with its objects
  more,       // "and" another predicate, or nothing
  object,
  known_thing,  // a noun after "the"
  some_thing,   // a noun after "a" or "her"
  place_noun,   // a noun after "near the"
  modifiers,    // what may stand between a noun and its verb
  relative,     // a relative clause after "that"
  relative_noun,
  verb,  // one transitive verb
  quote,
  speech
};

using Slot = SyntheticGrammar::Slot;

SyntheticGrammar::SyntheticGrammar() {
  for (std::string_view word : function_words) add(word, class_total);
  for (std::string_view word : subjects) add(word, class_total);
  for (std::string_view word : possessives) add(word, class_total);
  for (std::string_view word : reflexives) add(word, class_total);
  heroes_ = add_nouns(synthetic::heroes).one;
  groups_ = add_set(synthetic::hero_groups, Person::they);
  treasures_ = add_set(synthetic::treasures);
  places_ = add_set(synthetic::places);
  for (WordSet set : {heroes_, groups_, treasures_}) even(set);
  people_ = add_nouns(synthetic::people);
  animals_ = add_nouns(synthetic::animals);
  things_ = add_nouns(synthetic::things);
  adjectives_ = add_set(synthetic::adjectives);
  adverbs_ = add_set(synthetic::adverbs);
  prepositions_ = add_set(synthetic::prepositions);
  times_ = add_set(synthetic::times);
  connectives_ = add_set(synthetic::connectives);
  numbers_ = add_set(synthetic::numbers);
  intransitive_ = add_verbs(synthetic::intransitive_verbs);
  transitive_ = add_verbs(synthetic::transitive_verbs);
  motion_ = add_verbs(synthetic::motion_verbs);
  speech_ = add_verbs(synthetic::speech_verbs);
  reflexive_ = add_verbs(synthetic::reflexive_verbs);
  finding_ = add_verbs(synthetic::finding_verbs);
  keeping_ = add_verbs(synthetic::keeping_verbs);
}

SyntheticGrammar::Token SyntheticGrammar::add(std::string_view word, std::uint32_t weight, Person person) {
  const Token id = static_cast<Token>(words_.size());
  if (!ids_.emplace(word, id).second) {
    fail<ArgumentError>(
        "synthetic grammar: the word '{}' is listed twice; a word may stand for one thing only", word);
  }
  words_.emplace_back(word);
  weights_.push_back(weight);
  persons_.push_back(person);
  return id;
}

// Weights fall as 1 / (rank + 2), after Zipf and Mandelbrot; what rounding leaves over goes to the first
// word.
SyntheticGrammar::WordSet SyntheticGrammar::add_set(std::span<const std::string_view> words, Person person) {
  const WordSet set{static_cast<Token>(words_.size()), static_cast<std::int32_t>(words.size())};
  std::uint32_t parts = 0;
  for (std::uint32_t rank = 1; rank <= words.size(); ++rank) parts += class_total / (rank + 2);
  for (std::uint32_t rank = 1; rank <= words.size(); ++rank) {
    add(words[rank - 1], (class_total / (rank + 2)) * class_total / parts, person);
  }
  std::uint32_t rest = class_total;
  for (Token t = set.first; t < set.first + set.count; ++t) rest -= weights_[static_cast<std::size_t>(t)];
  weights_[static_cast<std::size_t>(set.first)] += rest;
  return set;
}

void SyntheticGrammar::even(WordSet set) {
  const std::uint32_t count = static_cast<std::uint32_t>(set.count);
  for (std::uint32_t i = 0; i < count; ++i) {
    weights_[static_cast<std::size_t>(set.first) + i] =
        class_total / count + (i < class_total % count ? 1 : 0);
  }
}

SyntheticGrammar::Forms SyntheticGrammar::add_nouns(std::span<const synthetic::Noun> nouns) {
  std::vector<std::string_view> one;
  std::vector<std::string_view> many;
  for (const synthetic::Noun& noun : nouns) {
    one.push_back(noun.one);
    if (!noun.many.empty()) many.push_back(noun.many);
  }
  Forms forms;
  forms.one = add_set(one);
  for (std::size_t i = 0; i < nouns.size(); ++i) {
    persons_[static_cast<std::size_t>(forms.one.first) + i] = static_cast<Person>(nouns[i].gender);
  }
  forms.many = add_set(many, Person::they);
  return forms;
}

SyntheticGrammar::Forms SyntheticGrammar::add_verbs(std::span<const synthetic::Verb> verbs) {
  std::vector<std::string_view> one;
  std::vector<std::string_view> many;
  for (const synthetic::Verb& verb : verbs) {
    one.push_back(verb.one);
    many.push_back(verb.many);
  }
  return {add_set(one), add_set(many)};
}

SyntheticGrammar::Token SyntheticGrammar::token(std::string_view word) const {
  const auto found = ids_.find(std::string(word));
  if (found == ids_.end())
    fail<DataError>("synthetic grammar: the word '{}' is not one of its {}", word, words_.size());
  return found->second;
}

SyntheticGrammar::WordSet SyntheticGrammar::only(std::string_view text) const {
  return {token(text), 1};
}
SyntheticGrammar::WordSet SyntheticGrammar::only(std::span<const std::string_view> forms, Person who) const {
  return only(forms[index(who)]);
}
Item SyntheticGrammar::word(std::string_view text) const {
  return {Slot::word, Person::it, 0, only(text)};
}
const SyntheticGrammar::WordSet& SyntheticGrammar::Forms::of(Person who) const {
  return singular(who) ? one : many;
}

SyntheticGrammar::State SyntheticGrammar::start() const {
  State state;
  state.rest.push_back({Slot::opening});
  return state;
}

// "one winter morning , a brave queen finds a drum in the castle ."
std::vector<SyntheticGrammar::Rule> SyntheticGrammar::opening(const Item& item, const State& state) const {
  const Item adjective{Slot::adjective};
  switch (item.slot) {
    case Slot::opening:
      return {{100, only("one"), {{Slot::word, Person::it, 0, times_}, word(","), {Slot::hero_article}}}};
    case Slot::hero_article:
      return {{75, only("a"), {adjective, {Slot::word, Person::it, 0, heroes_}, {Slot::arriving}}},
              {25, numbers_, {adjective, {Slot::word, Person::it, 0, groups_}, {Slot::arriving}}}};
    case Slot::arriving:
      return {{100,
               motion_.of(hero(state)),
               {word("to"), word("the"), {Slot::place}, word("."), word("</s>"), {Slot::finding}}}};
    case Slot::finding: {
      const Person who = hero(state);
      return {{100,
               only("there"),
               {word(","),
                word("the"),
                {Slot::word, who, 0, {state.hero, 1}},
                {Slot::word, who, 0, finding_.of(who)},
                word("a"),
                adjective,
                {Slot::treasure},
                word("and"),
                {Slot::word, who, 0, keeping_.of(who)},
                word("the"),
                {Slot::treasure},
                word("."),
                word("</s>"),
                {Slot::sentence}}}};
    }
    case Slot::treasure:
      return {{100, state.treasure < 0 ? treasures_ : WordSet{state.treasure, 1}, {}}};
    default:
      return {{100, places_, {}}};
  }
}

std::vector<SyntheticGrammar::Rule> SyntheticGrammar::sentence(const State& state) const {
  const Person who = hero(state);
  const Item stop = word("."), line = word("</s>"), comma = word(","), next{Slot::sentence},
             clause{Slot::clause};
  const bool may_end = state.sentences >= shortest_body;
  return {
      {may_end ? 20 : 30, only(subjects, who), {{Slot::predicate, who}, stop, line, next}},
      {may_end ? 25 : 28, only("the"), {{Slot::adjective}, {Slot::subject}, stop, line, next}},
      {10, only(possessives, who), {{Slot::adjective}, {Slot::kin}, stop, line, next}},
      {may_end ? 15 : 20, connectives_, {comma, clause, stop, line, next}},
      {may_end ? 10 : 12, only("when"), {clause, comma, clause, stop, line, next}},
      {may_end ? 20 : 0, only("at"), {word("last"), comma, {Slot::closing}}},
  };
}

// The subject of a clause after its article or possessive, followed by its modifiers and then its verb.
std::vector<SyntheticGrammar::Rule> SyntheticGrammar::subject(const Item& item, const State& state) const {
  const Person who = hero(state);
  const Item adjective{Slot::adjective};
  const Item modifiers{Slot::modifiers, Person::of_noun, item.depth};
  const Item predicate{Slot::predicate, Person::of_noun, item.depth};
  switch (item.slot) {
    case Slot::clause:
      return {{40, only(subjects, who), {{Slot::predicate, who, item.depth}}},
              {45, only("the"), {adjective, {Slot::subject, who, item.depth}}},
              {15, only(possessives, who), {adjective, {Slot::kin, who, item.depth}}}};
    case Slot::subject:
      return {{45, {state.hero, 1}, {modifiers, predicate}},
              {15, people_.one, {modifiers, predicate}},
              {14, people_.many, {modifiers, predicate}},
              {13, animals_.one, {modifiers, predicate}},
              {13, animals_.many, {modifiers, predicate}}};
    case Slot::kin:
      return {{50, people_.one, {modifiers, predicate}}, {50, people_.many, {modifiers, predicate}}};
    default: {  // closing
      return {{100,
               only(subjects, who),
               {{Slot::word, who, 0, keeping_.of(who)},
                word("the"),
                adjective,
                {Slot::treasure},
                word("in"),
                word("the"),
                {Slot::place},
                word("."),
                word("</s>"),
                {Slot::opening}}}};
    }
  }
}

std::vector<SyntheticGrammar::Rule> SyntheticGrammar::object(const Item& item, const State& state) const {
  const Item adjective{Slot::adjective};
  const Item modifiers{Slot::modifiers, Person::of_noun, item.depth};
  switch (item.slot) {
    case Slot::object:
      return {{55, only("the"), {adjective, {Slot::known_thing, item.who, item.depth}}},
              {15, only("a"), {adjective, {Slot::some_thing, item.who, item.depth}}},
              {30, only(possessives, item.who), {adjective, {Slot::some_thing, item.who, item.depth}}}};
    case Slot::known_thing:
      return {{60, {state.treasure, 1}, {}},
              {16, things_.one, {modifiers}},
              {16, things_.many, {modifiers}},
              {8, animals_.one, {modifiers}}};
    case Slot::some_thing:
      return {{100, things_.one, {modifiers}}};
    default:  // place_noun
      return {{30, {state.treasure, 1}, {}},
              {20, things_.one, {}},
              {20, things_.many, {}},
              {15, animals_.one, {}},
              {15, animals_.many, {}}};
  }
}

std::vector<SyntheticGrammar::Rule> SyntheticGrammar::modifiers(const Item& item) const {
  const Item adjective{Slot::adjective};
  const auto inner = static_cast<std::int8_t>(item.depth + 1);
  const Item clause{Slot::clause, item.who, inner};
  switch (item.slot) {
    case Slot::modifiers: {
      if (item.depth >= deepest)
        return {{85, {}, {}}, {15, prepositions_, {word("the"), adjective, {Slot::place_noun}}}};
      const bool outer = item.depth == 0;
      return {{outer ? 58 : 74, {}, {}},
              {outer ? 17 : 14, prepositions_, {word("the"), adjective, {Slot::place_noun}}},
              {outer ? 13 : 8, only("that"), {{Slot::relative, item.who, inner}}},
              {outer ? 6 : 2, only("("), {clause, word(")")}},
              {outer ? 6 : 2, only("["), {clause, word("]")}}};
    }
    case Slot::relative:
      return {{50, transitive_.of(item.who), {{Slot::object, item.who, item.depth}}},
              {50, only("the"), {adjective, {Slot::relative_noun, item.who, item.depth}}}};
    case Slot::relative_noun: {
      const Item verb{Slot::verb, Person::of_noun};
      return {{50, people_.one, {verb}}, {50, people_.many, {verb}}};
    }
    default:  // verb
      return {{100, transitive_.of(item.who), {}}};
  }
}

std::vector<SyntheticGrammar::Rule> SyntheticGrammar::predicate(const Item& item, const State&) const {
  const Person who = item.who;
  const Item more{Slot::more, who, item.depth};
  const int speaks = item.depth == 0 ? 14 : item.depth < deepest ? 6 : 0;
  switch (item.slot) {
    case Slot::predicate:
      return {{16, intransitive_.of(who), {{Slot::adverb}, more}},
              {50 - speaks, transitive_.of(who), {{Slot::object, who, item.depth}, more}},
              {12, motion_.of(who), {word("to"), word("the"), {Slot::place}, more}},
              {speaks, speech_.of(who), {word(","), {Slot::quote, who, item.depth}}},
              {12,
               only(who == Person::i ? "am"
                    : singular(who)  ? "is"
                                     : "are"),
               {{Slot::word, who, 0, adjectives_}, more}},
              {10, reflexive_.of(who), {{Slot::word, who, 0, only(reflexives, who)}, more}}};
    case Slot::more:
      return {{80, {}, {}}, {20, only("and"), {{Slot::predicate, who, item.depth}}}};
    case Slot::adjective:
      return {{50, {}, {}}, {50, adjectives_, {}}};
    default:  // adverb
      return {{40, {}, {}}, {60, adverbs_, {}}};
  }
}

// A quotation inside a quotation has the other kind of quotation marks.
std::vector<SyntheticGrammar::Rule> SyntheticGrammar::speech(const Item& item, const State& state) const {
  const auto inner = static_cast<std::int8_t>(item.depth + 1);
  if (item.slot == Slot::quote) {
    const Item speech{Slot::speech, item.who, inner}, two = word("\""), one = word("'");
    int percent = 50;
    for (const Item& open : state.rest) percent = open == two ? 0 : open == one ? 100 : percent;
    return {{percent, two.words, {speech, two}}, {100 - percent, one.words, {speech, one}}};
  }
  std::vector<Rule> rules = {{35, only("the"), {{Slot::adjective}, {Slot::subject, item.who, inner}}}};
  for (const auto& [percent, who] : {std::pair{25, Person::i}, {20, Person::you}, {20, Person::we}}) {
    rules.push_back({percent, only(subjects, who), {{Slot::predicate, who, inner}}});
  }
  return rules;
}

std::vector<SyntheticGrammar::Rule> SyntheticGrammar::rules(const Item& item, const State& state) const {
  switch (item.slot) {
    case Slot::word:
      return {{100, item.words, {}}};
    case Slot::opening:
    case Slot::hero_article:
    case Slot::arriving:
    case Slot::finding:
    case Slot::treasure:
    case Slot::place:
      return opening(item, state);
    case Slot::sentence:
      return sentence(state);
    case Slot::closing:
    case Slot::clause:
    case Slot::subject:
    case Slot::kin:
      return subject(item, state);
    case Slot::object:
    case Slot::known_thing:
    case Slot::some_thing:
    case Slot::place_noun:
      return object(item, state);
    case Slot::modifiers:
    case Slot::relative:
    case Slot::relative_noun:
    case Slot::verb:
      return modifiers(item);
    case Slot::quote:
    case Slot::speech:
      return speech(item, state);
    default:
      return predicate(item, state);
  }
}

double SyntheticGrammar::Choices::probability(Token token) const {
  for (const Choice& choice : list) {
    if (choice.token == token) return static_cast<double>(choice.weight) / static_cast<double>(total);
  }
  return 0;
}

SyntheticGrammar::Choices SyntheticGrammar::next(const State& state) const {
  Choices choices;
  choices.total = class_total;
  std::uint64_t scale = 1;  // the product of the percents of leaving out the items before
  for (std::size_t depth = state.rest.size(); depth-- > 0;) {
    std::uint64_t omit = 0;
    choices.total *= 100;
    for (Choices::Choice& choice : choices.list) choice.weight *= 100;
    for (const Rule& rule : rules(state.rest[depth], state)) {
      const auto percent = static_cast<std::uint64_t>(rule.percent);
      if (rule.words.count == 0) omit = percent;
      if (percent == 0) continue;
      for (Token t = rule.words.first; t < rule.words.first + rule.words.count; ++t) {
        const std::uint64_t share =
            rule.words.count == 1 ? class_total : weights_[static_cast<std::size_t>(t)];
        choices.list.push_back({t, scale * percent * share});
      }
    }
    if (omit == 0) break;
    scale *= omit;
  }
  return choices;
}

void SyntheticGrammar::advance(State& state, Token token) const {
  for (std::size_t depth = state.rest.size(); depth-- > 0;) {
    const Item item = state.rest[depth];
    bool optional = false;
    for (const Rule& rule : rules(item, state)) {
      optional = optional || (rule.words.count == 0 && rule.percent > 0);
      if (rule.percent == 0 || !rule.words.contains(token)) continue;
      state.rest.resize(depth);
      const Person who = persons_[static_cast<std::size_t>(token)];
      for (auto part = rule.then.rbegin(); part != rule.then.rend(); ++part) {
        state.rest.push_back(*part);
        if (part->who == Person::of_noun) state.rest.back().who = who;
      }
      remember(state, item, token);
      return;
    }
    if (!optional) break;
  }
  const bool known = token >= 0 && static_cast<std::size_t>(token) < words_.size();
  std::string expected;
  for (const Choices::Choice& choice : next(state).list) {
    if (expected.size() < 60)
      expected += (expected.empty() ? "'" : ", '") + words_[static_cast<std::size_t>(choice.token)] + "'";
  }
  fail<DataError>("synthetic grammar: '{}' cannot come here; what can: {}",
                  known ? words_[static_cast<std::size_t>(token)] : fmt::format("token {}", token), expected);
}

void SyntheticGrammar::remember(State& state, const Item& item, Token token) const {
  if (item.slot == Slot::opening) {
    state.hero = state.treasure = state.place = -1;
    state.sentences = 0;
  }
  if (item.slot == Slot::word && (heroes_.contains(token) || groups_.contains(token))) state.hero = token;
  if (item.slot == Slot::treasure) state.treasure = token;
  if (item.slot == Slot::place) state.place = token;
  if (item.slot == Slot::sentence && state.sentences < shortest_body) ++state.sentences;
}

double SyntheticText::perplexity(std::size_t first) const {
  const double sum =
      std::accumulate(log_probs.begin() + static_cast<std::ptrdiff_t>(first), log_probs.end(), 0.0);
  return std::exp(-sum / static_cast<double>(log_probs.size() - first));
}

SyntheticText synthetic_corpus(std::uint64_t seed, std::int64_t tokens) {
  if (tokens < 1)
    fail<ArgumentError>("synthetic_corpus: {} tokens were asked for; ask for 1 or more", tokens);
  const SyntheticGrammar grammar;
  const SyntheticGrammar::State first = grammar.start();
  SyntheticGrammar::State state = first;
  Rng rng(seed);
  SyntheticText out;
  bool line_start = true;
  while (static_cast<std::int64_t>(out.log_probs.size()) < tokens || state.rest != first.rest) {
    const SyntheticGrammar::Choices choices = grammar.next(state);
    std::uint64_t at = rng.below(choices.total);
    auto choice = choices.list.begin();
    while (at >= choice->weight) at -= (choice++)->weight;
    out.log_probs.push_back(
        std::log(static_cast<double>(choice->weight) / static_cast<double>(choices.total)));
    grammar.advance(state, choice->token);
    const bool line_end = choice->token == 0;
    if (!line_start && !line_end) out.text += ' ';
    out.text += line_end ? "\n" : grammar.words()[static_cast<std::size_t>(choice->token)];
    line_start = line_end;
  }
  return out;
}

}  // namespace gradus
