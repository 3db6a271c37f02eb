#include "text/synthetic.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>
#include <sstream>
#include <utility>

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
// In the order of Person.
using Forms = std::array<std::string_view, 7>;
constexpr Forms subjects = {"she", "he", "it", "they", "i", "you", "we"};
constexpr Forms possessives = {"her", "his", "its", "their", "my", "your", "our"};
constexpr Forms reflexives = {"herself", "himself",  "itself",   "themselves",
                              "myself",  "yourself", "ourselves"};
constexpr Forms to_be = {"is", "is", "is", "are", "am", "are", "are"};

// The rules: what is expanded; the percent of the rule; the words that it begins with, and what follows.
//   <class>  one of the words of a class, in the form for the person of the subject
//   <hero>   the word for whom the story is about; <treasure>: the treasure, any before there is one
//   part*    a part that agrees with the word that this rule begins with, not with the subject so far
//   part+    a part inside one more clause
//   a/b/c    percents that depend on how many clauses the part is inside of: none, one, more; for sentences,
//   on
//            whether the story may end; for quotations, on the one around them: none, one in ", one in '
// A rule without words leaves its part out.
constexpr std::string_view rule_texts[] = {
    // "one winter morning , a brave queen goes to the castle ."
    "opening 100 one <times> , hero_article",
    "hero_article 75 a adjective <heroes> arriving",
    "hero_article 25 <numbers> adjective <groups> arriving",
    "arriving 100 <goes> to the place . </s> finding",
    "finding 100 there , the <hero> <finds> a adjective treasure and <keeps> the treasure . </s> sentence",
    "treasure 100 <treasure>",
    "place 100 <places>",
    "sentence 30/20 <she> predicate* . </s> sentence",
    "sentence 28/25 the adjective subject . </s> sentence",
    "sentence 10 <her> adjective kin . </s> sentence",
    "sentence 20/15 <connectives> , clause . </s> sentence",
    "sentence 12/10 when clause , clause . </s> sentence",
    "sentence 0/20 at last , closing",
    "closing 100 <she> <keeps> the adjective treasure in the place . </s> opening",
    // A subject, its modifiers and then its verb; "kin" are those of the hero.
    "clause 40 <she> predicate*",
    "clause 45 the adjective subject",
    "clause 15 <her> adjective kin",
    "subject 45 <hero> modifiers* predicate*",
    "subject 15 <person> modifiers* predicate*",
    "subject 14 <people> modifiers* predicate*",
    "subject 13 <animal> modifiers* predicate*",
    "subject 13 <animals> modifiers* predicate*",
    "kin 50 <person> modifiers* predicate*",
    "kin 50 <people> modifiers* predicate*",
    "object 55 the adjective known_thing",
    "object 15 a adjective some_thing",
    "object 30 <her> adjective some_thing",
    "known_thing 60 <treasure>",
    "known_thing 16 <thing> modifiers*",
    "known_thing 16 <things> modifiers*",
    "known_thing 8 <animal> modifiers*",
    "some_thing 100 <thing> modifiers*",
    "place_noun 30 <treasure>",
    "place_noun 20 <thing>",
    "place_noun 20 <things>",
    "place_noun 15 <animal>",
    "place_noun 15 <animals>",
    "modifiers 58/74/85",
    "modifiers 17/14/15 <prepositions> the adjective place_noun",
    "modifiers 13/8/0 that relative+",
    "modifiers 6/2/0 ( clause+ )",
    "modifiers 6/2/0 [ clause+ ]",
    "relative 50 <sees> object",
    "relative 50 the adjective relative_noun",
    "relative_noun 50 <person> verb*",
    "relative_noun 50 <people> verb*",
    "verb 100 <sees>",
    "predicate 16 <sleeps> adverb more",
    "predicate 36/44/50 <sees> object more",
    "predicate 12 <goes> to the place more",
    "predicate 14/6/0 <says> , quote",
    "predicate 12 <is> <adjectives> more",
    "predicate 10 <washes> <herself> more",
    "more 80",
    "more 20 and predicate",
    "adjective 50",
    "adjective 50 <adjectives>",
    "adverb 40",
    "adverb 60 <adverbs>",
    // A quotation inside a quotation has the other kind of quotation marks.
    "quote 50/0/100 \" speech+ \"",
    "quote 50/100/0 ' speech+ '",
    "speech 35 the adjective subject+",
    "speech 25 i predicate*+",
    "speech 20 you predicate*+",
    "speech 20 we predicate*+",
};

// The parts that the code knows; the others are numbered after them.
constexpr std::string_view known_parts[] = {"",      "opening",  "arriving", "treasure",
                                            "place", "sentence", "clause",   "quote"};

std::size_t index(auto enumerator) {
  return static_cast<std::size_t>(enumerator);
}

}  // namespace

enum class SyntheticGrammar::Slot : std::int8_t {
  word,  // one of the item's own words
  opening,
  arriving,
  treasure,
  place,
  sentence,
  clause,
  quote
};

using Slot = SyntheticGrammar::Slot;

SyntheticGrammar::SyntheticGrammar() {
  for (std::string_view word : function_words) add(word, class_total);
  for (std::size_t who = 0; who < subjects.size(); ++who) {
    add(subjects[who], class_total, static_cast<Person>(who));
  }
  for (const Forms& forms : {possessives, reflexives}) {
    for (std::string_view word : forms) add(word, class_total);
  }
  heroes_ = add_forms(synthetic::heroes, "heroes", "");
  classes_["hero"].fill(heroes_);
  groups_ = add_set(synthetic::hero_groups, "groups", Person::they);
  const WordSet treasures = add_set(synthetic::treasures, "treasure");
  add_set(synthetic::places, "places");
  for (WordSet set : {heroes_, groups_, treasures}) even(set);
  add_forms(synthetic::people, "person", "people");
  add_forms(synthetic::animals, "animal", "animals");
  add_forms(synthetic::things, "thing", "things");
  add_set(synthetic::adjectives, "adjectives");
  add_set(synthetic::adverbs, "adverbs");
  add_set(synthetic::prepositions, "prepositions");
  add_set(synthetic::times, "times");
  add_set(synthetic::connectives, "connectives");
  add_set(synthetic::numbers, "numbers");
  using Verbs = std::pair<std::string, std::span<const synthetic::Word>>;
  for (const auto& [name, verbs] :
       {Verbs("sleeps", synthetic::intransitive_verbs), Verbs("sees", synthetic::transitive_verbs),
        Verbs("goes", synthetic::motion_verbs), Verbs("says", synthetic::speech_verbs),
        Verbs("washes", synthetic::reflexive_verbs), Verbs("finds", synthetic::finding_verbs),
        Verbs("keeps", synthetic::keeping_verbs)}) {
    const WordSet one = add_forms(verbs, name, name);
    std::fill_n(classes_[name].begin(), index(Person::they), one);  // she, he and it
  }
  for (const auto& [name, forms] :
       {std::pair("she", subjects), {"her", possessives}, {"herself", reflexives}, {"is", to_be}}) {
    WordClass& words = classes_[name];
    std::transform(forms.begin(), forms.end(), words.begin(), [&](std::string_view form) {
      return WordSet{token(form), 1};
    });
  }
  read_grammar();
}

void SyntheticGrammar::read_grammar() {
  std::vector<std::string> parts(std::begin(known_parts), std::end(known_parts));
  const auto place_of = [&](const std::string& part) {
    return static_cast<std::size_t>(std::find(parts.begin(), parts.end(), part) - parts.begin());
  };
  for (std::string_view line : rule_texts) {
    const std::string part(line.substr(0, line.find(' ')));
    if (place_of(part) == parts.size()) parts.push_back(part);
  }
  productions_.resize(parts.size());
  for (std::string_view line : rule_texts) {
    std::istringstream fields{std::string(line)};
    std::string field;
    fields >> field;
    Production& production = productions_[place_of(field)].emplace_back();
    int percent = 0;
    fields >> percent;
    production.percents.fill(percent);  // one for all cases, unless others follow
    for (std::size_t i = 1; fields.peek() == '/' && fields.ignore() >> percent; ++i)
      std::fill(production.percents.begin() + static_cast<std::ptrdiff_t>(i), production.percents.end(),
                percent);
    while (fields >> field) {
      Symbol& symbol = production.symbols.emplace_back();
      while (field.ends_with('*') || field.ends_with('+')) {
        (field.back() == '*' ? symbol.agrees : symbol.deeper) = true;
        field.pop_back();
      }
      symbol.hero = field == "<hero>";
      symbol.treasure = field == "<treasure>";
      if (const std::size_t part = place_of(field); part < parts.size()) {
        symbol.slot = static_cast<Slot>(part);
      } else if (field.starts_with('<') && field != words_.front()) {
        symbol.words = classes_.at(field.substr(1, field.size() - 2));
      } else {
        symbol.words.fill({token(field), 1});
      }
    }
  }
}

SyntheticGrammar::Token SyntheticGrammar::add(std::string_view word, std::uint32_t weight, Person person) {
  const Token id = static_cast<Token>(words_.size());
  ids_.emplace(word, id);
  words_.emplace_back(word);
  weights_.push_back(weight);
  persons_.push_back(person);
  return id;
}

// Weights fall as 1 / (rank + 2), after Zipf and Mandelbrot; what rounding leaves over goes to the first
// word.
SyntheticGrammar::WordSet SyntheticGrammar::add_set(std::span<const std::string_view> words,
                                                    const std::string& name, Person person) {
  const WordSet set{static_cast<Token>(words_.size()), static_cast<std::int32_t>(words.size())};
  std::uint32_t parts = 0;
  for (std::uint32_t rank = 1; rank <= words.size(); ++rank) parts += class_total / (rank + 2);
  std::uint32_t rest = class_total;
  for (std::uint32_t rank = 1; rank <= words.size(); ++rank) {
    const std::uint32_t weight = (class_total / (rank + 2)) * class_total / parts;
    add(words[rank - 1], weight, person);
    rest -= weight;
  }
  weights_[static_cast<std::size_t>(set.first)] += rest;
  classes_[name].fill(set);
  return set;
}

void SyntheticGrammar::even(WordSet set) {
  const std::uint32_t count = static_cast<std::uint32_t>(set.count);
  for (std::uint32_t i = 0; i < count; ++i) {
    weights_[static_cast<std::size_t>(set.first) + i] =
        class_total / count + (i < class_total % count ? 1 : 0);
  }
}

SyntheticGrammar::WordSet SyntheticGrammar::add_forms(std::span<const synthetic::Word> words,
                                                      const std::string& one, const std::string& many) {
  std::vector<std::string_view> singular, plural;
  for (const synthetic::Word& word : words) {
    singular.push_back(word.one);
    if (!word.many.empty()) plural.push_back(word.many);
  }
  const WordSet set = add_set(singular, one);
  for (std::size_t i = 0; i < words.size(); ++i) {
    persons_[static_cast<std::size_t>(set.first) + i] = static_cast<Person>(words[i].gender);
  }
  if (!plural.empty()) add_set(plural, many, Person::they);
  return set;
}

SyntheticGrammar::Token SyntheticGrammar::token(std::string_view word) const {
  const auto found = ids_.find(std::string(word));
  if (found == ids_.end())
    fail<DataError>("synthetic grammar: the word '{}' is not one of its {}", word, words_.size());
  return found->second;
}

SyntheticGrammar::State SyntheticGrammar::start() const {
  State state;
  state.rest.push_back({Slot::opening});
  return state;
}

std::vector<SyntheticGrammar::Rule> SyntheticGrammar::rules(const Item& item, const State& state) const {
  if (item.slot == Slot::word) return {{100, item.words, {}}};
  const bool of_hero = item.slot == Slot::arriving || item.slot == Slot::clause;
  const Person who = of_hero ? persons_[static_cast<std::size_t>(state.hero)] : item.who;
  auto column = static_cast<std::size_t>(std::min<int>(item.depth, deepest));
  if (item.slot == Slot::sentence) column = state.sentences >= shortest_body ? 1 : 0;
  if (item.slot == Slot::quote) {
    column = 0;
    for (const Item& open : state.rest) {
      if (open.words.count == 1 && open.words.first == token("\"")) column = 1;
      if (open.words.count == 1 && open.words.first == token("'")) column = 2;
    }
  }
  std::vector<Rule> out;
  for (const Production& production : productions_[index(item.slot)]) {
    Rule& rule = out.emplace_back(Rule{production.percents[column], {}, {}});
    rule.then.reserve(production.symbols.size());
    for (const Symbol& symbol : production.symbols) {
      Item part{symbol.slot, symbol.agrees ? Person::of_noun : who, item.depth, symbol.words[index(who)]};
      if (symbol.deeper) ++part.depth;
      if (symbol.hero) part.words = {state.hero, 1};
      if (symbol.treasure && state.treasure >= 0) part.words = {state.treasure, 1};
      if (symbol.slot == Slot::opening) part = {Slot::opening};  // a new story
      if (&symbol == &production.symbols.front()) {
        rule.words = part.words;
      } else {
        rule.then.push_back(part);
      }
    }
  }
  return out;
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
