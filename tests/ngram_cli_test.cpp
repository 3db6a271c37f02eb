#include <nlohmann/json.hpp>

#include "tests/catch.hpp"
#include "tests/command.hpp"

// `gradus ngram` as a user meets it.

using Catch::Contains;
using gradus::test::Folder;
using gradus::test::gradus_command;
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
    CHECK(described["discounts"][n]["amounts"] == report["orders"][n]["discounts"]);
    CHECK(described["discounts"][n]["fallback"] == report["orders"][n]["fallback"]);
  }
  const Result plain = gradus_command(folder, "ngram info m.ngram");
  CHECK_THAT(plain.out, Catch::Contains("n-grams, discounts "));

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
  for (const char* method : {"add-k", "kneser-ney", "absolute-discounting", "witten-bell", "katz"}) {
    const Result built = gradus_command(
        folder, std::string("ngram build --order 3 train.txt --out m.ngram --method ") + method);
    INFO(method << ": " << built.error);
    REQUIRE(built.code == 0);
    const double found = perplexity(folder, "m.ngram");
    CHECK(found > 1);
    CHECK(found < 10);
  }
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

  folder.write("other.txt", "quite other words stand here\nand here\n");
  REQUIRE(gradus_command(folder, "ngram build --order 2 other.txt --out other.ngram").code == 0);
  refused(folder, "ngram interpolate one.ngram other.ngram --held-out test.txt",
          {"one.ngram", "other.ngram"});
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
  refused(folder, "ngram build train.txt --out m.ngram --quantize 8", {"--layout compact"});
  refused(folder, "ngram info junk.ngram", {"junk.ngram"});
  refused(folder, "ngram export junk.ngram --out m.arpa", {"junk.ngram"});
  CHECK(gradus_command(folder, "ngram build train.txt").code == 2);
  CHECK(gradus_command(folder, "ngram build train.txt --out m.ngram --method magic").code == 2);
}
