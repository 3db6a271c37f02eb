#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/catch.hpp"
#include "tests/support/command.hpp"
#include "text/synthetic.hpp"

// The options of generate beyond drawing, and the command next.

using namespace gradus;
using Catch::Contains;
using gradus::test::Folder;
using gradus::test::gradus_command;
using gradus::test::json;
using gradus::test::misused;
using gradus::test::output;
using gradus::test::Result;

namespace {

/// Writes a model of each sort of token.
void make_models(const Folder& folder) {
  folder.write("text.txt", synthetic_corpus(1, 3000).text);
  output(folder, "train text.txt --kind ngram --order 3 --out words");
  output(folder, "train text.txt --kind ngram --order 6 --unit character --out characters");
  output(folder,
         "train text.txt --kind gru --width 24 --updates 30 --unit bpe --subwords 300 --out subwords");
}

}  // namespace

TEST_CASE("next gives the distribution after a context, for every model", "[cli][generate]") {
  const Folder folder;
  make_models(folder);
  for (const std::string model : {"words", "characters", "subwords"}) {
    INFO(model);
    const auto all = json(folder, "next --model " + model + " --context 'the king' --top 0").at("next");
    double total = 0, before = 1;
    for (const auto& one : all) {
      const double p = one.at("probability");
      CHECK(p <= before);
      CHECK(std::log(p) == Approx(one.at("log_prob").get<double>()).margin(1e-6));
      total += before = p;
    }
    CHECK(total == Approx(1).epsilon(1e-5));
    const auto few = json(folder, "next --model " + model + " --context 'the king'").at("next");
    REQUIRE(few.size() == 10);
    for (std::size_t i = 0; i < 10; ++i) CHECK(few[i] == all[i]);
  }
  // What generate would take is the first.
  const auto first =
      json(folder, "next --model words --context 'the king' --top 1").at("next").at(0).at("token");
  CHECK(output(folder, "generate --model words --prompt 'the king' --tokens 1 --temperature 0") ==
        "the king " + first.get<std::string>() + "\n");
  CHECK_THAT(output(folder, "next --model characters --context '.' --top 1"), Contains("\t\\n\n"));
  CHECK_THAT(gradus_command(folder, "next --model words --context zebra").error, Contains("'zebra'"));
  misused(folder, "next --model words --top -1", "--top");
}

TEST_CASE("generate ends before a stop, and shows the same text whether it is written at once or not",
          "[cli][generate]") {
  const Folder folder;
  make_models(folder);
  for (const std::string model : {"words", "characters", "subwords"}) {
    INFO(model);
    const std::string draw = "generate --model " + model + " --prompt 'the king' --tokens 200 --seed 3";
    const std::string shown = output(folder, draw);
    // Of two texts each is printed when it is done.
    CHECK(output(folder, draw + " --count 2").starts_with("--- 1 of 2\n" + shown));
    if (model == "subwords") continue;  // drawn nearly at random, they are no UTF-8, as JSON is
    const std::string whole = json(folder, draw).at("text");
    CHECK(shown == std::string("the king") + (model == "words" ? " " : "") + whole + "\n");
    // The beginning of a longer word: what is behind it in the same token is not shown either.
    std::string longest;
    std::istringstream words(whole);
    for (std::string word; words >> word;) longest = word.size() > longest.size() ? word : longest;
    REQUIRE(longest.size() > 4);
    const std::string stop = longest.substr(0, 2);
    const std::size_t at = whole.find(stop);
    const auto stopped = json(folder, draw + " --stop zzz --stop '" + stop + "'");
    CHECK(stopped.at("text") == whole.substr(0, at));
    CHECK(stopped.at("tokens") < 200);
    const std::string cut = output(folder, draw + " --stop '" + stop + "'");
    const std::string before = shown.substr(0, shown.find(whole) + at);
    CHECK(cut == before + (before.ends_with('\n') ? "" : "\n"));
  }
}

TEST_CASE("generate --beams prints what the search finds, the best first", "[cli][generate]") {
  const Folder folder;
  make_models(folder);
  const std::string search = "generate --model subwords --prompt 'the king' --tokens 12 --beams 5";
  const auto found = json(folder, search + " --count 3 --log-probs --length-penalty 0");
  REQUIRE(found.size() == 3);
  CHECK(found[0].at("log_prob") >= found[1].at("log_prob"));
  CHECK(found[1].at("log_prob") >= found[2].at("log_prob"));
  double total = 0;
  std::string text;
  for (const auto& one : found[0].at("log_probs")) {
    total += one.at("log_prob").get<double>();
    text += one.at("token");
  }
  CHECK(found[0].at("log_prob") == Approx(total).epsilon(1e-6));
  CHECK(found[0].at("text") == text);
  CHECK(output(folder, search + " --length-penalty 0") ==
        "the king" + text + (text.ends_with('\n') ? "" : "\n"));
  for (const std::string option : {"--temperature 0.5", "--top-k 3", "--min-p 0.1", "--typical-p 0.5",
                                   "--repetition-penalty 2", "--seed 4", "--count 6", "--length-penalty -1"})
    misused(folder, search + " " + option, option.substr(0, option.find(' ')));
  for (const std::string option : {"--length-penalty 1", "--log-probs", "--min-p 1.5",
                                   "--repetition-penalty 0", "--beams 0", "--stop ''"})
    misused(folder, "generate --model words " + option, option.substr(0, option.find(' ')));
}

TEST_CASE("generate --interactive continues each line as it comes", "[cli][generate]") {
  const Folder folder;
  make_models(folder);
  const std::string draw = "generate --model words --tokens 6 --seed 2 --json";
  folder.write("lines.txt", "the king\nthe queen has\n");
  const std::string both = output(folder, draw + " --interactive < lines.txt");
  const std::size_t end = both.find('\n');
  const auto first = nlohmann::json::parse(both.substr(0, end)),
             second = nlohmann::json::parse(both.substr(end));
  CHECK(first == json(folder, draw + " --prompt 'the king'"));
  CHECK(second.at("prompt") == "the queen has");
  CHECK(second.at("tokens") == 6);
  misused(folder, draw + " --interactive --prompt the", "--interactive");
  folder.write("bad.txt", "the \xFF king\n");
  const Result bad = gradus_command(folder, draw + " --interactive < bad.txt");
  CHECK(bad.code == 1);
  CHECK_THAT(bad.error, Contains("UTF-8"));
}

TEST_CASE("generate --regex and --words write only what they allow", "[cli][generate]") {
  const Folder folder;
  make_models(folder);
  folder.write("easy.txt", "the king\nqueen has a\n");
  for (const std::string model : {"words", "characters", "subwords"}) {
    INFO(model);
    const std::string command = "generate --model " + model + " --allow-unknown";
    const auto one = json(folder, command + " --prompt 'the ' --regex ' ?(king|queen)' --seed 4");
    const std::string text = one.at("text");
    CHECK((text.ends_with("king") || text.ends_with("queen")));
    CHECK(text.size() <= 6);
    CHECK(json(folder, command + " --prompt 'the ' --regex ' ?(king|queen)' --beams 4")
              .at("text")
              .get<std::string>()
              .size() <= 6);
    std::string listed = output(folder, command + " --words easy.txt --tokens 40 --seed 2");
    listed.resize(listed.find_last_of(" .,\n", listed.size() - 2) + 1);  // the last may be cut off
    for (char& c : listed) c = c >= 'a' && c <= 'z' ? c : ' ';
    std::istringstream all(listed);
    for (std::string word; all >> word;)
      CHECK_THAT(std::string(" the king queen has a "), Contains(" " + word + " "));
  }
  // What did not become a match is said.
  const Result cut = gradus_command(folder, "generate --model characters --regex '[a-z ]{50}' --tokens 10");
  CHECK(cut.code == 0);
  CHECK_THAT(cut.error, Contains("1 of the texts written, 1 in all, does not match --regex"));
  misused(folder, "generate --model words --regex a --words easy.txt", "give one");
  misused(folder, "generate --model words --regex a --lines 2", "--lines");
  test::refused(folder, "generate --model words --regex 'a('", {"at byte 1", "nothing closes"});
  test::refused(folder, "generate --model words --words none.txt", {"none.txt"});
}
