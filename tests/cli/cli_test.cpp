#include <sys/wait.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "models/kinds.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/command.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/sanitizers.hpp"
#include "text/bpe.hpp"
#include "text/synthetic.hpp"

// The program as a user meets it: what it prints, where, and its exit codes.

using Catch::Contains;
using gradus::test::Folder;
using gradus::test::gradus_command;
using gradus::test::read_bytes;
using gradus::test::refused;
using gradus::test::Result;

TEST_CASE("a bad text is refused by every command that reads one, and leaves nothing behind", "[cli]") {
  const Folder folder;
  folder.write("empty.txt", "");
  folder.write("word.txt", "word\n");
  folder.write("binary", std::string("ELF\0\1\2", 6));
  folder.write("latin.txt", "fine\nbad \xE4 here\n");
  folder.write("long.txt", std::string(100'000'000, 'a'));
  folder.write("short.txt", "the cat sat\nthe dog ran\n");
  std::string same;
  for (int i = 0; i < 2000; ++i) same += "a a\n";
  folder.write("same.txt", same);
  for (const std::string command :
       {"train --kind ngram --out model", "train --kind lstm --out model.safetensors", "demo"}) {
    refused(folder, command + " missing.txt", {"missing.txt", "no such file"});
    refused(folder, command + " empty.txt", {"empty.txt", "is empty"});
    refused(folder, command + " word.txt", {"word.txt"});
    refused(folder, command + " binary", {"binary", "line 1, byte 4", "zero byte"});
    refused(folder, command + " latin.txt", {"latin.txt, line 2, byte 5", "UTF-8"});
    refused(folder, command + " long.txt", {"long.txt", "only one", "nothing to learn"});
    refused(folder, command + " same.txt", {"same.txt", "'a'", "nothing to learn"});
  }
  refused(folder, "train --kind lstm --out model short.txt", {"short.txt", "less than one batch", "65"});
  refused(folder, "demo short.txt --unit word", {"short.txt"});
}

TEST_CASE("a model never replaces its own text, and training that went astray leaves none", "[cli]") {
  const Folder folder;
  folder.write("text", gradus::synthetic_corpus(1, 3000).text);
  const std::string before = read_bytes(folder.path() / "text");
  refused(folder, "train text --kind ngram --out ./text", {"--out", "which the model would replace"});
  CHECK(read_bytes(folder.path() / "text") == before);
  refused(folder, "train text --kind feed-forward --order 1 --out model", {"order 1", "at least 2"});
  refused(folder, "train text --kind rnn --lr 1e6 --epochs 3 --width 8 --out model.safetensors",
          {"training step"});
}

TEST_CASE("a place that cannot be written to is found out before the work", "[cli]") {
  const Folder folder;
  folder.write("text.txt", gradus::synthetic_corpus(1, 2000).text);
  refused(folder, "train text.txt --out none/model.safetensors", {"none/model", "make its folder"});
  refused(folder, "train text.txt --out .", {"there is text.txt in this folder", "choose an empty folder"});
  refused(folder, "train text.txt --out text.txt/run", {"text.txt/run"});
  refused(folder, "train text.txt --kind ngram --out .", {"directory"});
  refused(folder, "train text.txt --out ''", {"is empty"});
  refused(folder, "demo text.txt --out text.txt", {"text.txt/results.json"});
}

TEST_CASE("a loss that is not finite stops the training, names step and op, and writes nothing", "[cli]") {
  const Folder folder;
  folder.write("text.txt", gradus::synthetic_corpus(1, 5000).text);
  refused(folder, "train text.txt --kind rnn --lr 1e38 --out model.safetensors",
          {"training step", "lower learning rate"});
}

TEST_CASE("output that cannot be written is an error", "[cli]") {
  if (!std::filesystem::is_character_file("/dev/full")) return;
  const Folder folder;
  folder.write("text.txt", gradus::synthetic_corpus(1, 2000).text);
  REQUIRE(gradus_command(folder, "train text.txt --kind ngram --out model").code == 0);
  for (const std::string command : {"score --model model text.txt", "eval --model model text.txt",
                                    "generate --model model", "--version", "eval --help"}) {
    INFO(command);
    const Result result = gradus_command(folder, command + " >/dev/full");
    CHECK(result.code == 1);
    CHECK_THAT(result.error, Contains("gradus: ") && Contains("output"));
    const Result closed = gradus_command(folder, command + " >&-");
    CHECK(closed.code == 1);
    CHECK_THAT(closed.error, Contains("gradus: ") && Contains("output"));
  }
}

TEST_CASE("a stream that the caller closed is not confused with a file", "[cli]") {
  const Folder folder;
  folder.write("text.txt", gradus::synthetic_corpus(1, 2000).text);
  REQUIRE(gradus_command(folder, "ngram build text.txt --out a.ngram").code == 0);
  const Result closed = gradus_command(folder, "ngram build text.txt --out b.ngram <&- >&-");
  CHECK(closed.code == 1);  // the report was lost
  CHECK_THAT(closed.error, Contains("output"));
  CHECK(read_bytes(folder.path() / "b.ngram") == read_bytes(folder.path() / "a.ngram"));
}

TEST_CASE("wrong usage has exit code 2, help and version 0", "[cli]") {
  const Folder folder;
  CHECK(gradus_command(folder, "").code == 2);
  const Result paint = gradus_command(folder, "paint");
  CHECK(paint.code == 2);
  CHECK_THAT(paint.error, Contains("no command 'gradus paint'") && Contains("demo, train, eval"));
  const Result mix = gradus_command(folder, "ngram mix --json");
  CHECK(mix.code == 2);
  CHECK_THAT(mix.error, Contains("no command 'gradus ngram mix'") && Contains("interpolate"));
  const Result top_p = gradus_command(folder, "generate --model m --top-p 0");
  CHECK(top_p.code == 2);
  CHECK_THAT(top_p.error, Contains("--top-p") && Contains("above 0 and at most 1"));
  CHECK(gradus_command(folder, "train").code == 2);
  CHECK(gradus_command(folder, "train a --out b --kind mamba").code == 2);
  CHECK(gradus_command(folder, "demo --threads -1").code == 2);
  for (const std::string seed : {"-1", "18446744073709551616", "1.5", "x"})
    CHECK(gradus_command(folder, "demo --seed " + seed).code == 2);
  for (const std::string lr : {"nan", "inf", "-1", "fast"})
    CHECK(gradus_command(folder, "train a --out b --lr " + lr).code == 2);
  CHECK(gradus_command(folder, "--version").out == "gradus 0.1.0\n");
  for (const std::string command : {"demo", "train", "eval", "generate", "score"}) {
    const Result help = gradus_command(folder, command + " --help");
    CHECK(help.code == 0);
    CHECK_THAT(help.out, Contains("Example"));
    CHECK(help.error.empty());
  }
}

TEST_CASE("models of every kind are trained, evaluated, scored and drawn from", "[cli]") {
  const Folder folder;
  folder.write("text.txt", gradus::synthetic_corpus(1, 4000).text);
  const std::string test = "the queen has a crown .\nzebra\n";
  folder.write("test.txt", test);
  std::vector<std::string> kinds{"ngram"};
  for (const gradus::models::NetworkKind& kind : gradus::models::network_kinds())
    kinds.emplace_back(kind.name);
  const std::string help = gradus_command(folder, "train --help").out;
  for (const std::string& kind : kinds) {
    CHECK_THAT(help, Contains(kind));
    for (const std::string unit : {"word", "character", "byte", "bpe"}) {
      INFO(kind << " of " << unit << "s");
      const std::string model = kind == "ngram" ? "model" : "model.safetensors";
      const bool ordered = kind == "feed-forward" || kind == "log-bilinear" || kind == "ngram";
      const std::string own =
          std::string(kind == "ngram" ? "" : " --epochs 1 --width 16") + (ordered ? " --order 3" : "");
      const Result trained = gradus_command(
          folder, "train text.txt --json --kind " + kind + own + " --unit " + unit + " --out " + model);
      INFO(trained.error);
      REQUIRE(trained.code == 0);
      const auto report = nlohmann::json::parse(trained.out);
      CHECK(report.at("kind") == kind);
      CHECK(report.at("bytes") == std::filesystem::file_size(folder.path() / model));
      const Result eval = gradus_command(folder, "eval --model " + model + " test.txt --json");
      REQUIRE(eval.code == 0);
      const auto json = nlohmann::json::parse(eval.out);
      CHECK(json.at("perplexity") > 1);
      if (unit == "bpe") {
        CHECK(json.at("tokens") > 3);
        CHECK(json.at("tokens") < 30);
      } else {
        CHECK(json.at("tokens") == (unit == "word" ? 9 : 30));
      }

      // The lines' scores add up to the text's when each begins anew, as n-grams of words do.
      const Result from_file = gradus_command(folder, "score --model " + model + " test.txt");
      const Result from_input = gradus_command(folder, "score --model " + model, test);
      CHECK(from_file.out == from_input.out);
      if (kind == "ngram" && unit == "word") {
        std::istringstream lines(from_file.out);
        double log10 = 0, known = 0, sum = 0, sum_known = 0;
        int tokens = 0, unknown = 0, all_tokens = 0, all_unknown = 0;
        while (lines >> log10 >> tokens >> unknown >> known) {
          sum += log10;
          sum_known += known;
          all_tokens += tokens;
          all_unknown += unknown;
        }
        CHECK(unknown == 1);
        CHECK(all_unknown == json.at("unknown"));
        CHECK(all_tokens == 9);
        CHECK(unknown == 1);
        CHECK(std::pow(10, -sum_known / (all_tokens - all_unknown)) ==
              Approx(json.at("perplexity_without_unknown").get<double>()).epsilon(1e-6));
        CHECK(sum * std::log(10.0) == Approx(json.at("log_prob").get<double>()).epsilon(1e-6));
      }
      const std::string draw = "generate --model " + model + " --tokens 30 --prompt 'the queen' --seed ";
      const Result drawn = gradus_command(folder, draw + "1");
      CHECK(drawn.code == 0);
      CHECK(drawn.out.starts_with("the queen"));
      CHECK(drawn.out.find("<unk>") == std::string::npos);
      CHECK(gradus_command(folder, draw + "1").out == drawn.out);
      CHECK(gradus_command(folder, draw + "2").out != drawn.out);
    }
  }
  REQUIRE(gradus_command(folder, "train text.txt --kind ngram --unit character --out characters").code == 0);
  folder.write("unknown.txt", "\xE6\x97\xA5");
  CHECK_THAT(gradus_command(folder, "eval --model characters unknown.txt").out,
             Contains("with unknown characters, nothing without; 1 characters, 1 of them unknown"));
  for (const auto& [input, message] :
       {std::pair("fine\nbad \xE4 here\n", "standard input, line 2, byte 5: not valid UTF-8"),
        std::pair("", "standard input is empty")}) {
    const Result bad = gradus_command(folder, "score --model characters", input);
    CHECK(bad.code == 1);
    CHECK_THAT(bad.error, Contains(message));
  }
  folder.write("mark.txt", "fine\nthe </s> here\n");
  REQUIRE(gradus_command(folder, "train text.txt --kind ngram --out words").code == 0);
  const Result marked = gradus_command(folder, "score --model words mark.txt");
  CHECK(marked.code == 1);
  CHECK(marked.out.empty());
  CHECK_THAT(marked.error, Contains("mark.txt, line 2: the word '</s>'"));
  refused(folder, "eval --model text.txt test.txt", {"text.txt"});
  refused(folder, "eval --model model missing.txt", {"missing.txt"});
  const Result usage = gradus_command(folder, "generate --model model --top-p 2");
  CHECK(usage.code == 2);
  CHECK_THAT(usage.error, Contains("--top-p"));
}

TEST_CASE("what generate drew is JSON where that is asked for, with the seed that draws it again", "[cli]") {
  const Folder folder;
  folder.write("text.txt", gradus::synthetic_corpus(1, 2000).text);
  REQUIRE(gradus_command(folder, "train text.txt --kind ngram --out model").code == 0);
  const std::string draw = "generate --model model --tokens 3 --prompt 'the queen' --seed 5";
  const Result plain = gradus_command(folder, draw), result = gradus_command(folder, draw + " --json");
  INFO(result.error);
  REQUIRE(result.code == 0);
  const auto json = nlohmann::json::parse(result.out);
  CHECK(json.at("prompt") == "the queen");
  CHECK(json.at("seed") == 5);
  CHECK(json.at("tokens") == 3);
  std::string text = json.at("text");
  if (!text.ends_with('\n')) text += '\n';
  CHECK(plain.out == "the queen " + text);
}

TEST_CASE("a model keeps the tokenizer that it was trained with, and no other is mixed with it", "[cli]") {
  const Folder folder;
  const std::string text = gradus::synthetic_corpus(1, 4000).text;
  folder.write("text.txt", text);
  folder.write("test.txt", "the queen \xFF has\n\n\n  a crown .");
  gradus::Bpe::train(text, {.size = 400}).save_json(folder.path() / "tokenizer.json");
  const std::string train = "train text.txt --kind ngram --order 3 --out ";
  REQUIRE(gradus_command(folder, train + "given --tokenizer tokenizer.json").code == 0);
  REQUIRE(gradus_command(folder, train + "learned --unit bpe --subwords 400").code == 0);
  REQUIRE(gradus_command(folder, train + "other --unit bpe --subwords 300").code == 0);
  std::filesystem::remove(folder.path() / "tokenizer.json");
  const Result given = gradus_command(folder, "eval --json --model given test.txt");
  REQUIRE(given.code == 0);
  CHECK(gradus_command(folder, "eval --json --model learned test.txt").out == given.out);
  CHECK(gradus_command(folder, "ngram interpolate given learned --held-out test.txt").code == 0);
  refused(folder, "ngram interpolate given other --held-out test.txt",
          {"given", "other", "different subwords"});
  refused(folder, train + "m --tokenizer tokenizer.json", {"tokenizer.json"});
  // What is drawn goes on with the prompt, and every token with a line end ends a line.
  const Result drawn = gradus_command(folder, "generate --model given --prompt 'the que' --lines 2");
  CHECK(drawn.out.starts_with("the que"));
  CHECK(std::count(drawn.out.begin(), drawn.out.end(), '\n') >= 2);
}

TEST_CASE("a byte order mark before the first line is no part of what is scored", "[cli]") {
  const Folder folder;
  folder.write("text.txt", gradus::synthetic_corpus(1, 2000).text);
  const std::string line = "the queen has a crown .\n", marked = "\xEF\xBB\xBF" + line;
  folder.write("marked.txt", marked);
  for (const std::string unit : {"word", "character", "bpe"}) {
    REQUIRE(gradus_command(folder, "train text.txt --kind ngram --out model --unit " + unit).code == 0);
    const Result plain = gradus_command(folder, "score --model model", line);
    REQUIRE(plain.code == 0);
    CHECK(gradus_command(folder, "score --model model", marked).out == plain.out);
    CHECK(gradus_command(folder, "score --model model marked.txt").out == plain.out);
    // On a later line it is a symbol, which the model does not know.
    CHECK(gradus_command(folder, "score --model model", line + marked).out != plain.out + plain.out);
  }
  REQUIRE(gradus_command(folder, "train text.txt --kind ngram --out model --unit byte").code == 0);
  CHECK(gradus_command(folder, "score --model model", marked).out !=
        gradus_command(folder, "score --model model", line).out);
}

#if defined(GRADUS_ADDRESS_SANITIZER) || defined(GRADUS_THREAD_SANITIZER)
constexpr bool sanitized = true;  // which needs more addresses than a limit would leave
#else
constexpr bool sanitized = false;
#endif

TEST_CASE("a model that does not fit into memory is refused, with what to do", "[cli]") {
  if (sanitized) return;
  const Folder folder;
  folder.write("text.txt", gradus::synthetic_corpus(1, 2000).text);
  const std::string command =
      "cd '" + folder.path().string() + "' && ulimit -v 4000000 && '" + gradus::test::bin_dir() +
      "/gradus' train text.txt --kind rnn --width 65536 --out model.safetensors >out 2>error";
  const int status = std::system(command.c_str());
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 1);
  CHECK(read_bytes(folder.path() / "error") ==
        "gradus: not enough memory for this text and model; try a smaller one\n");
  CHECK_FALSE(std::filesystem::exists(folder.path() / "model.safetensors"));
}

TEST_CASE("the demo compares all models on a text, the same each time", "[cli]") {
  const Folder folder;
  const auto run = [&](const std::string& more) {
    const Result result = gradus_command(folder, "demo --tokens 2000 --epochs 1 --json --out out " + more);
    INFO(result.error);
    REQUIRE(result.code == 0);
    const auto json = nlohmann::json::parse(result.out);
    CHECK(nlohmann::json::parse(read_bytes(folder.path() / "out/results.json")) == json);
    return json;
  };
  const auto json = run("--threads 1"), again = run("--threads 2");
  const auto& kinds = gradus::models::network_kinds();
  REQUIRE(json.at("models").size() == 8 + kinds.size());
  for (std::size_t i = 0; i < 8 + kinds.size(); ++i) {
    if (i >= 8)
      CHECK_THAT(json.at("models")[i].at("model").get<std::string>(),
                 Contains(std::string(kinds[i - 8].name)));
    const auto& model = json.at("models")[i];
    INFO(model.at("model"));
    CHECK(again.at("models")[i].at("perplexity") == model.at("perplexity"));
    CHECK(again.at("models")[i].at("sample") == model.at("sample"));
    // No model knows more than the grammar does.
    if (model.at("perplexity").is_number()) CHECK(model.at("over_floor") > 1);
    CHECK(model.at("parameters") > 0);
  }
}
