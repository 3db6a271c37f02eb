#include <nlohmann/json.hpp>

#include "tensor/safetensors.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/command.hpp"
#include "text/synthetic.hpp"

// Options that apply or do not, and what reports say.

using Catch::Contains;
using gradus::test::Folder;
using gradus::test::gradus_command;
using gradus::test::misused;
using gradus::test::read_bytes;
using gradus::test::Result;

namespace {

std::int64_t line_ends(const std::string& text) {
  return std::count(text.begin(), text.end(), '\n');
}

}  // namespace

TEST_CASE("an option that does not apply is an error", "[cli][options]") {
  const Folder folder;
  folder.write("text.txt", gradus::synthetic_corpus(1, 3000).text);
  const std::string train = "train text.txt --out m.safetensors ";
  for (const std::string kind : {"lstm", "gru", "rnn"})
    misused(folder, train + "--order 3 --kind " + kind, "--order is of n-grams");
  for (const std::string option : {"--epochs 3", "--updates 3", "--batch 2", "--layers 2", "--dropout 0.1",
                                   "--width 8", "--lr 0.1", "--seed 2"})
    misused(folder, train + "--kind ngram " + option, option.substr(0, option.find(' ')) + " is of networks");
  for (const std::string kind : {"ngram", "feed-forward", "lstm"}) {
    misused(folder, train + "--heads 2 --kind " + kind, "--heads is of transformers");
    misused(folder, train + "--context 8 --kind " + kind, "--context is of transformers");
  }
  misused(folder, train + "--document-end '</s>' --kind ngram", "--document-end is of networks");
  misused(folder, train + "--document-end '</s>' --kind feed-forward", "--document-end is of recurrent");
  for (const std::string kind : {"ngram", "lstm", "gpt"})
    misused(folder, train + "--sinks 2 --kind " + kind, "--sinks is of Llama");
  misused(folder, train + "--kind log-bilinear --layers 2", "--layers is of recurrent networks");
  misused(folder, train + "--epochs 1 --updates 9", "give one");
  misused(folder, train + "--dropout 1", "from 0 to below 1");
  misused(folder, train + "--unit byte --min-count 2", "--min-count");
  misused(folder, train + "--unit byte --subwords 300", "--subwords");
  misused(folder, train + "--unit bpe --subwords 300 --tokenizer t.json", "--subwords");
  misused(folder, train + "--unit word --tokenizer t.json", "--tokenizer cuts a text into subwords");
  misused(folder, train + "--tokenizer t.json --min-count 2", "--min-count");
  misused(folder, train + "--unit bpe --skip-marks", "not of subwords");
  misused(folder, "ngram build text.txt --unit bpe --out m", "--unit");
  for (const std::string option : {"--min-count 2", "--max-vocabulary 9", "--closed"})
    misused(folder, "ngram build text.txt --unit byte --out m " + option, "no byte is unknown");
  misused(folder, "demo text.txt --tokens 3000", "--tokens");
  misused(folder, "ngram interpolate a b --log-linear --weights 1,1 --test text.txt --epochs 2", "--epochs");
  // Where it applies, it is not ignored.
  REQUIRE(gradus_command(folder, train + "--kind feed-forward --order 2 --epochs 1 --width 8").code == 0);
  const std::string two = read_bytes(folder.path() / "m.safetensors");
  REQUIRE(gradus_command(folder, train + "--kind feed-forward --order 4 --epochs 1 --width 8").code == 0);
  CHECK(read_bytes(folder.path() / "m.safetensors").size() > two.size());
  const std::string gpt = "--json --kind gpt --width 8 --updates 3 ";
  const auto parameters = [&](const std::string& options) {
    const Result trained = gradus_command(folder, train + gpt + options);
    INFO(trained.error);
    REQUIRE(trained.code == 0);
    const auto report = nlohmann::json::parse(trained.out);
    CHECK(report.at("updates") == 3);
    CHECK(report.at("epochs").is_null());
    return report.at("parameters").get<int>();
  };
  const int one = parameters("--layers 1 --heads 2 --context 16 --batch 2");
  CHECK(parameters("--layers 3 --heads 4 --context 16 --batch 2") - one == 2 * (12 * 64 + 13 * 8));
  CHECK(parameters("--layers 1 --heads 2 --context 20 --batch 2") - one == 4 * 8);
  const Result heads = gradus_command(folder, train + gpt + "--heads 3");
  CHECK_THAT(heads.error, Contains("3 heads do not divide a width of 8"));
  const std::string lines = train + "--kind gru --width 8 --updates 3 --document-end ";
  CHECK_THAT(gradus_command(folder, lines + "zebra").error,
             Contains("data.document_end zebra: the text has no such word"));
  for (const std::string end : {"'</s>'", "'\\n' --unit character"}) {
    REQUIRE(gradus_command(folder, lines + end).code == 0);
    const std::string network =
        gradus::load_safetensors(folder.path() / "m.safetensors").metadata.at("network");
    CHECK_THAT(network, !Contains("\"document_end\":-1") && Contains("\"document_end\":"));
    CHECK_THAT(gradus_command(folder, "eval --model m.safetensors text.txt").out,
               Contains("state begun anew behind each " + end.substr(1, end.find('\'', 1) - 1)));
  }
  const std::string llama = train + "--kind llama --width 8 --updates 3 --heads 2 --context 9 --sinks ";
  CHECK_THAT(gradus_command(folder, llama + "9").error, Contains("9 sinks in a context of 9"));
  REQUIRE(gradus_command(folder, llama + "2").code == 0);
  CHECK(
      gradus::load_safetensors(folder.path() / "m.safetensors").metadata.at("network").find("\"sinks\":2") !=
      std::string::npos);
  parameters("--layers 1 --heads 2 --context 20 --batch 2");
  const std::string three = read_bytes(folder.path() / "m.safetensors");
  parameters("--layers 1 --heads 2 --context 20 --batch 2 --dropout 0.5");
  CHECK(read_bytes(folder.path() / "m.safetensors") != three);
}

TEST_CASE("every command that reports can do so in JSON", "[cli][options]") {
  const Folder folder;
  folder.write("text.txt", gradus::synthetic_corpus(1, 3000).text);
  const auto json = [&](const std::string& arguments) {
    const Result result = gradus_command(folder, arguments + " --json");
    INFO(arguments << ": " << result.error);
    REQUIRE(result.code == 0);
    return nlohmann::json::parse(result.out);
  };
  const auto ngram = json("train text.txt --kind ngram --order 3 --out m.ngram");
  CHECK(ngram["orders"].size() == 3);
  CHECK(ngram["train_tokens"] == json("ngram build text.txt --order 3 --out b.ngram")["tokens"]);
  const auto network = json("train text.txt --kind rnn --width 8 --epochs 2 --out m.safetensors");
  CHECK(network["epochs"] == 2);
  CHECK(network["smoothed_training_perplexity"] > 1);
  CHECK(network["parameters"] > 0);
  const auto pruned = json("ngram prune m.ngram --threshold 1e-3 --out p.ngram");
  const auto info = json("ngram info p.ngram");
  for (std::size_t n = 0; n < 3; ++n) {
    CHECK(pruned["orders"][n]["before"] == ngram["orders"][n]["ngrams"]);
    CHECK(pruned["orders"][n]["ngrams"] == info["ngrams"][n]);
  }
}

TEST_CASE("generate stops at the limit that is given, and keeps the prompt's line end", "[cli][options]") {
  const Folder folder;
  std::string text;
  for (int i = 0; i < 300; ++i) text += i % 2 == 0 ? "the king sees .\n" : "\n";
  folder.write("text.txt", text);
  REQUIRE(gradus_command(folder, "train text.txt --kind ngram --order 2 --out m").code == 0);
  const auto drawn = [&](const std::string& options) {
    const Result result = gradus_command(folder, "generate --model m --json " + options);
    INFO(result.error);
    REQUIRE(result.code == 0);
    return nlohmann::json::parse(result.out);
  };
  CHECK(drawn("--tokens 500")["tokens"] == 500);
  const std::string lines = drawn("--lines 40")["text"];
  std::int64_t filled = 0;
  for (std::size_t at = 0; at < lines.size(); at = lines.find('\n', at) + 1) filled += lines[at] != '\n';
  CHECK(filled == 40);
  CHECK(line_ends(lines) > 40);  // blank ones are not counted
  CHECK(drawn("")["tokens"] <= 100);
  CHECK(drawn("--tokens 500 --lines 2")["tokens"] < 500);

  // After a line end comes a line, after a word the line goes on.
  CHECK(gradus_command(folder, "generate --model m --temperature 0 --tokens 2 --prompt 'the king'").out ==
        "the king sees .\n");
  const std::string ended =
      gradus_command(folder, "generate --model m --seed 2 --lines 1 --prompt 'the king sees .\n'").out;
  CHECK(ended.starts_with("the king sees .\n"));
  CHECK(ended.substr(16).find(" ") != 0);
  CHECK(ended.ends_with("the king sees .\n"));

  const Result strange =
      gradus_command(folder, "generate --model m --prompt 'the zebra and the zebra' --tokens 3");
  CHECK(strange.code == 0);
  CHECK_THAT(strange.error, Contains("warning") && Contains("'zebra', 'and'"));
  CHECK(gradus_command(folder, "generate --model m --prompt 'the king' --tokens 3").error.empty());
}

TEST_CASE("generate continues several prompts, each as often as is asked for", "[cli][options]") {
  const Folder folder;
  folder.write("text.txt", gradus::synthetic_corpus(1, 2000).text);
  folder.write("prompts.txt", "the queen\nthe king\n\n");
  REQUIRE(gradus_command(folder, "train text.txt --kind gpt --width 16 --updates 2 --out m").code == 0);
  const auto drawn = [&](const std::string& options) {
    const Result result = gradus_command(folder, "generate --model m --tokens 9 --json " + options);
    INFO(result.error);
    REQUIRE(result.code == 0);
    return nlohmann::json::parse(result.out);
  };
  const auto all = drawn("--prompts prompts.txt --count 2 --batch 3");
  REQUIRE(all.size() == 6);
  CHECK(all[1]["prompt"] == "the queen");
  CHECK(all[2]["prompt"] == "the king");
  CHECK(all[5]["prompt"] == "");
  // The first draws what it draws alone; others from random numbers of their own.
  CHECK(all[0] == drawn("--prompt 'the queen'"));
  CHECK(all[0]["text"] != all[1]["text"]);
  CHECK(drawn("--prompt 'the queen' --count 2")[1] == all[1]);

  const std::string plain =
      gradus_command(folder, "generate --model m --tokens 3 --prompt 'the queen' --count 3").out;
  CHECK(plain.starts_with("--- 1 of 3\nthe queen "));
  CHECK_THAT(plain, Contains("\n\n--- 3 of 3\nthe queen "));
  const Result both = gradus_command(folder, "generate --model m --prompts prompts.txt --prompt the");
  CHECK(both.code == 2);
  CHECK_THAT(both.error, Contains("--prompt and --prompts"));
  CHECK_THAT(gradus_command(folder, "generate --model m --prompts none.txt").error, Contains("none.txt"));
}

TEST_CASE("a network that never saw <unk> says so when a text has unknown words", "[cli][options]") {
  const Folder folder;
  const std::string text = gradus::synthetic_corpus(1, 3000).text;
  folder.write("text.txt", text);
  folder.write("known.txt", text.substr(0, text.find('\n') + 1));
  folder.write("strange.txt", "xylophone " + text.substr(0, text.find('\n') + 1));
  const std::string train = "train text.txt --kind rnn --width 8 --epochs 1 --out ";
  REQUIRE(gradus_command(folder, train + "never").code == 0);
  REQUIRE(gradus_command(folder, train + "often --min-count 2").code == 0);
  for (const std::string command : {"eval", "score"}) {
    const auto error = [&](const std::string& rest) {
      const Result result = gradus_command(folder, command + " --model " + rest);
      CHECK(result.code == 0);
      return result.error;
    };
    CHECK_THAT(error("never strange.txt"), Contains("never saw <unk>") && Contains("--min-count 2"));
    CHECK(line_ends(error("never strange.txt")) == 1);
    CHECK(error("never known.txt").empty());
    CHECK(error("never strange.txt --unknown srilm").empty());
    CHECK(error("often strange.txt").empty());
  }
  CHECK_THAT(gradus_command(folder, "ngram interpolate never often --held-out strange.txt").error,
             Contains("never never saw <unk>"));
}

TEST_CASE("the report on training says what its perplexity is", "[cli][options]") {
  const Folder folder;
  folder.write("text.txt", gradus::synthetic_corpus(1, 6000).text);
  CHECK_THAT(gradus_command(folder, "train text.txt --kind rnn --width 8 --epochs 1 --out m.safetensors").out,
             Contains("perplexity while it learned") && Contains("the mean of all "));
}

TEST_CASE("--prune, --memory and --weights take what other toolkits write, or say what is wrong",
          "[cli][options]") {
  const Folder folder;
  folder.write("text.txt", gradus::synthetic_corpus(1, 3000).text);
  const std::string build = "ngram build --order 4 ";
  REQUIRE(gradus_command(folder, build + "text.txt --out a.ngram --prune 0,0,1").code == 0);
  for (const std::string options :
       {"text.txt --prune 0 0 1 --out b.ngram", "--out b.ngram --prune 0 0 1 text.txt",
        "text.txt --out b.ngram --memory 50% --prune 0 0 1", "--out b.ngram --prune=0 0 1 text.txt"}) {
    INFO(options);
    REQUIRE(gradus_command(folder, build + options).code == 0);
    CHECK(read_bytes(folder.path() / "b.ngram") == read_bytes(folder.path() / "a.ngram"));
  }
  for (const std::string share : {"0%", "101%", "x%", "%"})
    misused(folder, build + "text.txt --out c.ngram --memory " + share, "--memory");
  const std::string mix = "ngram interpolate a.ngram b.ngram --test text.txt --weights ";
  misused(folder, mix + "1e300,1", "add up to 1e+300, not to 1");
  misused(folder, mix + "1e300,1 --log-linear", "1e+300 is too large");
}
