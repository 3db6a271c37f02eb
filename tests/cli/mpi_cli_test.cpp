#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "tensor/random.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/command.hpp"
#include "tests/support/random_words.hpp"

// Commands in several processes, as `mpirun -n 4 gradus ...` starts them.

using Catch::Contains;
using gradus::Rng;
using gradus::test::Folder;
using gradus::test::gradus_command;
using gradus::test::read_bytes;
using gradus::test::Result;
using gradus::test::run_program;

namespace {

std::string random_text(std::uint64_t seed, int lines) {
  return gradus::test::random_words(seed, lines, 10, 2000);
}

/// How many lines of the program's own there are; a launcher says something too.
std::ptrdiff_t lines_of_gradus(const std::string& text) {
  std::ptrdiff_t count = 0;
  for (std::size_t at = 0; (at = text.find("gradus: ", at)) != text.npos; ++at)
    count += at == 0 || text[at - 1] == '\n' ? 1 : 0;
  return count;
}

}  // namespace

#ifdef GRADUS_MPIEXEC

namespace {

const std::string root_may =
    "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "
    "OMPI_MCA_rmaps_base_oversubscribe=1; ";
// What hangs is ended with the code 124.
const std::string launcher = "timeout 100 '" GRADUS_MPIEXEC "' --bind-to none";

/// What one process does before it runs the program.
std::string after(const std::string& shell, const std::string& arguments) {
  return " -n 1 sh -c '" + shell + "; exec " + gradus::test::bin_dir() + "/gradus " + arguments + "'";
}
std::string plain(int processes, const std::string& arguments) {
  return " -n " + std::to_string(processes) + " '" + gradus::test::bin_dir() + "/gradus' " + arguments;
}
Result launched(const Folder& folder, int processes, const std::string& arguments,
                const std::string& input = "") {
  return run_program(folder, root_may + launcher + plain(processes, arguments), "", input);
}

/// Expects of several processes what one prints.
void expect_same(const Folder& folder, const std::string& arguments) {
  const Result one = gradus_command(folder, arguments);
  INFO(arguments << ": " << one.error);
  REQUIRE(one.code == 0);
  CHECK_FALSE(one.out.empty());
  const Result several = launched(folder, 3, arguments);
  INFO(several.error);
  CHECK(several.code == 0);
  CHECK((several.out == one.out));
}

}  // namespace

TEST_CASE("ngram build in several processes writes the file of one", "[cli][ngram][mpi]") {
  const Folder folder;
  folder.write("text.txt", random_text(1, 3000));
  std::filesystem::create_directory(folder.path() / "texts");
  for (int i = 0; i < 3; ++i)
    folder.write("texts/" + std::to_string(i), random_text(static_cast<std::uint64_t>(i + 2), 300));
  REQUIRE(run_program(folder, "gzip texts/1", "").code == 0);
  const char* const builds[] = {"text.txt --out OUT.ngram --prune 0,0,1",
                                "text.txt --out OUT.arpa --order 3 --memory 1M",
                                "texts --out OUT.ngram --layout compact --method katz --min-count 2",
                                "texts --out OUT.arpa.gz --order 2 --max-vocabulary 100",
                                "texts/1.gz --out OUT.ngram",
                                "- --out OUT.ngram"};
  for (std::string build : builds) {
    INFO(build);
    const std::string input = build.starts_with("-") ? random_text(6, 100) : "";
    const std::size_t place = build.find("OUT");
    const std::string name = build.substr(place, build.find(' ', place) - place);
    const Result one = gradus_command(folder, "ngram build " + build, input);
    INFO(one.error);
    REQUIRE(one.code == 0);
    const std::string expected = read_bytes(folder.path() / name);
    const bool first = build.starts_with("text.txt --out OUT.ngram");
    for (const int processes : first ? std::vector<int>{1, 2, 4} : std::vector<int>{3}) {
      std::filesystem::remove(folder.path() / name);
      const Result several = launched(folder, processes, "ngram build " + build, input);
      INFO(processes << " processes: " << several.error);
      REQUIRE(several.code == 0);
      CHECK(std::count(several.out.begin(), several.out.end(), '\n') ==
            std::count(one.out.begin(), one.out.end(), '\n'));
      CHECK((read_bytes(folder.path() / name) == expected));
    }
  }
}

TEST_CASE("eval, score and generate in several processes print what one does", "[cli][mpi]") {
  const Folder folder;
  folder.write("train.txt", random_text(1, 500));
  folder.write("test.txt", random_text(2, 2500) + "\n\nw1 unheard w2");
  folder.write("prompts.txt", "w1\nw2 w3\n\nw5 w1\n");
  REQUIRE(gradus_command(folder, "ngram build train.txt --order 3 --out m.ngram").code == 0);
  REQUIRE(gradus_command(folder, "train train.txt --kind lstm --width 8 --epochs 1 --min-count 2 --out m.net")
              .code == 0);
  expect_same(folder, "eval --model m.ngram test.txt --json --details");
  expect_same(folder, "eval --model m.ngram test.txt --unknown srilm --line-ends left-out");
  expect_same(folder, "eval --model m.net test.txt --reading lines --json");
  expect_same(folder, "score --model m.ngram test.txt");
  expect_same(folder, "score --model m.net train.txt --json");
  expect_same(folder, "score --model m.ngram prompts.txt --words");
  expect_same(folder, "generate --model m.ngram --count 7 --seed 5");
  expect_same(folder, "generate --model m.net --count 3 --prompts prompts.txt --json --log-probs");
  expect_same(folder, "generate --model m.ngram --beams 4 --count 2 --prompts prompts.txt");
  // What cannot be shared out is done by one, which says so.
  expect_same(folder, "eval --model m.net test.txt");
  CHECK_THAT(launched(folder, 2, "eval --model m.net test.txt").error,
             Contains("state is carried from line to line"));
  const Result piped = launched(folder, 2, "score --model m.ngram", "w1 w2\nw3\n");
  CHECK(piped.out == gradus_command(folder, "score --model m.ngram", "w1 w2\nw3\n").out);
}

TEST_CASE("an error of one process ends all with one message, and leaves the old model", "[cli][mpi]") {
  const Folder folder;
  folder.write("text.txt", random_text(1, 20000));
  folder.write("bad.txt", random_text(2, 100) + "a \xFF b\n");
  folder.write("m.ngram", "what was there");
  const std::string build = "ngram build text.txt --memory 4M --out m.ngram";
  struct Wrong {
    std::string processes;
    int code;
    std::string text;
  };
  const Wrong all[] = {
      {plain(3, "ngram build nowhere.txt --out m.ngram"), 1, "rank 0 (process "},
      {plain(3, "ngram build bad.txt --out m.ngram"), 1, "bad.txt, line 101, byte 3"},
      {plain(3, "ngram build text.txt --out none/m.ngram"), 1, "make its folder first"},
      {plain(3, "ngram build text.txt --order 99 --out m.ngram"), 2, "--order"},
      {plain(3, "ngram build text.txt --k 2 --out m.ngram"), 2, "--k goes with"},
      {plain(3, "eval --model nowhere text.txt"), 1, "nowhere cannot be opened"},
      {plain(2, "ngram info m.ngram"), 2, "info runs in one process, and 2 were started"},
      {plain(2, "nothing"), 2, "there is no command"},
      {plain(1, build) + " :" + plain(1, build + " --order 4"), 1, "'order=4' here and 'order=5' in rank 0"},
      {plain(1, build) + " :" + after("ulimit -f 50", build), 1, "the temporary file in"},
      {after("ulimit -f 50", "ngram build text.txt --out m.ngram") + " :" +
           plain(1, "ngram build text.txt --out m.ngram"),
       1, "m.ngram: cannot be written"},
  };
  for (const Wrong& wrong : all) {
    INFO(wrong.processes);
    const Result result = run_program(folder, root_may + launcher + wrong.processes, "");
    INFO(result.error);
    CHECK(result.code == wrong.code);
    CHECK(result.out.empty());
    CHECK_THAT(result.error, Contains(wrong.text));
    CHECK(lines_of_gradus(result.error) <= 1);
    const std::size_t first = result.error.find(wrong.text);
    CHECK(result.error.find(wrong.text, first + 1) == result.error.npos);
    CHECK(read_bytes(folder.path() / "m.ngram") == "what was there");
    CHECK(folder.files() == 3);
  }
}

TEST_CASE("a build of which one process is killed ends, and leaves the old model or the new one",
          "[cli][mpi][kill]") {
  const Folder folder;
  folder.write("text.txt", random_text(1, 30000));
  std::filesystem::create_directory(folder.path() / "temporary");
  const std::string build = "ngram build text.txt --memory 4M --temporary temporary --out m.ngram";
  const auto begin = std::chrono::steady_clock::now();
  REQUIRE(launched(folder, 3, build).code == 0);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const std::string whole = read_bytes(folder.path() / "m.ngram");

  Rng rng(7);
  int killed = 0;
  for (int i = 0; i < 6; ++i) {
    const std::string victim = std::to_string(i % 3);
    folder.write("m.ngram", "what was there");
    const std::string commands = root_may + "(sleep " + std::to_string(0.2 + seconds * rng.uniform()) +
                                 "; kill -9 `cat pid" + victim + "`) >/dev/null 2>&1 & " + launcher +
                                 " -n 3 sh -c 'echo $$ > pid$OMPI_COMM_WORLD_RANK; exec " +
                                 gradus::test::bin_dir() + "/gradus " + build + "'";
    folder.write("build.sh", commands);
    const Result ended = run_program(folder, "sh build.sh", "");
    INFO("victim " << victim << ", code " << ended.code << ": " << ended.error);
    CHECK(ended.code != 124);
    const std::string found = read_bytes(folder.path() / "m.ngram");
    if (ended.code == 0) {
      CHECK((found == whole));
      continue;
    }
    ++killed;
    CHECK((found == "what was there" || found == whole));
    CHECK(lines_of_gradus(ended.error) <= 1);
    CHECK(std::filesystem::is_empty(folder.path() / "temporary"));
  }
  CHECK(killed > 1);
  // What a killed process left beside the model goes when the next build writes it.
  REQUIRE(launched(folder, 3, build).code == 0);
  CHECK((read_bytes(folder.path() / "m.ngram") == whole));
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    const std::string name = entry.path().filename().string();
    INFO(name);
    CHECK((name == "text.txt" || name == "m.ngram" || name == "temporary" || name == "build.sh" ||
           name.starts_with("pid")));
  }
}

#else

TEST_CASE("a program without MPI refuses to be one of several processes", "[cli][mpi]") {
  WARN("there is no MPI, so no commands are run in several processes");
  const Folder folder;
  folder.write("text.txt", random_text(1, 100));
  for (const char* rank : {"0", "1"}) {
    const Result result =
        run_program(folder,
                    std::string("OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=") + rank + " '" +
                        gradus::test::bin_dir() + "/gradus' ngram build text.txt --out m.ngram",
                    "");
    CHECK(result.code == 2);
    CHECK(lines_of_gradus(result.error) == (rank == std::string("0") ? 1 : 0));
    CHECK(folder.files() == 1);
  }
  CHECK(gradus_command(folder, "ngram build text.txt --out m.ngram").code == 0);
}

#endif
