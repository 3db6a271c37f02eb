#include "models/ngram/ngram.hpp"

#include <array>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <sstream>

#include "models/checkpoint.hpp"
#include "models/evaluate.hpp"
#include "models/ngram/arpa/arpa.hpp"
#include "tests/models/ngram/ngram_hostile.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/shared_text.hpp"
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
    // KenLM sums in float, with rounding errors of up to 4e-4 on the longest lines. When ours are summed in
    // float too, they agree up to one rounding of the sum: both models store floats, but of different
    // logarithms.
    float as_kenlm = 0;
    for (const double log_prob : score(model, ids)) as_kenlm += static_cast<float>(log_prob / std::log(10.0));
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

TEST_CASE("Kneser-Ney on WikiText-2 has KenLM's perplexities and counts", "[ngram]") {
  const std::string train = renamed(shared_text("data/wikitext-2.train.txt.gz"));
  if (train.empty()) return;
  const Vocabulary vocabulary = Vocabulary::build(Unit::word, train);
  const std::vector<std::int32_t> tokens = encode(vocabulary, train);
  const auto text = [&](const char* name) {
    return with_line_end_first(vocabulary, renamed(shared_text(name)));
  };
  const std::vector<std::int32_t> valid = text("data/wikitext-2.valid.txt.gz"),
                                  test = text("data/wikitext-2.test.txt.gz");
  CHECK(valid.size() - 1 == 217646);
  CHECK(test.size() - 1 == 245569);
  struct Expected {
    double valid, test;
    std::int64_t count;
  };
  const std::map<int, Expected> expected{{2, {284.7305, 263.9598, 619592}},
                                         {3, {242.3250, 226.0510, 1398959}},
                                         {4, {236.1482, 221.3441, 1794725}},
                                         {5, {234.8620, 220.1385, 1914265}},
                                         {6, {234.6555, 219.8229, 1936917}}};
  for (const auto& [order, of_order] : expected) {
    INFO("order " << order);
    const NgramModel model(tokens, static_cast<std::int32_t>(vocabulary.size()),
                           {.order = order, .sentence_end = vocabulary.line_end()});
    for (int n = 2; n <= order; ++n)
      CHECK(model.counts()[static_cast<std::size_t>(n - 1)] == expected.at(n).count);
    CHECK(evaluate(model, valid, 1).perplexity() == Approx(of_order.valid).epsilon(0).margin(5e-5));
    CHECK(evaluate(model, test, 1).perplexity() == Approx(of_order.test).epsilon(0).margin(5e-5));
  }
}

TEST_CASE("Kneser-Ney on WikiText-2 without its unknown words has KenLM's perplexities with and without them",
          "[ngram]") {
  // As with lmplz --skip_symbols: <unk> is left out of the training text, and unknown in the test text.
  std::string train = shared_text("data/wikitext-2.train.txt.gz");
  if (train.empty()) return;
  for (std::size_t at = 0; (at = train.find("<unk>", at)) != train.npos;) train.erase(at, 5);
  const Vocabulary vocabulary = Vocabulary::build(Unit::word, train);
  const NgramModel model(encode(vocabulary, train), static_cast<std::int32_t>(vocabulary.size()),
                         {.order = 5, .sentence_end = vocabulary.line_end()});
  const auto test = with_line_end_first(vocabulary, shared_text("data/wikitext-2.test.txt.gz"));
  const Evaluation found = evaluate(model, test, 1, vocabulary.unknown());
  CHECK(found.unknown == 15218);
  CHECK(found.perplexity() == Approx(428.4371).epsilon(0).margin(5e-5));
  CHECK(found.perplexity_known() == Approx(254.9191).epsilon(0).margin(5e-5));
}

TEST_CASE("Kneser-Ney on Tiny Shakespeare's characters has KenLM's perplexities", "[ngram]") {
  const std::string text = shared_text("data/tinyshakespeare.txt.gz");
  if (text.empty()) return;
  // In addition to the characters KenLM has </s> and <unk>; each part is one sentence.
  const Vocabulary vocabulary = Vocabulary::build(Unit::character, text);
  REQUIRE(vocabulary.size() == 66);  // with <unk>
  const std::vector<std::int32_t> tokens = encode(vocabulary, text);
  const std::int32_t end = 66;
  const auto cut = static_cast<std::ptrdiff_t>(tokens.size() * 9 / 10);
  std::vector<std::int32_t> train(tokens.begin(), tokens.begin() + cut), test{end};
  train.push_back(end);
  test.insert(test.end(), tokens.begin() + cut, tokens.end());
  test.push_back(end);
  CHECK(test.size() - 1 == 111541);
  const std::map<int, double> expected{{2, 11.9832}, {3, 7.6766}, {4, 5.5796}, {5, 4.7649}, {6, 4.5847}};
  for (const auto& [order, perplexity] : expected) {
    INFO("order " << order);
    const NgramModel model(train, 67, {.order = order, .sentence_end = end});
    CHECK(model.discounts()[0].fallback);
    // KenLM sums in float, here over a sentence of 111,541 symbols, so the last digits of the reference are
    // rounding errors.
    float as_kenlm = 0;
    for (const double log_prob : score(model, test))
      as_kenlm += static_cast<float>(log_prob / std::log(10.0));
    const double summed_so = std::pow(10.0, -static_cast<double>(as_kenlm) / 111541);
    CHECK(summed_so == Approx(perplexity).epsilon(0).margin(5e-5));
    CHECK(evaluate(model, test, 1).perplexity() == Approx(perplexity).epsilon(2e-4));
  }
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
  CHECK(model.discounts()[1].amount == std::vector{0.5, 1.0, 1.5});
}

TEST_CASE("every method can be estimated in memory", "[ngram]") {
  // a b a c d a b: after a, in 3 cases, b 2 and c 1; 4 of 5 words are seen.
  const std::vector<std::int32_t> tokens{0, 1, 0, 2, 3, 0, 1};
  const auto after_a = [&](NgramMethod method, std::int32_t token) {
    const NgramModel model(tokens, 5, {.order = 2, .method = method});
    return std::exp(model.log_prob(model.context({0}), token));
  };
  // Witten-Bell: p(b) = (2 + 4/5) / 11, p(b | a) = (2 + 2 p(b)) / 5.
  CHECK(after_a(NgramMethod::witten_bell, 1) == Approx((2 + 2 * (2.8 / 11)) / 5));
  // Absolute discounting: of the words, n1 = 2 and n2 = 1, so D = 1/2; of the pairs n1 = 5, n2 = 1, D = 5/7.
  const double d = 5.0 / 7;
  CHECK(after_a(NgramMethod::absolute_discounting, 1) ==
        Approx((2 - d) / 3 + 2 * d / 3 * (1.5 / 7 + 0.5 * 4 / 7 / 5)));
  CHECK(after_a(NgramMethod::stupid_backoff, 1) == Approx(2.0 / 3));
  CHECK(after_a(NgramMethod::stupid_backoff, 3) == Approx(0.4 / 7));
  double katz = 0;
  for (std::int32_t token = 0; token < 5; ++token) katz += after_a(NgramMethod::katz, token);
  CHECK(katz == Approx(1).epsilon(1e-6));
}

TEST_CASE("an n-gram model refuses what it cannot be made of", "[ngram]") {
  const std::vector<std::int32_t> tokens{0, 1, 5};
  CHECK_THROWS_AS(NgramModel(tokens, 4, {.order = 2}), ArgumentError);
  CHECK_THROWS_AS(NgramModel(tokens, 6, {.order = 0}), ArgumentError);
  CHECK_THROWS_AS(NgramModel({}, 6, {.order = 2}), ArgumentError);
  CHECK_THROWS_AS(NgramModel(tokens, 6, {.order = 2, .sentence_end = 6}), ArgumentError);
  CHECK_THROWS_AS(NgramModel(tokens, 6, {.order = 2, .method = NgramMethod::katz, .katz_cutoff = 0}),
                  ArgumentError);
  CHECK_THROWS_AS(NgramModel(tokens, 6, {.order = 2, .impossible = 5}), ArgumentError);
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
  CHECK(read.model.description().method == model.description().method);
  CHECK_FALSE(read.model.options());  // an ARPA file does not hold them
  const std::size_t ours = arpa.find("\\data\\");
  CHECK(from_arpa(arpa.substr(ours), "m").model.description().method == "unknown (ARPA)");
  const std::vector<double> before = score(model, tokens), after = score(read.model, tokens);
  REQUIRE(before.size() == after.size());
  for (std::size_t i = 0; i < before.size(); ++i) CHECK(after[i] == Approx(before[i]).epsilon(1e-7));
  // Inconsistent text is refused, with the line.
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = arpa;
    return changed.replace(arpa.find(from), from.size(), to);
  };
  CHECK_THROWS_WITH(from_arpa(with("# sentence end ", "# sentence end 99"), "m"),
                    Catch::Contains("m, line 2") && Catch::Contains("no id"));
  CHECK_THROWS_WITH(from_arpa(with("ngram 2=", "ngram 2=9"), "m"),
                    Catch::Contains("15 2-grams; line 19 names 915"));
  // Text that is cut anywhere is refused.
  for (std::size_t length = 0; length + 2 < arpa.size(); length += 7) {
    CHECK_THROWS_AS(from_arpa(arpa.substr(0, length), "m"), DataError);
  }
}

TEST_CASE("a binary model is mapped or copied, and is refused when it is none", "[ngram]") {
  const test::Folder folder;
  const std::vector<std::int32_t> tokens{1, 2, 1, 2, 3, 1, 3, 3, 2, 1};
  const Vocabulary words = Vocabulary::build(Unit::word, "a\nb\na\nb\na\nc\n");
  REQUIRE(words.size() == 5);
  const auto file = folder.path() / "m.ngram";
  save_ngram(file, NgramModel(tokens, 5, {.order = 3}), words, {});
  const NgramModel mapped = NgramModel::open(file), copied = NgramModel::open(file, NgramAccess::copied);
  CHECK(score(copied, tokens) == score(mapped, tokens));
  CHECK(copied.vocabulary() == words);
  copied.verify();
  // A copy does not depend on the file.
  const std::vector<double> scores = score(mapped, tokens);
  std::string bytes = test::read_bytes(file);
  std::filesystem::resize_file(file, 0);
  CHECK(score(copied, tokens) == scores);

  CHECK_THROWS_WITH(NgramModel::open(folder.path() / "none"),
                    Catch::Contains("none: cannot be read: No such file or directory"));
  CHECK_THROWS_WITH(NgramModel::open(folder.path()),
                    Catch::Contains(folder.path().string() + ": cannot be read: Is a directory"));
  for (const char* content : {"", "GRAD", "\\data\\\nngram 1=2\n"}) {
    CHECK_THROWS_WITH(NgramModel::open(folder.write("text", content)),
                      Catch::Contains("text: not a binary n-gram model"));
  }
  // A vocabulary of one symbol less.
  ngram::Header header;
  std::memcpy(&header, bytes.data(), sizeof header);
  auto& part = header.part(ngram::Part::vocabulary);
  std::string text = bytes.substr(part.offset, part.size);
  const std::size_t last = text.rfind('\n', text.size() - 2) + 1, size = text.find(" 5\n");
  REQUIRE(size != text.npos);
  bytes[part.offset + size + 1] = '4';
  part.size = last;
  std::memcpy(bytes.data(), &header, sizeof header);
  test::reseal(bytes);
  const NgramModel fewer = NgramModel::open(folder.write("fewer", bytes));
  CHECK_THROWS_WITH(fewer.vocabulary(),
                    Catch::Contains("fewer: its vocabulary has 4 symbols, its n-grams 5"));
  // In memory, a model may have none.
  CHECK_THROWS_WITH(NgramModel(tokens, 5, {.order = 1}).vocabulary(),
                    Catch::Contains("without its vocabulary"));
}
