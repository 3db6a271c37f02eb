#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"
#include "tests/support/command.hpp"

// What the program reads and writes: pipes, devices, compressed and unusual texts.

using Catch::Contains;
using gradus::test::Folder;
using gradus::test::gradus_command;
using gradus::test::misused;
using gradus::test::read_bytes;
using gradus::test::refused;
using gradus::test::Result;

namespace {

std::string sentences(int count) {
  std::string out;
  for (int i = 0; i < count; ++i) {
    out += i % 3 == 0   ? "the king sees the crown .\n"
           : i % 3 == 1 ? "a dog has a bone .\n"
                        : "the dog sees .\n";
  }
  return out;
}

/// A folder with a text, its first lines, and a model of words.
struct Prepared : Folder {
  Prepared() {
    write("train.txt", sentences(120));
    write("test.txt", sentences(6));
    REQUIRE(gradus_command(*this, "ngram build --order 3 train.txt --out m.ngram").code == 0);
  }
  /// Runs a command of the shell in the folder.
  void shell(const std::string& command) const {
    REQUIRE(std::system(("cd '" + path().string() + "' && " + command).c_str()) == 0);
  }
  /// The output of a command that is to succeed.
  std::string output(const std::string& arguments, const std::string& input = "") const {
    const Result result = gradus_command(*this, arguments, input);
    INFO(arguments << ": " << result.error);
    REQUIRE(result.code == 0);
    return result.out;
  }
  /// The same while the file `from` is written into the pipe.
  std::string output_fed(const std::string& arguments, const std::string& from,
                         const std::string& pipe) const {
    const std::string bytes = read_bytes(path() / from);
    auto writing =
        std::async(std::launch::async, [&] { std::ofstream(path() / pipe, std::ios::binary) << bytes; });
    const Result result = gradus_command(*this, arguments);
    // So that the writer ends if nobody read.
    const int reader = ::open((path() / pipe).c_str(), O_RDONLY | O_NONBLOCK);
    writing.wait();
    ::close(reader);
    INFO(arguments << ": " << result.error);
    REQUIRE(result.code == 0);
    return result.out;
  }
};

}  // namespace

TEST_CASE("a pipe is read once by every command that reads a text", "[cli][streams]") {
  const Prepared folder;
  const std::string test = read_bytes(folder.path() / "test.txt");
  folder.shell("mkfifo pipe");
  for (const std::string command :
       {"score --model m.ngram ", "eval --model m.ngram ",
        "ngram interpolate m.ngram m.ngram --log-linear --epochs 2 --json --held-out ",
        "ngram interpolate m.ngram m.ngram --json --held-out "}) {
    const auto numbers = [](std::string out) {
      const std::size_t at = out.find("\"text\": ");  // the name of the text
      if (at != out.npos) out.erase(at, out.find('\n', at) - at);
      return out;
    };
    const std::string expected = numbers(folder.output(command + "test.txt"));
    CHECK(numbers(folder.output(command + "-", test)) == expected);
    CHECK(numbers(folder.output_fed(command + "pipe", "test.txt", "pipe")) == expected);
    // Through /dev/stdin, where a file has a place to begin from and a pipe has none.
    CHECK(numbers(folder.output(command + "/dev/stdin", test)) == expected);
    CHECK(numbers(folder.output_fed(command + "/dev/stdin <pipe", "test.txt", "pipe")) == expected);
  }
  misused(folder, "ngram interpolate m.ngram m.ngram --held-out - --test /dev/stdin", "not both");
  misused(folder, "ngram interpolate - - --held-out test.txt", "one model or a text");
  misused(folder, "ngram interpolate m.ngram - --held-out -", "one model or a text");
  misused(folder, "ngram build - --vocabulary - --out x.ngram", "not both");
  misused(folder, "eval --model - -", "not both");
}

TEST_CASE("a model is read once, from a pipe too", "[cli][streams]") {
  const Prepared folder;
  folder.output("ngram export m.ngram --out m.arpa.gz");
  folder.output("train train.txt --kind rnn --width 8 --epochs 1 --out m.safetensors");
  folder.shell("mkfifo pipe");
  for (const std::string model : {"m.ngram", "m.arpa.gz", "m.safetensors"}) {
    INFO(model);
    const std::string expected = folder.output("eval test.txt --model " + model);
    CHECK(folder.output_fed("eval test.txt --model pipe", model, "pipe") == expected);
    CHECK(folder.output("eval test.txt --model - <" + model) == expected);
  }
  const auto info = nlohmann::json::parse(folder.output_fed("ngram info --json pipe", "m.arpa.gz", "pipe"));
  CHECK(info["layout"] == "ARPA");
  CHECK(info["bytes"].is_null());
}

TEST_CASE("a bad line of a file is found before a score is printed, of a pipe when it comes",
          "[cli][streams]") {
  const Prepared folder;
  folder.write("bad.txt", "the dog\nbad \xE4 here\n");
  const Result of_file = gradus_command(folder, "score --model m.ngram bad.txt");
  CHECK(of_file.code == 1);
  CHECK(of_file.out.empty());
  const Result of_pipe = gradus_command(folder, "score --model m.ngram", "the dog\nbad \xE4 here\n");
  CHECK(of_pipe.code == 1);
  CHECK_THAT(of_pipe.error, Contains("standard input, line 2, byte 5"));
}

TEST_CASE("- is the standard output of every --out, and the report goes to stderr", "[cli][streams]") {
  const Prepared folder;
  const auto same = [&](const std::string& command, const std::string& name) {
    folder.output(command + name);
    const std::size_t before = folder.files();
    for (const std::string out : {"-", "/dev/stdout"}) {
      INFO(command << out);
      const Result piped = gradus_command(folder, command + out);
      REQUIRE(piped.code == 0);
      CHECK(piped.out == read_bytes(folder.path() / name));
      CHECK(folder.files() == before);
      if (command.find("export") == command.npos) CHECK_FALSE(piped.error.empty());
    }
  };
  same("ngram build --order 3 train.txt --out ", "model.ngram");
  same("ngram build --order 3 train.txt --layout compact --json --out ", "compact.ngram");
  same("ngram build --order 3 train.txt --layout arpa --out ", "model.arpa");
  same("ngram export m.ngram --out ", "exported.ngram");
  same("ngram prune m.ngram --threshold 1e-3 --out ", "pruned.ngram");
  same("train train.txt --kind ngram --order 3 --out ", "trained.ngram");
  same("train train.txt --kind rnn --width 8 --epochs 1 --out ", "rnn.safetensors");
  CHECK_FALSE(std::filesystem::exists(folder.path() / "-"));
  // What is there already stays, as with every program.
  folder.write("log", "before\n");
  folder.output("ngram export m.ngram --layout arpa --out - >>log");
  CHECK(read_bytes(folder.path() / "log").starts_with("before\n# gradus n-gram model\n"));
  const Result full = gradus_command(folder, "ngram export m.ngram --out - >/dev/full");
  CHECK(full.code == 1);
  CHECK_THAT(full.error, Contains("standard output cannot be written"));

  const Result demo = gradus_command(folder, "demo --tokens 2000 --epochs 1 --out -");
  CHECK(demo.code == 0);
  CHECK(nlohmann::json::parse(demo.out).contains("models"));
  CHECK_FALSE(std::filesystem::exists(folder.path() / "-"));
}

TEST_CASE("train and ngram build write the same form under the same name", "[cli][streams]") {
  const Prepared folder;
  for (const std::string name : {"a.ngram", "a.arpa", "a.arpa.gz"}) {
    folder.output("ngram build --order 3 train.txt --out " + name);
    folder.output("train train.txt --kind ngram --order 3 --out trained-" + name);
    const auto layout = [&](const std::string& file) {
      return nlohmann::json::parse(folder.output("ngram info --json " + file))["layout"];
    };
    CHECK(layout("trained-" + name) == layout(name));
    CHECK(folder.output("eval test.txt --model trained-" + name) ==
          folder.output("eval test.txt --model " + name));
  }
}

TEST_CASE("every command and unit reads a compressed text as it reads the plain one", "[cli][streams]") {
  const Prepared folder;
  folder.shell("gzip -k train.txt && gzip -k test.txt");
  for (const std::string unit : {"word", "character", "byte", "bpe"}) {
    INFO(unit);
    const std::string train = " --kind ngram --order 3 --unit " + unit + " --out ";
    folder.output("train train.txt" + train + "plain.arpa");
    folder.output("train train.txt.gz" + train + "packed.arpa");
    CHECK(read_bytes(folder.path() / "packed.arpa") == read_bytes(folder.path() / "plain.arpa"));
    if (unit != "bpe") {
      folder.output("ngram build --order 3 --unit " + unit + " --out built.arpa - <train.txt.gz");
      CHECK(read_bytes(folder.path() / "built.arpa") == read_bytes(folder.path() / "plain.arpa"));
    }
    for (const std::string command : {"eval --model plain.arpa ", "score --model plain.arpa "}) {
      const std::string expected = folder.output(command + "test.txt");
      CHECK(folder.output(command + "test.txt.gz") == expected);
      CHECK(folder.output(command + "- <test.txt.gz") == expected);
    }
  }
  folder.output("demo train.txt.gz --epochs 1 --out demo");
}

TEST_CASE("byte order marks, line ends and what is no text are one matter for all commands",
          "[cli][streams]") {
  const Prepared folder;
  const std::string lines = "the king sees\na dog\n";
  folder.write("plain", lines);
  std::filesystem::create_directory(folder.path() / "marked");
  folder.write("marked/a", "\xEF\xBB\xBFthe king sees\n");
  folder.write("marked/b",
               "\xEF\xBB\xBF"
               "a dog\n");
  folder.write("returns", "the king sees\ra dog\r");
  folder.write("dos", "the king sees\r\na dog\r\n");
  std::string utf16;
  for (const char c : lines) utf16 += {c, '\0'};
  folder.write("utf16", utf16);
  folder.write("utf16mark", "\xFF\xFE" + utf16);
  folder.write("zero", std::string("the\0king\n", 9));
  for (const std::string command : {"score --model m.ngram ", "eval --model m.ngram "}) {
    const std::string expected = folder.output(command + "plain");
    CHECK(folder.output(command + "marked") == expected);
    CHECK(folder.output(command + "returns") == expected);
    CHECK(folder.output(command + "- <returns") == expected);
    const std::string dos = folder.output(command + "dos");
    CHECK(dos.substr(0, dos.find('\n')) == expected.substr(0, expected.find('\n')));
    for (const std::string text : {"utf16", "- <utf16", "utf16mark", "- <utf16mark"}) {
      const Result result = gradus_command(folder, command + text);
      CHECK(result.code == 1);
      CHECK(result.out.empty());
      CHECK_THAT(result.error, Contains("is UTF-16 text") &&
                                   Contains(text.ends_with("mark") ? "-f utf-16 " : "-f utf-16le "));
    }
    for (const std::string text : {"zero", "- <zero"})
      CHECK_THAT(gradus_command(folder, command + text).error, Contains("line 1, byte 4: a zero byte"));
  }
  refused(folder, "train utf16 --kind ngram --out x", {"is UTF-16 text", "utf-16le"});
  refused(folder, "ngram build zero --out x", {"line 1, byte 4: a zero byte"});
}

TEST_CASE("marks of sentences in a text are refused by every command, or skipped by all", "[cli][streams]") {
  const Prepared folder;
  folder.write("marked.txt", "<s> the king sees the crown . </s>\n<s> a dog </s>\n");
  folder.write("clean.txt", "the king sees the crown .\na dog\n");
  for (const std::string command :
       {"eval --model m.ngram ", "score --model m.ngram ", "train --kind ngram --order 2 --out x.arpa ",
        "ngram build --order 2 --out x.arpa ", "ngram interpolate m.ngram m.ngram --json --held-out "}) {
    refused(folder, command + "marked.txt", {"marked.txt, line 1", "'<s>'", "--skip-marks"});
    const std::string expected = folder.output(command + "clean.txt");
    const std::string model = read_bytes(folder.path() / "x.arpa");
    std::string skipped = folder.output(command + "marked.txt --skip-marks");
    CHECK(read_bytes(folder.path() / "x.arpa") == model);
    std::filesystem::remove(folder.path() / "x.arpa");
    if (const std::size_t at = skipped.find("marked.txt"); at != skipped.npos)
      skipped.replace(at, 10, "clean.txt");
    if (command.starts_with("ngram build")) continue;  // which prints how long it took
    // The spaces are characters, over which the second line of eval has its mean.
    const bool lines = command.starts_with("eval");
    CHECK(skipped.substr(0, lines ? skipped.find('\n') : skipped.npos) ==
          expected.substr(0, lines ? expected.find('\n') : expected.npos));
  }
  misused(folder, "train train.txt --unit byte --skip-marks --out x", "--skip-marks");
}

TEST_CASE("a line may be of any length", "[cli][streams]") {
  const Prepared folder;
  std::string line;
  while (line.size() < 20'000'000) line += "the king sees the crown . a dog has a bone . ";
  folder.write("long.txt", line);
  const auto tokens = nlohmann::json::parse(folder.output("eval --json --model m.ngram long.txt"))["tokens"];
  CHECK(tokens == std::count(line.begin(), line.end(), ' ') + 1);
  CHECK(folder.output("score --model m.ngram long.txt").find("\t" + tokens.dump() + "\t") !=
        std::string::npos);
  folder.output("ngram build --order 2 long.txt --out x.ngram");
}

TEST_CASE("score and eval count the same tokens, with a line end or without", "[cli][streams]") {
  const Prepared folder;
  for (const std::string unit : {"word", "character", "byte"}) {
    folder.write("one.txt", "the king sees a dog");
    folder.output("train one.txt --kind ngram --order 2 --unit " + unit + " --out m");
    for (const std::string text : {"a dog", "a dog\n", "a dog\n\nsees", "\n"}) {
      folder.write("counted.txt", text);
      const auto eval = nlohmann::json::parse(folder.output("eval --json --model m counted.txt"));
      std::istringstream scored(folder.output("score --json --model m counted.txt"));
      std::int64_t tokens = 0, unknown = 0;
      for (std::string line; std::getline(scored, line);) {
        tokens += nlohmann::json::parse(line)["tokens"].get<std::int64_t>();
        unknown += nlohmann::json::parse(line)["unknown"].get<std::int64_t>();
      }
      INFO(unit << " of " << text);
      CHECK(tokens == eval["tokens"]);
      CHECK(unknown == eval["unknown"]);
    }
  }
}

TEST_CASE("a name that is no UTF-8 is no end of a report in JSON", "[cli][streams]") {
  const Prepared folder;
  folder.shell("cp test.txt $(printf 'te\\344st.txt') && cp m.ngram $(printf 'm\\344.ngram')");
  const std::string name = "\"$(printf 'te\\344st.txt')\"", model = "\"$(printf 'm\\344.ngram')\"";
  const auto mixed = nlohmann::json::parse(
      folder.output("ngram interpolate m.ngram " + model + " --json --held-out " + name));
  CHECK(mixed["text"] == "te\xEF\xBF\xBDst.txt");
  CHECK(mixed["models"][1]["model"] == "m\xEF\xBF\xBD.ngram");
  CHECK(nlohmann::json::parse(folder.output("generate --json --model m.ngram --prompt 'the'"))
            .contains("text"));
}
