#include <cmath>
#include <sstream>

#include "tests/support/catch.hpp"
#include "tests/support/command.hpp"
#include "text/synthetic.hpp"

// What eval, score, adapt, compare and interpolate --out report, against sums of their parts.

using namespace gradus;
using Catch::Contains;
using gradus::test::Folder;
using gradus::test::gradus_command;
using gradus::test::json;
using gradus::test::misused;
using gradus::test::output;
using gradus::test::refused;

namespace {

void make_models(const Folder& folder) {
  folder.write("text.txt", synthetic_corpus(1, 4000).text);
  folder.write("test.txt", synthetic_corpus(2, 600).text);
  output(folder, "train text.txt --kind ngram --order 3 --out words.ngram");
  output(folder, "train text.txt --kind ngram --order 5 --unit character --out characters.ngram");
  output(folder, "train text.txt --kind gru --width 16 --updates 60 --out words");
  output(folder,
         "train text.txt --kind gru --width 16 --updates 60 --unit bpe --subwords 300 --out subwords");
}

std::size_t words_and_ends(const std::string& text) {
  std::istringstream in(text);
  std::size_t out = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  for (std::string word; in >> word; ++out) {
  }
  return out;
}

}  // namespace

TEST_CASE("eval reports by word, byte and character from one total, whatever the tokens",
          "[cli][evaluation]") {
  const Folder folder;
  make_models(folder);
  const std::string text = synthetic_corpus(2, 600).text;
  for (const std::string model : {"words.ngram", "characters.ngram", "words", "subwords"}) {
    INFO(model);
    const auto e = json(folder, "eval --model " + model + " test.txt --details");
    const double nats = -e.at("log_prob").get<double>();
    CHECK(e.at("bytes") == text.size());
    CHECK(e.at("bits_per_byte") == Approx(nats / std::log(2.0) / static_cast<double>(text.size())));
    CHECK(e.at("nats_per_token") == Approx(nats / e.at("tokens").get<double>()));
    if (e.contains("word_perplexity")) {
      CHECK(e.at("word_perplexity") == Approx(std::exp(nats / static_cast<double>(words_and_ends(text)))));
    } else {
      CHECK(e.at("tokens") == words_and_ends(text));
    }
    for (const char* const groups : {"by_place_in_line", "by_training_count"}) {
      double tokens = 0, sum = 0;
      for (const auto& group : e.at(groups)) {
        tokens += group.at("tokens").get<double>();
        sum += group.at("tokens").get<double>() * group.at("nats_per_token").get<double>();
      }
      CHECK(tokens == e.at("tokens"));
      CHECK(sum == Approx(nats));
    }
    CHECK(e.at("by_place_in_line").at(0).at("group") == "1");
    // Line ends are left out of both the sum and the count.
    if (model == "subwords") continue;
    const auto without = json(folder, "eval --model " + model + " test.txt --line-ends left-out");
    const auto lines = std::count(text.begin(), text.end(), '\n');
    CHECK(e.at("tokens").get<std::int64_t>() - without.at("tokens").get<std::int64_t>() == lines);
    CHECK(without.at("log_prob") > e.at("log_prob"));
    for (const char* const size : {"bytes", "characters", "words"}) {
      if (!e.contains(size)) continue;
      CHECK(e.at(size).get<std::int64_t>() - without.at(size).get<std::int64_t>() == lines);
    }
    CHECK(without.at("bits_per_byte") ==
          Approx(-without.at("log_prob").get<double>() / std::log(2.0) /
                 static_cast<double>(text.size() - static_cast<std::size_t>(lines))));
  }
}

TEST_CASE("eval by lines is the sum of lines that are scored by themselves", "[cli][evaluation]") {
  const Folder folder;
  make_models(folder);
  for (const std::string model : {"words", "words.ngram", "characters.ngram"}) {
    INFO(model);
    const auto apart = json(folder, "eval --model " + model + " test.txt --reading lines");
    std::istringstream lines(output(folder, "score --model " + model + " test.txt"));
    double log10 = 0, known = 0, sum = 0;
    int tokens = 0, unknown = 0;
    while (lines >> log10 >> tokens >> unknown >> known) sum += log10;
    CHECK(apart.at("log_prob") == Approx(sum * std::log(10.0)).epsilon(1e-5));
    CHECK(apart.at("reading") == "each line read by itself");
    if (model == "words")
      CHECK(apart.at("log_prob") != json(folder, "eval --model words test.txt").at("log_prob"));
  }
  misused(folder, "eval --model words test.txt --reading lines --dynamic 0.1", "--reading lines");
  misused(folder, "eval --model words test.txt --reading sideways", "--reading");
}

TEST_CASE("score --words gives the terms of each line's sum", "[cli][evaluation]") {
  const Folder folder;
  make_models(folder);
  folder.write("line.txt", "the king has a crown .\n");
  for (const std::string model : {"words", "characters.ngram", "subwords"}) {
    INFO(model);
    std::istringstream words(output(folder, "score --model " + model + " line.txt --words"));
    double sum = 0;
    int count = 0;
    for (std::string line; std::getline(words, line) && !line.empty(); ++count)
      sum += std::stod(line.substr(line.rfind('\t')));
    const auto whole = json(folder, "score --model " + model + " line.txt");
    CHECK(sum == Approx(whole.at("log10").get<double>()).epsilon(1e-5));
    CHECK(count == whole.at("tokens"));
    CHECK(json(folder, "score --model " + model + " line.txt --words").size() ==
          static_cast<std::size_t>(count));
  }
}

TEST_CASE("compare ranks models of different tokens, the same each time", "[cli][evaluation]") {
  const Folder folder;
  make_models(folder);
  const std::string compare =
      "compare words.ngram characters.ngram words subwords --text test.txt --resamples 500";
  const auto all = json(folder, compare);
  CHECK(all == json(folder, compare));
  const std::string best = all.at("best");
  for (const auto& one : all.at("models")) {
    const std::string name = one.at("model");
    INFO(name);
    // The same total as eval's.
    const auto e = json(folder, "eval --model " + name + " test.txt");
    CHECK(one.at("nats") == Approx(-e.at("log_prob").get<double>()).epsilon(1e-5));
    CHECK(one.at("low") <= one.at("difference"));
    CHECK(one.at("difference") <= one.at("high"));
    if (name == best) {
      CHECK(one.at("difference") == 0);
    } else {
      CHECK(one.at("difference") > 0);
    }
  }
  CHECK_THAT(output(folder, compare), Contains("the best, in nats a word"));
  folder.write("strange.txt", "the king sees a xylophone .\n");
  const std::string strange = "compare words.ngram characters.ngram --text strange.txt --resamples 10";
  CHECK_THAT(gradus_command(folder, strange).error, Contains("words.ngram 1, characters.ngram 0"));
  CHECK(json(folder, strange).at("models")[0].at("unknown") == 1);
  misused(folder, "compare words --text test.txt", "at least two");
  misused(folder, "compare words words.ngram --text -", "give a file");
  refused(folder, "compare words.ngram none --text test.txt", {"none"});
}

TEST_CASE("adapt shows what each part of a text gains, and eval the same in all", "[cli][evaluation]") {
  const Folder folder;
  make_models(folder);
  for (const std::string how : {"--counts 3 --strength 2", "--cache 0.1", "--neural-cache 0.1 --theta 0.5",
                                "--dynamic 0.1 --decay 0.01"}) {
    INFO(how);
    std::istringstream lines(output(folder, "adapt --model words test.txt --every 100 --json " + how));
    nlohmann::json last;
    int count = 0;
    for (std::string line; std::getline(lines, line); ++count) last = nlohmann::json::parse(line);
    const auto e = json(folder, "eval --model words test.txt " + how);
    CHECK(count == (e.at("tokens").get<int>() + 99) / 100);
    CHECK(last.at("tokens") == e.at("tokens"));
    CHECK(last.at("adapted_perplexity") == Approx(e.at("perplexity").get<double>()).epsilon(1e-4));
    CHECK(last.at("perplexity") ==
          Approx(json(folder, "eval --model words test.txt").at("perplexity").get<double>()).epsilon(1e-4));
    CHECK(e.contains("adapted_by"));
  }
  // A stream is read line by line; what is learned can be kept.
  CHECK_THAT(gradus_command(folder, "adapt --model words.ngram --counts 2", "the king\nthe king\n").out,
             Contains("so far"));
  output(folder, "adapt --model words test.txt --dynamic 0.5 --out learned.safetensors");
  CHECK(json(folder, "eval --model learned.safetensors test.txt").at("perplexity") <
        json(folder, "eval --model words test.txt").at("perplexity"));
  const auto tuned = json(folder, "eval --model words test.txt --counts 2 --strength 0.01 --tune text.txt");
  CHECK(tuned.at("adapted_by").at("counts").at("strength") > 0.02);
  refused(folder, "adapt --model words.ngram test.txt --dynamic 0.1", {"--dynamic is of networks"});
  misused(folder, "adapt --model words test.txt --out x", "--out keeps the weights that --dynamic learned");
  misused(folder, "adapt --model words test.txt --theta 1", "--theta is of --neural-cache");
  misused(folder, "adapt --model words test.txt --dynamic 0.1 --neural-cache 0.1", "give one of them");
  misused(folder, "eval --model words test.txt --decay 0.1", "--decay is of --dynamic");
}

TEST_CASE("interpolate --out writes a model that is the mixture", "[cli][evaluation]") {
  const Folder folder;
  make_models(folder);
  folder.write("held.txt", synthetic_corpus(3, 500).text);
  output(folder, "train held.txt --kind ngram --order 2 --out other.ngram");
  const auto fitted =
      json(folder, "ngram interpolate words.ngram words --held-out held.txt --test test.txt --out mixed");
  CHECK(json(folder, "eval --model mixed test.txt").at("perplexity") ==
        Approx(fitted.at("perplexity").get<double>()).epsilon(1e-5));
  CHECK(output(folder, "generate --model mixed --tokens 5").size() > 5);
  CHECK(json(folder, "next --model mixed --context the").at("next").size() == 10);
  // n-gram models of one vocabulary are one n-gram model.
  folder.write("half.txt", synthetic_corpus(1, 4000).text);
  output(folder, "train half.txt --kind ngram --order 2 --out two.ngram");
  output(folder, "ngram interpolate words.ngram two.ngram --weights 0.5,0.5 --out one.arpa");
  CHECK(test::read_bytes(folder.path() / "one.arpa").find("\\3-grams:") != std::string::npos);
  CHECK(json(folder, "ngram info one.arpa").at("ngrams").size() == 3);
  // The same words under other ids are not one vocabulary: what is written is still the mixture.
  folder.write("few.txt", "a b\na b\nb a\na b a\n");
  folder.write("many.txt", "b a\nb a b\nb b a\nb a b b\n");
  for (const std::string name : {"few", "many"})
    output(folder, "train " + name + ".txt --kind ngram --order 2 --out " + name + ".ngram");
  const auto by_hand =
      json(folder, "ngram interpolate few.ngram many.ngram --weights 0.6,0.4 --test many.txt --out ab");
  CHECK(json(folder, "eval --model ab many.txt").at("perplexity") ==
        Approx(by_hand.at("perplexity").get<double>()).epsilon(1e-5));
  misused(folder, "ngram interpolate words.ngram words --weights 0.5,0.5 --out mixed.arpa",
          "only n-gram models");
  misused(folder, "ngram interpolate words.ngram words --weights 0.5,0.5 --out words.ngram",
          "is a model that is mixed");
  misused(folder, "ngram interpolate words.ngram words --weights 0.5,0.5", "--test");
}
