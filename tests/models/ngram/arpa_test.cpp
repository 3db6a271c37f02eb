#include "models/ngram/arpa/arpa.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "models/checkpoint.hpp"
#include "models/evaluate.hpp"
#include "models/ngram/store/writer.hpp"
#include "tensor/random.hpp"
#include "tests/models/ngram/ngram_collector.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/shared_text.hpp"
#include "text/bpe.hpp"

using namespace gradus;
using namespace gradus::models;
using Catch::Contains;
using gradus::test::Collector;
using gradus::test::Folder;
using gradus::test::read_bytes;
using gradus::test::renamed;
using gradus::test::shared_path;
using gradus::test::shared_text;
using gradus::test::with_line_end_first;

namespace {

const double ln10 = std::log(10.0);
const std::string text =
    "the cat sat .\nthe dog sat on the cat .\n\nthe cat ran on a mat .\na dog ran .\nthe dog sat .\n";

NgramModel trained(const Vocabulary& vocabulary, int order, const std::string& of = text) {
  return {encode(vocabulary, of),
          static_cast<std::int32_t>(vocabulary.size()),
          {.order = order, .sentence_end = vocabulary.unit() == Unit::word ? vocabulary.line_end() : -1}};
}

/// The lines of an ARPA text as another toolkit might write them: without our own lines, changed by `change`,
/// and with the n-grams of each section in another order.
std::string foreign(const std::string& arpa, const std::function<std::string(std::string)>& change) {
  std::istringstream in(arpa.substr(arpa.find("\\data\\")));
  std::string out, line;
  std::vector<std::string> section;
  const auto flush = [&] {
    std::sort(section.begin(), section.end(), std::greater<>());
    for (const std::string& ngram : section) out += change(ngram);
    section.clear();
  };
  while (std::getline(in, line)) {
    if (line.find('\t') != line.npos) {
      section.push_back(line + "\n");
    } else {
      flush();
      out += change(line + "\n");
    }
  }
  return out;
}

std::string replaced(std::string where, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = where.find(from, at)) != where.npos; at += to.size())
    where.replace(at, from.size(), to);
  return where;
}

/// log p of each token of a text of words, by a model with its own vocabulary.
std::vector<double> scores(const NgramModel& model, const Vocabulary& vocabulary, const std::string& words) {
  return score(model, with_line_end_first(vocabulary, words));
}

void check_equal(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i] == Approx(b[i]).epsilon(1e-6));
}

/// A trigram model of two sentences, as a person would write it.
const std::string small =
    "some words of its maker\n"
    "\\data\\\n"
    "ngram 1=5\n"
    "ngram 2=3\n"
    "ngram 3=2\n"
    "\n"
    "\\1-grams:\n"
    "-99\t<s>\t-0.5\n"
    "-0.7\t</s>\n"
    "-0.4 a -0.25\n"
    "-0.6\tb\t-0.125\n"
    "-1.5\t<unk>\n"
    "\n"
    "\\2-grams:\n"
    "-0.3\t<s> a\t-0.2\n"
    "-0.2\ta b\n"
    "-0.1\tb </s>\n"
    "\n"
    "\\3-grams:\n"
    "-0.05\t<s> a b\n"
    "-0.15\tb a b\n"
    "\n"
    "\\end\\\n";

}  // namespace

TEST_CASE("an ARPA file of KenLM gives its scores", "[arpa]") {
  const std::string test = renamed(shared_text("reference/kenlm_small.test.txt.gz"));
  if (test.empty()) return;
  const TrainedModel read = load_model(shared_path("reference/kenlm_small.o3.arpa.gz"));
  const auto& model = read.model.get<NgramModel>();
  CHECK(model.counts() == std::vector<std::int64_t>{4827, 17421, 24978});
  CHECK(read.vocabulary.symbol(1) == "</s>");
  std::istringstream lines(test), expected(shared_text("reference/kenlm_small.test.scores.tsv"));
  std::string line;
  double log10 = 0;
  int unknown = 0, count = 0;
  while (std::getline(lines, line) && expected >> log10 >> unknown) {
    const Evaluation e = evaluate(model, with_line_end_first(read.vocabulary, line + "\n"), 1, 0);
    CHECK(e.log_prob / ln10 == Approx(log10).epsilon(0).margin(1e-4 + 5e-7 * std::abs(log10)));
    CHECK(e.unknown == unknown);
    ++count;
  }
  CHECK(count == 100);
}

TEST_CASE("an ARPA file gives back the model it was written from, plain and packed", "[arpa]") {
  const Folder folder;
  for (const Unit unit : {Unit::word, Unit::character, Unit::byte}) {
    // A text has no word <s>, but a vocabulary may list it.
    const std::string listed = Vocabulary::build(unit, text + "\\ \\x3cs> <S>\n").serialize();
    const Vocabulary vocabulary = Vocabulary::parse(replaced(listed, "\t<S>\n", "\t<s>\n"));
    const NgramModel model(encode(vocabulary, text), static_cast<std::int32_t>(vocabulary.size()),
                           {.order = 4, .sentence_end = unit == Unit::word ? vocabulary.line_end() : -1});
    Collector written, plain, packed;
    model.write_to(written);
    write_arpa(folder.path() / "m.arpa", model, vocabulary);
    write_arpa(folder.path() / "m.arpa.gz", model, vocabulary);
    CHECK(read_bytes(folder.path() / "m.arpa") == to_arpa(model, vocabulary));
    CHECK(read_bytes(folder.path() / "m.arpa.gz").starts_with("\x1f\x8b"));
    const ArpaFile file(folder.path() / "m.arpa"), gz(folder.path() / "m.arpa.gz");
    CHECK(file.vocabulary() == vocabulary);
    CHECK(file.inserted() == 0);
    CHECK(file.counts() == model.counts());
    file.write_to(plain);
    gz.write_to(packed);
    CHECK(plain.orders == packed.orders);
    CHECK(plain.description.sentence_end == written.description.sentence_end);
    CHECK(plain.description.method == written.description.method);
    REQUIRE(plain.orders.size() == written.orders.size());
    for (std::size_t n = 0; n < plain.orders.size(); ++n) {
      REQUIRE(plain.orders[n].size() == written.orders[n].size());
      for (const auto& [ngram, value] : written.orders[n]) {
        const Collector::Value* const found = plain.find(ngram);
        REQUIRE(found != nullptr);
        if (std::isinf(value.log_prob)) {
          CHECK(found->log_prob == value.log_prob);
        } else {
          CHECK(found->log_prob == Approx(value.log_prob).epsilon(1.2e-7));
        }
        CHECK(found->backoff == Approx(value.backoff).epsilon(1.2e-7));
      }
    }
  }
  CHECK(folder.files() == 2);  // nothing temporary left
}

TEST_CASE("an ARPA file is written whole or not at all", "[arpa]") {
  const Folder folder;
  const Vocabulary vocabulary = Vocabulary::build(Unit::word, text);
  const NgramModel model = trained(vocabulary, 2);
  CHECK_THROWS_WITH(write_arpa(folder.path() / "none" / "m.arpa", model, vocabulary),
                    Contains("make its folder first"));
  if (std::filesystem::exists("/dev/full"))
    CHECK_THROWS_WITH(write_arpa("/dev/full", model, vocabulary), Contains("free some space"));
  const NgramModel add_k(encode(vocabulary, text), static_cast<std::int32_t>(vocabulary.size()),
                         {.order = 2, .method = NgramMethod::add_k});
  CHECK_THROWS_WITH(write_arpa(folder.path() / "m.arpa", add_k, vocabulary), Contains("no backoff form"));
  CHECK(folder.files() == 0);
}

TEST_CASE("ARPA files of other toolkits give the same distributions", "[arpa]") {
  const Vocabulary vocabulary = Vocabulary::build(Unit::word, text);
  const NgramModel model = trained(vocabulary, 3);
  const std::string arpa = to_arpa(model, vocabulary);
  const std::string words = "the cat sat on a mat .\n\ndog cat zebra the .\na dog ran on the cat .\n";
  const std::vector<double> expected = scores(model, vocabulary, words);
  const auto same = [](std::string line) { return line; };
  const std::map<std::string, std::function<std::string(std::string)>> styles{
      {"KenLM", same},
      {"spaces", [](std::string line) { return replaced(std::move(line), "\t", " "); }},
      {"tabs", [](std::string line) { return replaced(std::move(line), " ", "\t"); }},
      {"DOS", [](std::string line) { return replaced(std::move(line), "\n", " \r\n"); }},
      {"no backoff weight of 0", [](std::string line) { return replaced(std::move(line), "\t0\n", "\n"); }},
      {"<s> as KenLM has it", [](std::string line) { return replaced(std::move(line), "-99\t", "0\t"); }},
      {"<s> as CMU has it",
       [](std::string line) { return replaced(std::move(line), "-99\t", "-98.9031\t"); }},
      {"markers in capitals",
       [](std::string line) {
         if (line.find('\t') != line.npos) return line;
         return replaced(replaced(replaced(line, "data", "DATA"), "-grams", "-GRAMS"), "end", "END");
       }},
      {"<UNK>", [](std::string line) { return replaced(std::move(line), "<unk>", "<UNK>"); }},
  };
  for (const auto& [name, style] : styles) {
    INFO(name);
    std::string changed = foreign(arpa, style);
    if (name == "tabs") changed = replaced(changed, "ngram\t", "ngram ");
    const ArpaModel read = from_arpa(changed, name);
    CHECK(read.vocabulary.size() == vocabulary.size());
    CHECK(read.vocabulary.symbol(0) == "<unk>");
    check_equal(scores(read.model, read.vocabulary, words), expected);
  }
}

TEST_CASE("a model has the numbers of its ARPA file", "[arpa]") {
  const ArpaModel read = from_arpa(small, "small");
  const auto log10 = [&](std::vector<const char*> context, const char* word) {
    std::vector<std::int32_t> ids;
    for (const char* const w : context) {
      const bool begins = std::string(w) == "<s>";
      ids.push_back(begins ? read.model.vocab_size() : read.vocabulary.id(w));
    }
    return read.model.log_prob(read.model.context(ids), read.vocabulary.id(word)) / ln10;
  };
  CHECK(log10({}, "a") == Approx(-0.4));
  CHECK(log10({"a"}, "a") == Approx(-0.25 - 0.4));
  CHECK(log10({"<s>"}, "b") == Approx(-0.5 - 0.6));
  CHECK(log10({"<s>", "a"}, "b") == Approx(-0.05));
  CHECK(log10({"<s>", "a"}, "</s>") == Approx(-0.2 - 0.25 - 0.7));
  CHECK(log10({"a", "b"}, "</s>") == Approx(-0.1));
  CHECK(log10({"a"}, "zebra") == Approx(-0.25 - 1.5));
  // "b a" is the context of a trigram but is not listed: its probability is that of backing off, its weight
  // 1.
  CHECK(log10({"b", "a"}, "b") == Approx(-0.15));
  CHECK(log10({"b"}, "a") == Approx(-0.125 - 0.4));
  CHECK(log10({"b", "a"}, "a") == Approx(-0.25 - 0.4));
  CHECK(ArpaFile(small, "small").inserted() == 1);
}

TEST_CASE("contexts and suffixes that pruning left out are put back", "[arpa]") {
  const std::string arpa =
      "\\data\\\nngram 1=5\nngram 2=1\nngram 3=0\nngram 4=1\n\n\\1-grams:\n-1\t<s>\t-0.5\n-0.7\t</s>\n"
      "-0.4\ta\t-0.25\n-0.6\tb\t-0.125\n-0.9\tc\t-0.375\n\n\\2-grams:\n-0.3\tb c\t-0.2\n\n\\3-grams:\n\n"
      "\\4-grams:\n-0.01\t<s> a b c\n\n\\end\\\n";
  const ArpaFile file(arpa, "pruned");
  // <s> a b, a b c; <s> a, a b.
  CHECK(file.inserted() == 4);
  CHECK(file.counts() == std::vector<std::int64_t>{6, 3, 2, 1});
  Collector all;  // which wants contexts and suffixes
  file.write_to(all);
  const std::int32_t end = 1, a = 2, b = 3, c = 4, begin = 5;
  CHECK(file.vocabulary().id("</s>") == end);
  CHECK(all.find({begin, a})->log_prob == Approx((-0.5 - 0.4) * ln10));
  CHECK(all.find({a, b})->log_prob == Approx((-0.25 - 0.6) * ln10));
  CHECK(all.find({a, b, c})->log_prob == Approx(-0.3 * ln10));
  CHECK(all.find({begin, a, b})->log_prob == Approx((-0.25 - 0.6) * ln10));
  CHECK(all.find({begin, a, b})->backoff == 0);
  CHECK(all.find({begin, a, b, c})->log_prob == Approx(-0.01 * ln10));
  // The file lists no <unk>, which gets the probability of KenLM or of SRILM.
  CHECK(all.find({0})->log_prob == Approx(-100 * ln10));
  Collector srilm;
  ArpaFile(arpa, "pruned", {.missing_unknown = -std::numeric_limits<double>::infinity()}).write_to(srilm);
  CHECK(std::isinf(srilm.find({0})->log_prob));
}

TEST_CASE("words are spelled as they are, so that other toolkits know them", "[arpa]") {
  // A vertical tab, a form feed, backslashes, and words that look like escapes or are long.
  const std::string words =
      "a\vb a\fb \\ a\\b \\x5cx41 \\x20 \\x0b \\xff \\\\x3cs> " + std::string(3'000'000, 'w');
  const Vocabulary vocabulary = Vocabulary::build(Unit::word, words);
  const NgramModel model = trained(vocabulary, 2, words);
  const std::string arpa = to_arpa(model, vocabulary);
  for (const std::string word : {"a\vb", "a\fb", "\\", "a\\b", "\\xff"})
    CHECK_THAT(arpa, Contains("\t" + word + "\t"));
  const ArpaModel read = from_arpa(arpa, "f");
  CHECK(read.vocabulary == vocabulary);
  check_equal(scores(read.model, read.vocabulary, words), scores(model, vocabulary, words));
  // The bytes that separate words stay escaped, and any byte is told from the words that look like it.
  for (const Unit unit : {Unit::character, Unit::byte}) {
    const std::string strange = "a b\tc\rd\n\\x20 \\\v\x7F";
    const Vocabulary symbols = Vocabulary::build(unit, strange);
    const NgramModel of_symbols = trained(symbols, 2, strange);
    const ArpaModel back = from_arpa(to_arpa(of_symbols, symbols), "f");
    CHECK(back.vocabulary == symbols);
    check_equal(scores(back.model, back.vocabulary, strange), scores(of_symbols, symbols, strange));
  }
}

TEST_CASE("our files of the earlier spelling, with every backslash escaped, are read", "[arpa]") {
  const std::string words = "a\\b c\vd \\x20 e\n";
  const Vocabulary vocabulary = Vocabulary::build(Unit::word, words);
  const NgramModel model = trained(vocabulary, 2, words);
  const std::string now = to_arpa(model, vocabulary);
  const std::size_t data = now.find("\\data\\");
  std::string grams = now.substr(data);
  grams = replaced(grams, "a\\b", "a\\x5cb");
  grams = replaced(grams, "c\vd", "c\\x0bd");
  REQUIRE(grams != now.substr(data));
  const ArpaModel read = from_arpa(now.substr(0, data) + grams, "f");
  check_equal(scores(read.model, read.vocabulary, words), scores(model, vocabulary, words));
}

TEST_CASE("n-grams with <s> behind a word, which some toolkits write, change nothing", "[arpa]") {
  std::string more = replaced(small, "ngram 2=3", "ngram 2=5");
  more = replaced(more, "ngram 3=2", "ngram 3=3");
  more = replaced(more, "\\2-grams:\n", "\\2-grams:\n-99\t</s> <s>\t-0.3\n");
  more = replaced(more, "-0.1\tb </s>\n", "-0.1\tb </s>\n-2\ta <s>\t0.1\n");
  more = replaced(more, "\\3-grams:\n", "\\3-grams:\n-1\t</s> <s> a\n");
  const ArpaFile file(more, "f"), plain(small, "small");
  CHECK(file.counts() == plain.counts());
  const ArpaModel read = from_arpa(more, "f"), expected = from_arpa(small, "small");
  const std::string words = "a b\nb a b\n\na a\n";
  check_equal(scores(read.model, read.vocabulary, words), scores(expected.model, expected.vocabulary, words));
}

TEST_CASE("a byte order mark before an ARPA file is dropped", "[arpa]") {
  CHECK(looks_like_arpa("\xEF\xBB\xBF" + small));
  CHECK(ArpaFile("\xEF\xBB\xBF" + small, "f").counts() == ArpaFile(small, "f").counts());
}

TEST_CASE("a model without </s> is refused, or given one that is as likely as <unk>", "[arpa]") {
  const std::string none =
      "\\data\\\nngram 1=4\nngram 2=1\n\n\\1-grams:\n-1\t<s>\t-0.5\n-0.7\t<unk>\n-0.4\ta\t-0.25\n-0.6\tb\n\n"
      "\\2-grams:\n-0.3\ta b\n\n\\end\\\n";
  CHECK_THROWS_WITH(from_arpa(none, "f"), Contains("</s>") && Contains("--add-sentence-end"));
  const ArpaModel read = from_arpa(none, "f", {.add_sentence_end = true});
  const std::int32_t end = read.vocabulary.line_end();
  REQUIRE(end > 0);
  CHECK(read.model.log_prob(read.model.context({}), end) == Approx(-0.7 * ln10));
  const std::vector<std::int32_t> a{read.vocabulary.id("a")};
  CHECK(read.model.log_prob(read.model.context(a), end) == Approx((-0.25 - 0.7) * ln10));
  CHECK(read.model.log_prob(read.model.context(a), read.vocabulary.id("b")) == Approx(-0.3 * ln10));
}

TEST_CASE("an invalid ARPA file is refused, with the line", "[arpa]") {
  const auto refused = [](const std::string& from, const std::string& to) {
    std::string changed = small;
    changed.replace(changed.find(from), from.size(), to);
    INFO(from << " -> " << to);
    try {
      from_arpa(changed, "f");
    } catch (const DataError& error) {
      return std::string(error.what());
    }
    FAIL("accepted");
    return std::string();
  };
  CHECK_THAT(refused("ngram 2=3", "ngram 2=4"), Contains("f, line 18: 3 2-grams; line 4 names 4"));
  CHECK_THAT(refused("ngram 2=3", "ngram 2=2"), Contains("f, line 17") && Contains("more 2-grams"));
  CHECK_THAT(refused("ngram 3=2", "ngram 3=1"), Contains("f, line 21") && Contains("more 3-grams"));
  CHECK_THAT(refused("ngram 3=2", "ngram 3=9000000000000000000"), Contains("f, line 22: 2 3-grams; line 5"));
  CHECK_THAT(refused("ngram 3=2", "ngram 3=90000000000000000000"), Contains("f, line 5"));
  CHECK_THAT(refused("ngram 3=2", "ngram 3=-1"), Contains("f, line 5"));
  CHECK_THAT(refused("ngram 3=2", "ngram 4=2"), Contains("f, line 5: the count of order 4"));
  CHECK_THAT(refused("ngram 1=5\n", "\n"), Contains("f, line 3: no counts"));
  CHECK_THAT(refused("-0.2\ta b", "nan\ta b"), Contains("f, line 16: 'nan'"));
  CHECK_THAT(refused("-0.2\ta b", "x\ta b"), Contains("f, line 16: 'x'"));
  CHECK_THAT(refused("-0.2\ta b", "0.2\ta b"), Contains("f, line 16") && Contains("above 0"));
  CHECK_THAT(refused("-0.2\ta b", "inf\ta b"), Contains("f, line 16") && Contains("above 0"));
  CHECK_THAT(refused("-0.2\ta b", "-0.2\ta"), Contains("f, line 16: 1 words in a 2-gram"));
  CHECK_THAT(refused("-0.2\ta b", "-0.2\ta b c -1"), Contains("f, line 16: 'c'"));
  CHECK_THAT(refused("-0.2\ta b", "-0.2\ta b -1 -1"), Contains("f, line 16: '-1' after"));
  CHECK_THAT(refused("-0.2\ta b", "-0.2\ta b nan"), Contains("f, line 16: 'nan'"));
  CHECK_THAT(refused("-0.2\ta b", "-0.2\ta z"), Contains("f, line 16: the word 'z'"));
  CHECK_THAT(refused("-0.2\ta b", "-0.2\t<s> a"), Contains("f, line 16") && Contains("in line 15 already"));
  CHECK_THAT(refused("-0.6\tb", "-0.6\ta"), Contains("f, line 11: the word 'a'") && Contains("line 10"));
  CHECK_THAT(refused("-0.05\t<s> a b", "-0.05\t<s> a b\t-0.5"), Contains("f, line 20: a backoff"));
  CHECK_THAT(refused("</s>\n-0.4", "x\n-0.4"), Contains("</s>"));
  CHECK_THAT(refused("\\end\\\n", ""), Contains("f: ends after line 22, where \\end\\ should follow"));
  CHECK_THAT(refused("\\end\\\n", "\\end\\\nand more\n"), Contains("f, line 24: 'and more'"));
  CHECK_THAT(refused("\\2-grams:", "\\2-gram:"), Contains("f, line 14: '\\2-gram:'"));
  CHECK_THAT(refused("\\data\\", "data"), Contains("\\data\\ should follow"));
  CHECK_THAT(refused("-0.6\tb", std::string("-0.6\tb\0", 7)), Contains("f, line 11: a zero byte"));
  CHECK_THAT(refused("-0.6\tb", "-0.6\t\xff"), Contains("f, line 11") && Contains("UTF-8"));
  CHECK_THAT(refused("-0.6\tb", std::string(2'000'000, 'b')), Contains("f, line 11: 'bbbb"));
  CHECK_THAT(refused("-0.6\tb\t-0.125", "-0.6\tb\t3"),
             Contains("f, line 11:") && Contains("backing off would give it"));
  // In one of our own files, a word of the vocabulary without a unigram.
  const Vocabulary vocabulary = Vocabulary::build(Unit::word, text);
  std::string ours = to_arpa(trained(vocabulary, 1), vocabulary);
  const auto line_of = [&](const std::string& what) {
    const std::string before = ours.substr(0, ours.find(what));
    return std::to_string(1 + std::count(before.begin(), before.end(), '\n'));
  };
  ours = replaced(ours, "ngram 1=" + std::to_string(vocabulary.size() + 1),
                  "ngram 1=" + std::to_string(vocabulary.size()));
  const std::size_t tab = ours.rfind("\tsat\n"), line_begin = ours.rfind('\n', tab);
  REQUIRE(tab != ours.npos);
  const std::string first = std::to_string(std::stoi(line_of("\\1-grams:")) + 1);
  ours.erase(line_begin, tab + 4 - line_begin);
  CHECK_THROWS_WITH(from_arpa(ours, "f"), Contains("f, line " + first + ": no unigram") && Contains("'sat'"));
  std::string orders = "\\data\\\n";
  for (int n = 1; n < 100; ++n) orders += "ngram " + std::to_string(n) + "=1\n";
  CHECK_THROWS_WITH(from_arpa(orders, "f"), Contains("f, line 22: order 21"));
  CHECK_THROWS_AS(from_arpa("", "f"), DataError);
  CHECK_THROWS_WITH(from_arpa(std::string(40'000, '\n'), "f"), Contains("no ARPA file"));
}

TEST_CASE("a probability or a weight of zero is -99 in an ARPA file, and zero again when read", "[arpa]") {
  const Vocabulary vocabulary = Vocabulary::build(Unit::word, "a b\n");
  const auto end = static_cast<std::int32_t>(vocabulary.line_end());
  const float zero = -std::numeric_limits<float>::infinity();
  NgramWriter writer;
  writer.describe({.order = 2, .vocab = 4, .sentence_end = end, .method = "test"});
  writer.begin_order(1, 5);
  for (std::int32_t id = 0; id < 5; ++id)
    writer.add({&id, 1}, id == 4 || id == 2 ? zero : -1, id == 3 ? zero : -0.5F);
  writer.begin_order(2, 1);
  writer.add(std::vector<std::int32_t>{3, 2}, 0, 0);
  writer.finish();
  const NgramModel model = writer.model();
  const std::string arpa = to_arpa(model, vocabulary);
  INFO(arpa);
  CHECK(arpa.find("inf") == arpa.npos);
  CHECK(arpa.find("-99\t" + vocabulary.symbol(2) + "\t") != arpa.npos);
  CHECK(arpa.find("\t" + vocabulary.symbol(3) + "\t-99\n") != arpa.npos);
  Collector before, after;
  model.write_to(before);
  ArpaFile(arpa, "zeros").write_to(after);
  CHECK(after.find({2})->log_prob == zero);
  CHECK(after.find({3})->backoff == zero);
  CHECK(after.find({1})->backoff == Approx(-0.5));
  // In the file of another toolkit the weight is an ordinary number, as for KenLM.
  Collector foreign_one;
  ArpaFile(arpa.substr(arpa.find("\\data\\")), "zeros").write_to(foreign_one);
  CHECK(std::count_if(foreign_one.orders[0].begin(), foreign_one.orders[0].end(),
                      [](const auto& entry) { return entry.second.backoff == Approx(-99 * ln10); }) == 1);
}

TEST_CASE("a packed ARPA file that is damaged or cut short is refused", "[arpa]") {
  const Folder folder;
  const Vocabulary vocabulary = Vocabulary::build(Unit::word, text);
  write_arpa(folder.path() / "m.gz", trained(vocabulary, 3), vocabulary);
  const std::string bytes = read_bytes(folder.path() / "m.gz");
  for (std::size_t length = 3; length < bytes.size(); length += 13)
    CHECK_THROWS_WITH(ArpaFile(folder.write("cut.gz", bytes.substr(0, length))), Contains("cut.gz"));
  for (std::size_t at = 10; at < bytes.size(); at += 17) {
    std::string spoiled = bytes;
    spoiled[at] = static_cast<char>(spoiled[at] ^ 0x55);
    CHECK_THROWS_WITH(ArpaFile(folder.write("spoiled.gz", spoiled)), Contains("spoiled.gz"));
  }
  CHECK_THROWS_WITH(ArpaFile(folder.path() / "none"), Contains("none") && Contains("cannot be opened"));
  CHECK_THROWS_WITH(ArpaFile(folder.path()), Contains("is a folder"));
}

TEST_CASE("2,000 corrupted ARPA files give an error or a model, and never crash", "[arpa]") {
  const Vocabulary vocabulary = Vocabulary::build(Unit::word, text);
  const std::string own = to_arpa(trained(vocabulary, 3), vocabulary);
  const std::string other = foreign(own, [](std::string line) { return line; });
  const std::vector<std::string> pieces{"\\data\\", "\\end\\", "\\2-grams:", "ngram 1=99999999999",
                                        "<s>",      "</s>",    "nan",        "-inf",
                                        "1e999",    "\t",      "\n",         "\r\n",
                                        "-99",      "<unk>",   "# ",         std::string(1, '\0')};
  Rng rng(5);
  int refused = 0, accepted = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string bytes = i % 2 == 0 ? own : other;
    const auto place = [&] { return rng.below(bytes.size() + 1); };
    for (std::uint64_t change = 0, changes = 1 + rng.below(4); change < changes; ++change) {
      const std::size_t at = place();
      const std::size_t length = std::min<std::size_t>(rng.below(40), bytes.size() - at);
      switch (rng.below(6)) {
        case 0:
          bytes.insert(at, 1, static_cast<char>(rng.below(256)));
          break;
        case 1:
          bytes.erase(at, length);
          break;
        case 2:
          bytes.insert(at, pieces[rng.below(pieces.size())]);
          break;
        case 3:
          bytes.insert(place(), bytes.substr(at, length));
          break;
        case 4:
          bytes.resize(at);
          break;
        default:
          if (at < bytes.size()) bytes[at] = "0123456789-.\t \n"[rng.below(15)];
      }
      if (bytes.empty()) bytes = own;
    }
    try {
      const ArpaModel read = from_arpa(bytes, "spoiled");
      for (const double log_prob : scores(read.model, read.vocabulary, "the cat sat .\n"))
        CHECK(!std::isnan(log_prob));
      ++accepted;
    } catch (const Error& error) {
      CHECK_THAT(error.what(), Contains("spoiled"));
      ++refused;
    }
  }
  CHECK(refused > 1000);
  CHECK(accepted > 10);
}

TEST_CASE("ids that are spelled alike are not written as ARPA", "[ngram]") {
  const Bpe bpe = Bpe::train(text, {.size = 265});
  const auto last = static_cast<std::int32_t>(bpe.size()) - 1;
  auto content = nlohmann::json::parse(bpe.to_json());
  content["added_tokens"] = {{{"id", last + 1}, {"content", bpe.token(last)}, {"special", false}}};
  const auto twins = std::make_shared<Bpe>(Bpe::parse_json(content.dump(), "tokenizer.json"));
  const Vocabulary vocabulary = Vocabulary::of(twins);
  const Folder folder;
  const auto write = [&] { save_ngram(folder.path() / "x.arpa", trained(vocabulary, 2), vocabulary); };
  CHECK_THROWS_WITH(write(), Contains(fmt::format("the ids {} and {} are both spelled", last, last + 1)));
  CHECK(folder.files() == 0);
  save_ngram(folder.path() / "x.ngram", trained(vocabulary, 2), vocabulary, {});
  CHECK(load_model(folder.path() / "x.ngram").vocabulary.size() == last + 2);
}
