#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"
#include "tests/support/command.hpp"

// `gradus ngram` as a user meets it.

using Catch::Contains;
using gradus::test::Folder;
using gradus::test::gradus_command;
using gradus::test::misused;
using gradus::test::read_bytes;
using gradus::test::refused;
using gradus::test::Result;

namespace {

/// Sentences of a few words, some of them rare.
std::string sample(int lines) {
  const char* const subjects[] = {"the king", "a dog", "the old queen", "nobody"};
  const char* const verbs[] = {"sees", "has", "likes"};
  const char* const objects[] = {"the crown .", "a bone .", "the dog .", "gold and silver .",
                                 "nothing at all ."};
  std::string out;
  unsigned seed = 1;
  const auto draw = [&](unsigned count) { return (seed = seed * 1103515245 + 12345) / 65536 % count; };
  for (int i = 0; i < lines; ++i) {
    out += subjects[draw(4)];
    out += std::string(" ") + verbs[draw(3)] + " " + objects[draw(5)] + "\n";
  }
  return out;
}

double perplexity(const Folder& folder, const std::string& model) {
  const Result result = gradus_command(folder, "eval --json --model " + model + " test.txt");
  INFO(result.error);
  REQUIRE(result.code == 0);
  return nlohmann::json::parse(result.out)["perplexity"];
}

}  // namespace

TEST_CASE("a model that ngram build made is described, exported, pruned and used", "[cli][ngram]") {
  const Folder folder;
  folder.write("train.txt", sample(300));
  folder.write("test.txt", sample(40));
  const Result built = gradus_command(folder, "ngram build --order 4 train.txt --out m.ngram --json");
  INFO(built.error);
  REQUIRE(built.code == 0);
  const auto report = nlohmann::json::parse(built.out);
  CHECK(report["sentences"] == 300);
  CHECK(report["orders"].size() == 4);
  CHECK(report["orders"][1]["discounts"].size() == 3);

  const Result info = gradus_command(folder, "ngram info --verify --json m.ngram");
  REQUIRE(info.code == 0);
  const auto described = nlohmann::json::parse(info.out);
  CHECK(described["order"] == 4);
  for (std::size_t n = 0; n < 4; ++n) CHECK(described["ngrams"][n] == report["orders"][n]["ngrams"]);
  for (std::size_t n = 0; n < 4; ++n) {
    CHECK(described["orders"][n]["discounts"] == report["orders"][n]["discounts"]);
    CHECK(described["orders"][n]["fallback"] == report["orders"][n]["fallback"]);
  }
  const Result plain = gradus_command(folder, "ngram info m.ngram");
  CHECK_THAT(plain.out, Contains(fmt::format("{:.6g}", report["orders"][1]["discounts"][0].get<double>())));

  const double expected = perplexity(folder, "m.ngram");
  for (const char* other : {"m.arpa", "m.arpa.gz", "compact.ngram --layout compact"}) {
    const Result exported = gradus_command(folder, std::string("ngram export m.ngram --out ") + other);
    INFO(exported.error);
    REQUIRE(exported.code == 0);
    const std::string file = std::string(other).substr(0, std::string(other).find(' '));
    CHECK(perplexity(folder, file) == Approx(expected).epsilon(1e-6));
  }
  CHECK(read_bytes(folder.path() / "m.arpa.gz").size() < read_bytes(folder.path() / "m.arpa").size());

  // Straight to ARPA, and from a pipe under a bound of memory: the same model.
  REQUIRE(gradus_command(folder, "ngram build --order 4 train.txt --out direct.arpa").code == 0);
  CHECK(read_bytes(folder.path() / "direct.arpa") == read_bytes(folder.path() / "m.arpa"));
  REQUIRE(gradus_command(folder, "ngram build --order 4 --memory 2M - --out piped.ngram", sample(300)).code ==
          0);
  CHECK(read_bytes(folder.path() / "piped.ngram") == read_bytes(folder.path() / "m.ngram"));

  const Result pruned = gradus_command(folder, "ngram prune m.ngram --threshold 1e-3 --out small.ngram");
  INFO(pruned.error);
  REQUIRE(pruned.code == 0);
  const auto fewer = nlohmann::json::parse(gradus_command(folder, "ngram info --json small.ngram").out);
  CHECK(fewer["ngrams"][3].get<int>() < described["ngrams"][3].get<int>());
}

TEST_CASE("every method of ngram build gives a model that predicts", "[cli][ngram]") {
  const Folder folder;
  folder.write("train.txt", sample(300));
  folder.write("test.txt", sample(40));
  folder.write("odd.txt", "the king has gold likes\n");  // a word after contexts that it never followed
  for (const char* method : {"maximum-likelihood", "add-k", "kneser-ney", "absolute-discounting",
                             "witten-bell", "katz", "stupid-backoff"}) {
    const Result built = gradus_command(
        folder, std::string("ngram build --order 3 train.txt --out m.ngram --json --method ") + method);
    INFO(method << ": " << built.error);
    REQUIRE(built.code == 0);
    CHECK(nlohmann::json::parse(built.out)["method"] == method);
    const Result tested = gradus_command(folder, "eval --json --model m.ngram test.txt");
    const auto of_test = nlohmann::json::parse(tested.out);
    CHECK(of_test["perplexity"].get<double>() > 1);
    CHECK(of_test["perplexity"].get<double>() < 10);
    const Result shown = gradus_command(folder, "eval --model m.ngram test.txt");
    const bool scores = method == std::string("stupid-backoff");
    CHECK(of_test["probabilities"] == !scores);
    CHECK((shown.out.find("scores, not probabilities") != std::string::npos) == scores);
    // Maximum likelihood alone finds what it has not seen impossible; JSON has no infinity.
    const Result odd = gradus_command(folder, "eval --json --model m.ngram odd.txt");
    REQUIRE(odd.code == 0);
    CHECK(nlohmann::json::parse(odd.out)["perplexity"].is_null() ==
          (method == std::string("maximum-likelihood")));
  }
  refused(folder, "ngram prune m.ngram --out less.ngram", {"stupid backoff", "scores and no probabilities"});
  refused(folder, "ngram interpolate m.ngram --cache 10 --held-out test.txt",
          {"m.ngram", "scores, not probabilities"});
}

TEST_CASE("each method's own option changes its model, and goes with it alone", "[cli][ngram]") {
  const Folder folder;
  folder.write("train.txt", sample(300));
  const std::vector<std::pair<std::string, std::string>> own{
      {"add-k", "--k 0.01"}, {"katz", "--katz-cutoff 2"}, {"stupid-backoff", "--backoff 0.1"}};
  for (const auto& [method, option] : own) {
    const std::string build = "ngram build --order 3 train.txt --method " + method;
    REQUIRE(gradus_command(folder, build + " --out plain.ngram").code == 0);
    REQUIRE(gradus_command(folder, build + " --out chosen.ngram " + option).code == 0);
    INFO(method);
    const std::string describe = "ngram info --json ";
    CHECK(gradus_command(folder, describe + "plain.ngram").out !=
          gradus_command(folder, describe + "chosen.ngram").out);
    CHECK(read_bytes(folder.path() / "plain.ngram") != read_bytes(folder.path() / "chosen.ngram"));
    misused(folder, "ngram build train.txt --out m.ngram --method witten-bell " + option,
            "--method " + method);
  }
}

TEST_CASE("options of ngram build are judged before the work", "[cli][ngram]") {
  const Folder folder;
  folder.write("train.txt", sample(50));
  folder.write("words.txt", "the\n");
  const std::string build = "ngram build train.txt --out m.ngram ";
  misused(folder, build + "--quantize 1 --layout compact", "--quantize 1");
  misused(folder, build + "--quantize 17 --layout compact", "--quantize");
  misused(folder, build + "--quantize 8", "--layout compact");
  misused(folder, "ngram build train.txt --out m.arpa --layout compact", "ARPA text");
  misused(folder, "ngram build train.txt --out m.arpa --quantize 8", "ARPA text");
  misused(folder, "ngram export m.ngram --out m.arpa.gz --layout fast", "ARPA text");
  for (const std::string method : {"add-k", "maximum-likelihood"})
    misused(folder, "ngram build train.txt --out m.arpa --method " + method, "does not back off");
  misused(folder, build + "--max-vocabulary 1", "--max-vocabulary 1");
  misused(folder, build + "--memory 0", "--memory");
  misused(folder, build + "--method add-k --k -1", "--k");
  misused(folder, build + "--method add-k --k nan", "--k");
  misused(folder, build + "--method katz --katz-cutoff 21", "--katz-cutoff");
  misused(folder, build + "--method stupid-backoff --backoff 0", "--backoff");
  misused(folder, build + "--prune 1,1", "begin with 0");
  misused(folder, build + "--prune 0,2,1", "must not be less");
  misused(folder, build + "--prune 0,some", "'some' is not a number");
  misused(folder, build + "--prune 0,,1", "'' is not a number");
  misused(folder, build + "--prune ''", "'' is not a number");
  misused(folder, build + "--memory -5", "--memory");
  misused(folder, "ngram build train.txt --out ''", "--out is empty");
  misused(folder, "ngram build train.txt --out m.arpa.zst", "gzip alone");
  misused(folder, "ngram build train.txt --out m.ARPA", "small letters");
  for (const std::string bad : {"-1", "nan", "inf", "1e-7x"})
    misused(folder, "ngram prune m.ngram --out p.ngram --threshold " + bad,
            bad + ": give a number of 0 or more");
  misused(folder, build + "--closed --min-count 2", "--min-count");
  misused(folder, build + "--closed --unknown kenlm", "--unknown kenlm");
  misused(folder, build + "--closed --unit byte", "bytes");
  misused(folder, build + "--vocabulary words.txt --unit character", "--vocabulary");
  misused(folder, build + "--vocabulary words.txt --min-count 2", "--vocabulary");
  misused(folder, "ngram build train.txt", "--out");
  misused(folder, build + "--method magic", "--method");
  refused(folder, build + "--temporary none", {"none", "no such folder"});
}

TEST_CASE("--prune takes one argument, and the text may follow it", "[cli][ngram]") {
  const Folder folder;
  folder.write("train.txt", sample(100));
  const Result pruned =
      gradus_command(folder, "ngram build --order 3 --json --prune 0,0,2 train.txt --out m.ngram");
  INFO(pruned.error);
  REQUIRE(pruned.code == 0);
  const auto orders = nlohmann::json::parse(pruned.out)["orders"];
  CHECK(orders[1]["ngrams"].get<int>() >= orders[1]["distinct"].get<int>());
  CHECK(orders[2]["ngrams"].get<int>() < orders[2]["distinct"].get<int>());
}

TEST_CASE("sizes of the orders are those of the file but for what all of them share", "[cli][ngram]") {
  const Folder folder;
  folder.write("train.txt", sample(3000));
  for (const std::string layout : {"fast", "compact"}) {
    const Result built =
        gradus_command(folder, "ngram build --order 3 --json train.txt --out m.ngram --layout " + layout);
    REQUIRE(built.code == 0);
    const auto report = nlohmann::json::parse(built.out);
    std::uint64_t sum = 0;
    for (const auto& order : report["orders"]) sum += order["bytes"].get<std::uint64_t>();
    const auto size = report["bytes"].get<std::uint64_t>();
    CHECK(size == read_bytes(folder.path() / "m.ngram").size());
    CHECK(sum < size);
    CHECK(report["orders"][2]["bytes"].get<std::uint64_t>() > 0);
    const auto info = nlohmann::json::parse(gradus_command(folder, "ngram info --json m.ngram").out);
    for (std::size_t n = 0; n < 3; ++n) CHECK(info["orders"][n]["bytes"] == report["orders"][n]["bytes"]);
    CHECK(info["layout"] == layout);
  }
  // ARPA text has the size of the file alone.
  REQUIRE(gradus_command(folder, "ngram export m.ngram --out m.arpa").code == 0);
  const auto info = nlohmann::json::parse(gradus_command(folder, "ngram info --json m.arpa").out);
  CHECK(info["layout"] == "ARPA");
  CHECK(info["bytes"] == read_bytes(folder.path() / "m.arpa").size());
  CHECK(info["orders"][1]["bytes"].is_null());
}

TEST_CASE("what is no model is refused with what it is", "[cli][ngram]") {
  const Folder folder;
  folder.write("text.txt", sample(3));
  folder.write("empty", "");
  refused(folder, "ngram info - <text.txt", {"standard input: ", "no model"});
  refused(folder, "ngram info text.txt", {"text.txt: ", "no model"});
  refused(folder, "ngram info empty", {"empty: 0 bytes", "no model"});
  refused(folder, "ngram build '' --out m.ngram", {"''"});
}

TEST_CASE("a model may be built and exported to a device or a pipe", "[cli][ngram]") {
  const Folder folder;
  folder.write("train.txt", sample(100));
  REQUIRE(gradus_command(folder, "ngram build --order 3 train.txt --out m.ngram").code == 0);
  for (const std::string json : {"", " --json"}) {
    const Result built = gradus_command(folder, "ngram build --order 3 train.txt --out /dev/null" + json);
    INFO(built.error);
    CHECK(built.code == 0);
  }
  CHECK(std::filesystem::is_character_file("/dev/null"));
  // Through a pipe come the same bytes.
  const std::string pipe = (folder.path() / "pipe").string();
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  auto read = std::async(std::launch::async, [&] { return read_bytes(pipe); });
  const Result piped = gradus_command(folder, "ngram build --order 3 train.txt --out pipe");
  INFO(piped.error);
  CHECK(piped.code == 0);
  ::close(::open(pipe.c_str(), O_WRONLY | O_NONBLOCK));  // so that the reader ends if nobody wrote
  CHECK(read.get() == read_bytes(folder.path() / "m.ngram"));
}

TEST_CASE("the words that a list leaves out are unknown", "[cli][ngram]") {
  const Folder folder;
  folder.write("train.txt", sample(200));
  folder.write("test.txt", "the king has gold\n");
  folder.write("words.txt", "the\nking\r\n\n  has \n<unk>\n</s>\nthe\nzebra\n");
  REQUIRE(
      gradus_command(folder, "ngram build --order 3 train.txt --vocabulary words.txt --out m.ngram").code ==
      0);
  const auto info = nlohmann::json::parse(gradus_command(folder, "ngram info --json m.ngram").out);
  CHECK(info["vocabulary"] == 6);  // <unk>, the, king, has, zebra, </s>
  const auto tested =
      nlohmann::json::parse(gradus_command(folder, "eval --json --model m.ngram test.txt").out);
  CHECK(tested["unknown"] == 1);
  CHECK(tested["perplexity_with_unknown"] != tested["perplexity_without_unknown"]);
  folder.write("two.txt", "the\nold queen\n");
  refused(folder, "ngram build train.txt --vocabulary two.txt --out x.ngram",
          {"two.txt, line 2", "'old queen'"});
  folder.write("none.txt", "\n<unk>\n");
  refused(folder, "ngram build train.txt --vocabulary none.txt --out x.ngram", {"none.txt lists no words"});
  refused(folder, "ngram build train.txt --vocabulary missing.txt --out x.ngram", {"missing.txt"});
  refused(folder, "ngram build train.txt --vocabulary words.txt --closed --out x.ngram",
          {"train.txt, line 1", "closed"});
}

TEST_CASE("unknown words are predicted as KenLM does, or left out as SRILM does", "[cli][ngram]") {
  const Folder folder;
  folder.write("train.txt", "a b c\na b\nb c a\nc a b\n");
  folder.write("test.txt", "a zebra b c\n");
  const auto eval = [&](const std::string& arguments) {
    const Result result = gradus_command(folder, "eval --json " + arguments);
    INFO(result.error);
    REQUIRE(result.code == 0);
    return nlohmann::json::parse(result.out);
  };
  const auto log10_of = [&](const std::string& line, const std::string& more) {
    const Result result = gradus_command(folder, "score --json --model m.ngram" + more, line + "\n");
    REQUIRE(result.code == 0);
    return nlohmann::json::parse(result.out);
  };
  REQUIRE(gradus_command(folder, "ngram build --order 3 train.txt --out m.ngram").code == 0);
  const auto kenlm = eval("--model m.ngram test.txt");
  CHECK(kenlm["tokens"] == 5);
  CHECK(kenlm["unknown"] == 1);
  CHECK(kenlm["perplexity"] == kenlm["perplexity_with_unknown"]);
  CHECK(kenlm["perplexity_with_unknown"].get<double>() > kenlm["perplexity_without_unknown"].get<double>());

  // p(a | <s>) p(b) p(c | b) p(</s> | b c): no n-gram reaches over the unknown word.
  const auto srilm = eval("--model m.ngram test.txt --unknown srilm");
  CHECK(srilm["perplexity"] == srilm["perplexity_without_unknown"]);
  CHECK(srilm["perplexity_with_unknown"].is_null());
  const auto arpa_of = [&](const std::string& ngram) {
    REQUIRE(gradus_command(folder, "ngram export m.ngram --out m.arpa").code == 0);
    const std::string arpa = read_bytes(folder.path() / "m.arpa");
    const std::size_t at = arpa.find("\t" + ngram + "\t") != arpa.npos ? arpa.find("\t" + ngram + "\t")
                                                                       : arpa.find("\t" + ngram + "\n");
    INFO(ngram);
    REQUIRE(at != arpa.npos);
    return std::stod(arpa.substr(arpa.rfind('\n', at) + 1));
  };
  const double expected = arpa_of("<s> a") + arpa_of("b") + arpa_of("b c") + arpa_of("b c </s>");
  // The list of n-grams must hold the last one, or it would be backed off to.
  CHECK(std::log(10.0) * expected == Approx(srilm["log_prob"].get<double>()).epsilon(1e-5));
  const auto scored = log10_of("a zebra b c", " --unknown srilm");
  CHECK(scored["log10"].is_null());
  CHECK(scored["log10_without_unknown"].get<double>() == Approx(expected).epsilon(1e-5));

  // A closed model finds unknown words impossible; its other words share all of the probability.
  for (const std::string closed : {"--closed", "--unknown srilm"}) {
    REQUIRE(gradus_command(folder, "ngram build --order 3 train.txt --out m.ngram " + closed).code == 0);
    const auto closed_eval = eval("--model m.ngram test.txt");
    CHECK(closed_eval["perplexity_with_unknown"].is_null());
    CHECK(closed_eval["perplexity_without_unknown"].get<double>() > 1);
    CHECK_THAT(gradus_command(folder, "eval --model m.ngram test.txt").out,
               Contains("perplexity infinite with unknown words"));
  }
}

TEST_CASE("texts are scored from packed files, folders and pipes alike", "[cli][ngram]") {
  const Folder folder;
  folder.write("train.txt", sample(300));
  const std::string test = sample(60);
  folder.write("test.txt", test);
  REQUIRE(gradus_command(folder, "ngram build --order 3 train.txt --out m.ngram").code == 0);
  REQUIRE(std::system(("cd '" + folder.path().string() + "' && gzip -k test.txt").c_str()) == 0);
  for (const std::string command : {"eval --json --model m.ngram", "score --model m.ngram",
                                    "ngram interpolate m.ngram --cache 20 --held-out"}) {
    const Result plain = gradus_command(folder, command + " test.txt");
    INFO(command << ": " << plain.error);
    REQUIRE(plain.code == 0);
    const auto same = [&](const Result& other, const std::string& name) {
      INFO(name << ": " << other.error);
      std::string out = other.out;
      const std::string called = " of " + (name == "-" ? "standard input" : name) + ",";
      if (const std::size_t at = out.find(called); at != out.npos)
        out.replace(at, called.size(), " of test.txt,");
      CHECK(out == plain.out);
    };
    same(gradus_command(folder, command + " test.txt.gz"), "test.txt.gz");
    same(gradus_command(folder, command + " -", test), "-");
    same(gradus_command(folder, command + " - <test.txt.gz"), "-");
  }
  refused(folder, "eval --model m.ngram missing.txt", {"missing.txt"});
}

TEST_CASE("ngram interpolate weighs models by a held-out text", "[cli][ngram]") {
  const Folder folder;
  folder.write("train.txt", sample(300));
  folder.write("test.txt", sample(60));
  REQUIRE(gradus_command(folder, "ngram build --order 1 train.txt --out one.ngram").code == 0);
  REQUIRE(gradus_command(folder, "ngram build --order 3 train.txt --out three.ngram").code == 0);
  const Result result =
      gradus_command(folder, "ngram interpolate --json one.ngram three.ngram --held-out test.txt");
  INFO(result.error);
  REQUIRE(result.code == 0);
  const auto report = nlohmann::json::parse(result.out);
  const double one = report["models"][0]["perplexity"], three = report["models"][1]["perplexity"];
  CHECK(three == Approx(perplexity(folder, "three.ngram")).epsilon(1e-6));
  CHECK(report["perplexity"].get<double>() <= std::min(one, three) * (1 + 1e-9));
  CHECK(report["models"][0]["weight"].get<double>() + report["models"][1]["weight"].get<double>() ==
        Approx(1));

  // At those weights, without fitting, it is the same; at others no better.
  const auto fixed = [&](const std::string& weights) {
    const Result given = gradus_command(
        folder, "ngram interpolate --json one.ngram three.ngram --test test.txt --weights " + weights);
    INFO(given.error);
    REQUIRE(given.code == 0);
    return nlohmann::json::parse(given.out)["perplexity"].get<double>();
  };
  const double best = report["perplexity"];
  const double weight = report["models"][0]["weight"];
  CHECK(fixed(std::to_string(weight) + "," + std::to_string(1 - weight)) == Approx(best).epsilon(1e-6));
  CHECK(fixed("0,1") == Approx(three).epsilon(1e-9));
  CHECK(fixed("0.5,0.5") >= best * (1 - 1e-9));

  // A cache is one more model, weighed with the others.
  const auto cached = nlohmann::json::parse(
      gradus_command(folder, "ngram interpolate --json one.ngram three.ngram --cache 50 --held-out test.txt")
          .out);
  REQUIRE(cached["models"].size() == 3);
  CHECK(cached["perplexity"].get<double>() <= best * (1 + 1e-9));
  CHECK(cached["models"][2]["model"] == "the cache of 50");

  const auto powers = nlohmann::json::parse(
      gradus_command(folder,
                     "ngram interpolate --json --log-linear one.ngram three.ngram --held-out test.txt")
          .out);
  CHECK(powers["combination"] == "log-linear");
  CHECK(powers["perplexity"].get<double>() < 1.02 * three);

  const std::string both = "ngram interpolate one.ngram three.ngram ";
  misused(folder, both, "--held-out");
  misused(folder, both + "--weights 0.5,0.5", "--test");
  misused(folder, both + "--weights 0.5,0.5 --held-out test.txt", "--weights");
  misused(folder, both + "--weights 0.5,0.6 --test test.txt", "add up to 1.1");
  misused(folder, both + "--weights 1 --test test.txt", "1 for 2 models");
  misused(folder, both + "--weights -1,2 --test test.txt", "-1 is not a weight");
  misused(folder, both + "--epochs 3 --held-out test.txt", "--log-linear");
  misused(folder, both + "--log-linear --unknown srilm --held-out test.txt", "--unknown kenlm");
  misused(folder, "ngram interpolate one.ngram --held-out test.txt", "--cache");
  misused(folder, both + "--log-linear --cache 20 --held-out test.txt",
          "--cache gives most words a probability of 0");
  misused(folder, both + "--held-out - --test -", "--held-out or --test, not both");

  // Fixed exponents, the model alone, with no weight below 0 refused.
  const auto raised = [&](const std::string& weights) {
    const Result given = gradus_command(
        folder,
        "ngram interpolate --json --log-linear one.ngram three.ngram --test test.txt --weights=" + weights);
    INFO(given.error);
    REQUIRE(given.code == 0);
    return nlohmann::json::parse(given.out)["perplexity"].get<double>();
  };
  CHECK(raised("0,1") == Approx(three).epsilon(1e-5));
  CHECK(raised("1,0") == Approx(one).epsilon(1e-5));
  CHECK(raised("-0.1,1.2") > 1);
  misused(folder, both + "--log-linear --weights 0,inf --test test.txt", "inf is not a weight");
}

TEST_CASE("models are weighed by the known words where unknown ones are left out", "[cli][ngram]") {
  const Folder folder;
  folder.write("train.txt", sample(200));
  folder.write("held.txt", "the zebra sees the king\nzebra has a bone .\n");
  folder.write("strange.txt", "zebra\n");
  for (const std::string order : {"1", "3"})
    REQUIRE(gradus_command(folder, "ngram build --order " + order + " train.txt --out " + order + ".ngram")
                .code == 0);
  const std::string command = "ngram interpolate --json 1.ngram 3.ngram --unknown srilm --held-out ";
  const Result result = gradus_command(folder, command + "held.txt");
  INFO(result.error);
  REQUIRE(result.code == 0);
  const auto report = nlohmann::json::parse(result.out);
  for (const std::size_t i : {0u, 1u}) {
    // As `eval --unknown srilm` says of each: after an unknown word nothing is known of the context.
    const auto alone =
        nlohmann::json::parse(gradus_command(folder, "eval --json --unknown srilm held.txt --model " +
                                                         std::string(i == 0 ? "1" : "3") + ".ngram")
                                  .out);
    CHECK(alone["unknown"] == 2);
    CHECK(report["models"][i]["perplexity"].get<double>() ==
          Approx(alone["perplexity"].get<double>()).epsilon(1e-6));
  }
}

TEST_CASE("models of different vocabularies share what is unknown to one of them", "[cli][ngram]") {
  const Folder folder;
  folder.write("few.txt", "a b\nb a\na b\n");
  folder.write("more.txt", "a b c d\nd c b a\n");
  folder.write("held.txt", "a b c\nzebra a\n");
  folder.write("letters.txt", sample(30));
  REQUIRE(gradus_command(folder, "ngram build --order 2 few.txt --out few.ngram").code == 0);
  REQUIRE(gradus_command(folder, "ngram build --order 2 more.txt --out more.ngram").code == 0);
  const Result mixed =
      gradus_command(folder, "ngram interpolate --json few.ngram more.ngram --held-out held.txt");
  INFO(mixed.error);
  REQUIRE(mixed.code == 0);
  const auto report = nlohmann::json::parse(mixed.out);
  CHECK(report["vocabulary"] == 6);
  CHECK(report["models"][0]["unlisted"] == 2);  // c and d
  CHECK(report["models"][1]["unlisted"] == 0);
  CHECK(report["unknown"] == 1);  // zebra, which none lists
  // The model that lists all is as it is alone; the other one's <unk> is shared by c, d and <unk>.
  const auto alone =
      nlohmann::json::parse(gradus_command(folder, "eval --json --model more.ngram held.txt").out);
  CHECK(report["models"][1]["perplexity"].get<double>() == Approx(alone["perplexity"].get<double>()));
  const auto few =
      nlohmann::json::parse(gradus_command(folder, "eval --json --model few.ngram held.txt").out);
  CHECK(few["unknown"] == 2);
  CHECK(report["models"][0]["perplexity"].get<double>() ==
        Approx(few["perplexity"].get<double>() * std::pow(3, 2.0 / 7)));
  CHECK_THAT(gradus_command(folder, "ngram interpolate few.ngram more.ngram --held-out held.txt").out,
             Contains("few.ngram does not list 2 of the 6 words"));

  const Result powers = gradus_command(
      folder, "ngram interpolate --json --log-linear few.ngram more.ngram --held-out held.txt");
  INFO(powers.error);
  REQUIRE(powers.code == 0);
  CHECK(nlohmann::json::parse(powers.out)["vocabulary"] == 6);

  REQUIRE(gradus_command(folder, "ngram build --unit character letters.txt --out letters.ngram").code == 0);
  refused(folder, "ngram interpolate few.ngram letters.ngram --held-out held.txt",
          {"few.ngram", "letters.ngram", "words and characters"});
}

TEST_CASE("small and strange texts are built from, or it is said why not", "[cli][ngram]") {
  const Folder folder;
  folder.write("word.txt", "word");
  folder.write("line.txt", "one line of words\n");
  folder.write("unk.txt", "<unk>\n");
  folder.write("blank.txt", "\n\n");
  for (const std::string method : {"maximum-likelihood", "add-k", "kneser-ney", "absolute-discounting",
                                   "witten-bell", "katz", "stupid-backoff"}) {
    for (const std::string text : {"word.txt", "line.txt", "unk.txt", "blank.txt"}) {
      INFO(method << " of " << text);
      const Result built =
          gradus_command(folder, "ngram build --order 3 --out m.ngram --method " + method + " " + text);
      INFO(built.error);
      REQUIRE(built.code == 0);
      CHECK(gradus_command(folder, "ngram info --verify m.ngram").code == 0);
      const Result tested = gradus_command(folder, "eval --json --model m.ngram " + text);
      REQUIRE(tested.code == 0);
      CHECK(nlohmann::json::parse(tested.out)["perplexity"].get<double>() >= 1 - 1e-6);
    }
  }
  std::string long_line;
  while (long_line.size() < 5'000'000) long_line += "some words over and over ";
  folder.write("long.txt", long_line);  // without an end
  const Result long_built = gradus_command(folder, "ngram build --order 3 --json long.txt --out m.ngram");
  REQUIRE(long_built.code == 0);
  CHECK(nlohmann::json::parse(long_built.out)["sentences"] == 1);
  CHECK(nlohmann::json::parse(long_built.out)["tokens"] == 1'000'001);
  refused(folder, "ngram build unk.txt --closed --out x.ngram", {"unknown word"});
  std::filesystem::remove(folder.path() / "m.ngram");
  folder.write("endless.txt", std::string(18'000'000, 'a'));
  folder.write("zero.txt", std::string("fine words\na\0b\n", 15));
  folder.write("binary", std::string("ELF\0\1\2\xFF", 7));
  folder.write("latin.txt", "fine\nbad \xE4 here\n");
  folder.write("mark.txt", "fine\nthe </s> here\n");
  for (const std::string command : {"ngram build --out m.ngram ", "eval --model none "}) {
    if (command.starts_with("eval")) {
      REQUIRE(gradus_command(folder, "ngram build line.txt --out none").code == 0);
    }
    CHECK(gradus_command(folder, command + "endless.txt").code == 0);
    std::filesystem::remove(folder.path() / "m.ngram");
    refused(folder, command + "zero.txt", {"zero.txt, line 2, byte 2", "zero byte"});
    refused(folder, command + "binary", {"binary, line 1, byte 4", "zero byte"});
    refused(folder, command + "latin.txt", {"latin.txt, line 2, byte 5", "UTF-8"});
    refused(folder, command + "mark.txt", {"mark.txt, line 2", "</s>"});
  }
}

TEST_CASE("ngram commands refuse what they cannot use, and leave nothing behind", "[cli][ngram]") {
  const Folder folder;
  folder.write("train.txt", sample(50));
  folder.write("empty.txt", "");
  folder.write("junk.ngram", std::string("GRAD\0\1\2 no model", 16));
  folder.write("binary.txt", std::string("a\0b\n", 4));
  refused(folder, "ngram build missing.txt --out m.ngram", {"missing.txt"});
  refused(folder, "ngram build empty.txt --out m.ngram", {"empty.txt"});
  refused(folder, "ngram build binary.txt --out m.ngram", {"binary.txt"});
  refused(folder, "ngram build train.txt --out train.txt", {"--out train.txt"});
  refused(folder, "ngram build train.txt --out none/m.ngram", {"none"});
  refused(folder, "ngram info junk.ngram", {"junk.ngram"});
  refused(folder, "ngram export junk.ngram --out m.arpa", {"junk.ngram"});
  REQUIRE(gradus_command(folder, "train train.txt --kind rnn --unit character --width 4 --epochs 1 --out rnn")
              .code == 0);
  for (const std::string command : {"info rnn", "export rnn --out m.arpa"})
    refused(folder, "ngram " + command, {"rnn holds a neural model of the kind rnn, not an n-gram model"});
}
