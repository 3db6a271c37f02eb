#include <cmath>
#include <map>
#include <memory>
#include <regex>
#include <set>

#include "models/beam.hpp"
#include "models/constraint/constraint.hpp"
#include "models/generate.hpp"
#include "models/ngram/ngram.hpp"
#include "models/text_model.hpp"
#include "tests/support/catch.hpp"
#include "text/bpe.hpp"
#include "text/prompt.hpp"
#include "text/synthetic.hpp"
#include "text/tokenizer.hpp"

// Generated texts that are limited to an expression or to words.

using namespace gradus;
using namespace gradus::models;
using Catch::Contains;

namespace {

using Prompts = std::vector<std::vector<std::int32_t>>;

/// All texts of up to so many of the letters.
std::vector<std::string> all_texts(std::string_view letters, std::size_t longest) {
  std::vector<std::string> out{""};
  for (std::size_t begin = 0, size = 1; size <= longest; ++size) {
    const std::size_t end = out.size();
    for (; begin < end; ++begin) {
      for (const char letter : letters) out.push_back(out[begin] + letter);
    }
  }
  return out;
}

bool accepted(const TextAutomaton& automaton, std::string_view text) {
  return automaton.accepts(automaton.after(automaton.start(), text));
}
bool alive(const TextAutomaton& automaton, std::string_view text) {
  return automaton.is_alive(automaton.after(automaton.start(), text));
}

const std::vector<std::string> expressions{"a",
                                           "ab|ba",
                                           "(a|b)*c",
                                           "a+b?c*",
                                           "(?:ab){2}",
                                           "(a|bc){1,2}b?",
                                           "[a-b]+c",
                                           "[^a]b",
                                           "a.c",
                                           "(a*)*b",
                                           "(a|ab)(c|bcc)(a*)",
                                           "((a|b)(b|c)){0,2}",
                                           "a{2,}",
                                           "a{0}b",
                                           "[]a]b|c",
                                           "\\x61[b\\-c]",
                                           "(|a)b",
                                           "a??b",
                                           "\\w\\W?",
                                           "[\\d\\Dab]c",
                                           "(a(b(c)?)?)?",
                                           "a{,2}",
                                           "\\{b|c\\}"};

TrainedModel trained(Unit unit, std::string_view text, int order) {
  const Vocabulary v = Vocabulary::build(unit, text, {.max_size = unit == Unit::subword ? 300 : 0});
  NgramModel model(encode(v, text), static_cast<std::int32_t>(v.size()), {.order = order});
  return {v, ErasedModel(std::move(model)), "ngram"};
}

}  // namespace

TEST_CASE("an automaton accepts what its expression matches, and lives while it may",
          "[models][constraint]") {
  const std::vector<std::string> texts = all_texts("abc", 6);
  for (const std::string& expression : expressions) {
    INFO(expression);
    const std::regex reference(expression == "a{,2}"     ? "a\\{,2\\}"
                               : expression == "[]a]b|c" ? "[\\]a]b|c"
                                                         : expression);
    const TextAutomaton automaton = TextAutomaton::of_expression(expression);
    std::set<std::string> beginnings;
    for (const std::string& text : texts) {
      const bool matches = std::regex_match(text, reference);
      REQUIRE(accepted(automaton, text) == matches);
      for (std::size_t i = 0; matches && i <= text.size(); ++i) beginnings.insert(text.substr(0, i));
    }
    // Each of these expressions that goes on from a text of up to 3 letters does so within 3 more of the
    // three, unless it needs another character.
    for (const std::string& text : all_texts("abc", 3)) {
      if (beginnings.contains(text)) {
        INFO(text);
        CHECK(alive(automaton, text));
      }
    }
    for (const std::string& text : beginnings) CHECK(alive(automaton, text));
  }
  const TextAutomaton closed = TextAutomaton::of_expression("(ab|ba){1,2}");
  for (const std::string& text : all_texts("abc", 6)) {
    bool begins = false;
    for (const char* const whole : {"ab", "ba", "abab", "abba", "baab", "baba"})
      begins |= std::string_view(whole).starts_with(text);
    CHECK(alive(closed, text) == begins);
  }
}

TEST_CASE("an automaton lives only while some text goes on so", "[models][constraint]") {
  // Of expressions that need no other characters and no more than 3 further ones.
  for (const char* const expression : {"ab|ba", "(?:ab){2}", "(a|bc){1,2}b?", "[a-b]+c", "[]a]b|c", "a{0}b",
                                       "(a|ab)(c|bcc)(a*)", "((a|b)(b|c)){0,2}", "(a(b(c)?)?)?"}) {
    INFO(expression);
    const TextAutomaton automaton = TextAutomaton::of_expression(expression);
    std::set<std::string> beginnings;
    for (const std::string& text : all_texts("abc", 7)) {
      if (!accepted(automaton, text)) continue;
      for (std::size_t i = 0; i <= text.size(); ++i) beginnings.insert(text.substr(0, i));
    }
    for (const std::string& text : all_texts("abc", 4)) {
      INFO(text);
      const bool other = std::string_view(expression).starts_with("[]") && text.empty();  // "]b" too
      CHECK((alive(automaton, text) == beginnings.contains(text) || other));
    }
  }
}

TEST_CASE("tokens that are no text, or are banned, are not written for their spelling",
          "[models][constraint]") {
  TrainedModel model = trained(Unit::word, "a <unk> b a <unk> b\na b\n", 2);
  const std::vector<std::int32_t> prompt = prompt_ids(model.vocabulary, "");
  GenerateOptions how{.max_tokens = 8, .banned = ids_without_text(model, false)};
  how.constraint = constrained(model, TextAutomaton::of_expression("[a<].*"));
  for (how.seed = 1; how.seed < 20; ++how.seed) {
    for (const std::int32_t token : generate(model.model, prompt, how))
      CHECK(token != model.vocabulary.unknown());
  }
  model.document_end = model.vocabulary.id("b");
  how.constraint = constrained(model, TextAutomaton::of_expression("a.*"));
  for (how.seed = 1; how.seed < 20; ++how.seed) {
    for (const std::int32_t token : generate(model.model, prompt, how))
      CHECK(token == model.vocabulary.id("a"));
  }
  // A special token ends a complete text, and its spelling is none, though the expression has it.
  const std::string line = "ab <|end|> ab\n";
  const auto bpe = std::make_shared<const Bpe>(Bpe::train(line, {.size = 260, .special = {"<|end|>"}}));
  const Vocabulary subwords = Vocabulary::of(bpe);
  const std::int32_t end = bpe->special().front();
  NgramModel counts(encode(subwords, line), static_cast<std::int32_t>(subwords.size()), {.order = 2});
  const TrainedModel of_subwords{subwords, ErasedModel(std::move(counts)), "ngram"};
  const auto limited = constrained(of_subwords, TextAutomaton::of_expression("ab( <\\|end\\|>)?"));
  CHECK(limited->is_end(end));
  const auto behind = limited->after(encode(subwords, "ab "));
  CHECK(behind->goes_on);
  CHECK_FALSE(behind->allowed[static_cast<std::size_t>(end)]);
  CHECK(behind->allowed[static_cast<std::size_t>(subwords.id("<"))]);
  // Ever new states take no more memory than some.
  const TextAutomaton many = TextAutomaton::of_expression("(a|b)*a(a|b){18}");
  const Vocabulary letters = Vocabulary::build(Unit::character, "ab\n");
  constexpr std::size_t kept = 5000;
  const Constraint of(many, letters, {}, {}, kept);
  std::size_t emptied = 0;
  Constraint::Position position = of.start();
  Rng rng(1);
  for (int i = 0; i < 3000; ++i) {
    const std::size_t before = of.known_bytes();
    CHECK(of.next(position)->goes_on);
    CHECK(of.known_bytes() < kept + 1000);
    emptied += of.known_bytes() < before ? 1 : 0;
    position = of.after(position, letters.id(rng.uniform() < 0.5 ? "a" : "b"));
    if (i % 50 == 49) position = of.start();
  }
  CHECK(emptied > 10);
}

TEST_CASE("an automaton reads characters beyond ASCII byte by byte", "[models][constraint]") {
  const TextAutomaton some = TextAutomaton::of_expression("[ä-ü]+€?|\\x{1F600}");
  CHECK(accepted(some, "äöü"));
  CHECK(accepted(some, "ö€"));
  CHECK(accepted(some, "\xF0\x9F\x98\x80"));
  CHECK_FALSE(accepted(some, "a"));
  CHECK_FALSE(accepted(some, "\xF0\x9F\x98\x81"));
  CHECK(alive(some, "\xC3"));
  CHECK_FALSE(alive(some, "\xC4"));  // no character that begins so is in the class
  CHECK(alive(some, "ä\xE2\x82"));
  CHECK_FALSE(alive(some, "\xE2\x82"));
  CHECK(alive(some, "\xF0\x9F"));
  CHECK_FALSE(alive(some, "\xF0\x9E"));
  CHECK_FALSE(accepted(some, "ä\xE2\x82"));
  const TextAutomaton any = TextAutomaton::of_expression(".*");
  for (const char* const wrong : {"\x80", "\xC0\x80", "\xE0\x80", "\xED\xA0", "\xF4\x90", "\xFF", "a\xC3z"}) {
    INFO(wrong);
    CHECK_FALSE(alive(any, wrong));
  }
  CHECK(alive(any, "\xED\x9F"));
  CHECK_FALSE(alive(any, "\n"));
}

TEST_CASE("what is no expression is refused with its place", "[models][constraint]") {
  const auto refused = [](std::string_view expression, const char* place, const char* what) {
    INFO(expression);
    CHECK_THROWS_WITH(TextAutomaton::of_expression(expression), Contains(place) && Contains(what));
  };
  refused("ab(c", "at byte 2", "nothing closes");
  refused("a)", "at byte 1", "closes nothing");
  refused("[ab", "at byte 0", "nothing closes");
  refused("*a", "at byte 0", "nothing before it");
  refused("a**", "at byte 2", "behind a quantifier");
  refused("a{3,2}", "at byte", "smaller");
  refused("^a$", "at byte 0", "left out");
  refused("(a)\\1", "at byte 3", "not known");
  refused("\\bab", "at byte 0", "not known");
  refused("(?=a)b", "at byte 0", "(?:...) alone");
  refused("[b-a]", "at byte 2", "range");
  refused("[[:alpha:]]", "at byte 1", "[:alpha:]");
  refused("a\\", "at byte 1", "nothing behind it");
  refused("\\x{110000}", "at byte 0", "no character");
  refused("\xC3(", "at byte 0", "invalid UTF-8");
  refused("a{10001}", "at byte", "above 10000");
  refused(std::string(1000, '('), "at byte 500", "too many groups");
  CHECK_THROWS_WITH(TextAutomaton::of_expression("((a{1000}){1000}){1000}"),
                    Contains("more than 1000000 states and edges"));
  CHECK_THROWS_WITH(TextAutomaton::of_expression("[" + std::string(500'000, 'a') + "]{9000}", 2000),
                    Contains("more than 2000"));
  std::string choices = "a";
  for (int i = 0; i < 100'000; ++i) choices += "|a?";
  CHECK_THROWS_WITH(TextAutomaton::of_expression(choices, 2000), Contains("more than 2000 states"));
  CHECK_THROWS_WITH(TextAutomaton::of_words(std::vector<std::string>{".", ""}), Contains("no word"));
  CHECK_THROWS_AS(TextAutomaton::of_words(std::vector<std::string>{"\xFF"}), DataError);
}

TEST_CASE("texts of any tokens match their expression", "[models][constraint]") {
  const std::string text = synthetic_corpus(3, 3000).text;
  for (const Unit unit : {Unit::word, Unit::character, Unit::byte, Unit::subword}) {
    const TrainedModel model = trained(unit, text, 3);
    const TextModel of(model);
    for (const std::string expression : {"[a-z]{2,4} [a-z ]*\\.", "the (king|queen|[a-m]+) [ -~]{0,20}",
                                         "([a-z']+ )*[a-z,']+ \\.\n(the|a|an|[a-z]+)"}) {
      INFO(name_of(unit) << ", " << expression);
      const std::regex reference(expression);
      TextOptions how;
      how.constraint = constrained(model, TextAutomaton::of_expression(expression));
      how.max_tokens = 200;
      how.allow_unknown = true;
      int complete = 0;
      for (how.seed = 1; how.seed <= 20; ++how.seed) {
        const std::vector<std::int32_t> tokens = generate(model.model, prompt_ids(model.vocabulary, ""), how);
        if (!how.constraint->after(tokens)->complete) continue;
        ++complete;
        const std::string written = decode(model.vocabulary, tokens);
        INFO(written);
        CHECK(std::regex_match(written, reference));
        CHECK(of.generate("", how) == written);
      }
      CHECK(complete >= (unit == Unit::word ? 1 : 15));  // few words fit the first expression
    }
  }
}

TEST_CASE("allowed tokens keep their probabilities to one another", "[models][constraint]") {
  const TrainedModel model = trained(Unit::character, "abacabad abracadabra abba cab\n", 2);
  GenerateOptions how{.max_tokens = 1};
  how.constraint = constrained(model, TextAutomaton::of_expression("[abc]+"));
  const std::vector<std::int32_t> prompt = prompt_ids(model.vocabulary, "a");
  const Tensor log_probs =
      model.model.log_probs(advance(model.model, model.model.start(), std::span<const std::int32_t>(prompt)));
  std::map<std::string, double> expected, found;
  double total = 0;
  for (const char* const letter : {"a", "b", "c"})
    total += expected[letter] = std::exp(log_probs.at(model.vocabulary.id(letter)));
  constexpr int draws = 4000;
  const auto texts = generate(model.model, Prompts{prompt}, how, draws);
  for (const auto& text : texts) found[decode(model.vocabulary, text)] += 1;
  CHECK(found.size() == 3);
  for (const auto& [letter, p] : expected) {
    const double share = p / total;
    INFO(letter);
    CHECK(std::abs(found[letter] / draws - share) < 4 * std::sqrt(share * (1 - share) / draws) + 1e-9);
  }
  // One at a time they are the same.
  for (std::uint64_t i = 0; i < 20; ++i) {
    how.stream = i;
    CHECK(generate(model.model, prompt, how) == texts[i]);
  }
}

TEST_CASE("a search by beams finds the likeliest text of an expression", "[models][constraint]") {
  const TrainedModel model = trained(Unit::character, "abacabad abracadabra abba cab\nbad cab\n", 3);
  GenerateOptions how{.max_tokens = 10};
  how.constraint = constrained(model, TextAutomaton::of_expression("[abc]{3}d?"));
  const std::vector<std::int32_t> prompt = prompt_ids(model.vocabulary, "");
  const std::int32_t end = model.vocabulary.line_end();
  const auto found = beam_search(model.model, prompt, how, {.beams = 200, .length_penalty = 0});
  double best = -1e9;
  std::string best_text;
  for (const std::string& letters : all_texts("abc", 3)) {
    if (letters.size() != 3) continue;
    for (const std::string tail : {"", "d"}) {
      std::vector<std::int32_t> ids = prompt;
      for (const char c : letters + tail) ids.push_back(model.vocabulary.id(std::string(1, c)));
      if (tail.empty()) ids.push_back(end);  // behind the d nothing may follow, and the text ends by itself
      double log_prob = 0;
      for (const double one : score(model.model, ids)) log_prob += one;
      if (log_prob > best) {
        best = log_prob;
        best_text = letters + tail;
      }
    }
  }
  CHECK(decode(model.vocabulary, found.front().tokens) == best_text);
  CHECK(found.front().log_prob == Approx(best).epsilon(1e-5));
}

TEST_CASE("a list of words is all that is written", "[models][constraint]") {
  const std::vector<std::string> list{"the", "king", "kin", "don't", "a", "("};
  const TextAutomaton words = TextAutomaton::of_words(list);
  for (const char* const text : {"", "the", "the king, a king!", "don't (the) king\n", " kin.kin"}) {
    INFO(text);
    CHECK(accepted(words, text));
  }
  for (const char* const text : {"th", "theking", "kings", "the x", "don", "thé"}) {
    INFO(text);
    CHECK_FALSE(accepted(words, text));
  }
  CHECK(alive(words, "the don'"));
  CHECK_FALSE(alive(words, "the x"));
  const std::string text = synthetic_corpus(3, 3000).text;
  const std::vector<std::string> some{"the", "a", "of", "and", "is", "was", "in", "to"};
  for (const Unit unit : {Unit::word, Unit::character, Unit::subword}) {
    INFO(name_of(unit));
    const TrainedModel model = trained(unit, text, 3);
    GenerateOptions how{.max_tokens = 60, .banned = ids_without_text(model, false)};
    how.constraint = constrained(model, TextAutomaton::of_words(some));
    std::string written =
        decode(model.vocabulary, generate(model.model, prompt_ids(model.vocabulary, ""), how));
    CHECK(written.size() > 20);
    // But for the last, which may have been cut off.
    written.resize(written.find_last_of(" .\n,") + 1);
    for (char& c : written) c = c >= 'a' && c <= 'z' ? c : ' ';
    std::istringstream all(written);
    for (std::string word; all >> word;) CHECK(std::ranges::find(some, word) != some.end());
  }
}

TEST_CASE("a text that may not begin is empty, and one that is complete may end at once",
          "[models][constraint]") {
  const TrainedModel model = trained(Unit::character, "abba\ncab\n", 2);
  const std::vector<std::int32_t> prompt = prompt_ids(model.vocabulary, "");
  GenerateOptions how{.max_tokens = 5};
  how.constraint = constrained(model, TextAutomaton::of_expression(""));
  CHECK(generate(model.model, prompt, how).empty());
  CHECK(generate(model.model, Prompts{prompt, prompt}, how).size() == 2);
  CHECK(beam_search(model.model, prompt, how).empty());
  how.constraint = constrained(model, TextAutomaton::of_expression("z+"));  // there is no such token
  CHECK(generate(model.model, prompt, how).empty());
  CHECK_FALSE(how.constraint->after({})->complete);
  how.constraint = constrained(model, TextAutomaton::of_expression("(ab)?"));
  std::set<std::string> found;
  for (const auto& text : generate(model.model, Prompts{prompt}, how, 200))
    found.insert(decode(model.vocabulary, text));
  CHECK(found == std::set<std::string>{"", "ab"});
}
