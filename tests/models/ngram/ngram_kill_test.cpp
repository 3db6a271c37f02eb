#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "models/ngram/ngram.hpp"
#include "tensor/random.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/command.hpp"
#include "tests/support/random_words.hpp"

// `gradus ngram build` when it is killed, or when the disk is full.

using namespace gradus;
using gradus::test::bin_dir;
using gradus::test::Folder;
using gradus::test::gradus_command;
using gradus::test::read_bytes;
using gradus::test::Result;

namespace {

namespace fs = std::filesystem;

/// Sentences of random words, some of them frequent, with enough n-grams that some go to temporary files.
std::string random_text(std::uint64_t seed, int lines) {
  return gradus::test::random_words(seed, lines, 12, 3000);
}

/// A process of `gradus ngram build` without input and output.
class Build {
 public:
  Build(const fs::path& text, const fs::path& out, const fs::path& temporary) {
    const std::vector<std::string> words{bin_dir() + "/gradus",
                                         "ngram",
                                         "build",
                                         text.string(),
                                         "--out",
                                         out.string(),
                                         "--order",
                                         "5",
                                         "--memory",
                                         "2M",
                                         "--layout",
                                         "compact",
                                         "--temporary",
                                         temporary.string()};
    std::vector<char*> arguments;
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    for (const int descriptor : {0, 1, 2})
      posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_RDWR, 0);
    started_ = ::posix_spawn(&process_, words[0].c_str(), &actions, nullptr, arguments.data(), environ) == 0;
    posix_spawn_file_actions_destroy(&actions);
  }
  bool started() const { return started_; }
  void kill(int signal) const { ::kill(process_, signal); }
  /// Waits for its end and gives its status.
  int wait() const {
    int status = 0;
    ::waitpid(process_, &status, 0);
    return status;
  }

 private:
  pid_t process_ = 0;
  bool started_ = false;
};

/// Runs `gradus` with a limit on the size of files in blocks, which acts like a full disk.
Result limited(const Folder& folder, int blocks, const std::string& arguments) {
  const Folder output;
  const std::string error = (output.path() / "error").string();
  const std::string command = "cd '" + folder.path().string() + "' && ulimit -f " + std::to_string(blocks) +
                              " && '" + bin_dir() + "/gradus' " + arguments + " >/dev/null 2>'" + error + "'";
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, "", read_bytes(error)};
}

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> out;
  for (const auto& entry : fs::directory_iterator(folder)) out.insert(entry.path().filename().string());
  return out;
}

}  // namespace

TEST_CASE("a build that is killed leaves the old model or the new one, and its files are removed by the next",
          "[cli][ngram][kill]") {
  const Folder folder;
  const fs::path temporary = folder.path() / "temporary", places = folder.path() / "models",
                 text = folder.write("text.txt", random_text(1, 4000)), model = places / "m.ngram";
  fs::create_directory(temporary);
  fs::create_directory(places);
  folder.write("other.txt", random_text(2, 200));
  REQUIRE(gradus_command(folder, "ngram build other.txt --order 3 --out old.ngram").code == 0);
  const std::string old_bytes = read_bytes(folder.path() / "old.ngram");

  const auto begin = std::chrono::steady_clock::now();
  const auto whole = gradus_command(folder,
                                    "ngram build text.txt --out models/m.ngram --order 5 --memory 2M "
                                    "--layout compact --temporary temporary --json");
  std::chrono::duration<double> duration = std::chrono::steady_clock::now() - begin;
  REQUIRE(whole.code == 0);
  CHECK(nlohmann::json::parse(whole.out)["temporary_bytes"].get<std::int64_t>() > 0);
  const std::string new_bytes = read_bytes(model);
  REQUIRE(new_bytes != old_bytes);

  Rng rng(3);
  int killed = 0;
  const int signals[] = {SIGKILL, SIGTERM, SIGINT};
  for (int i = 0; i < 20; ++i) {
    const int signal = signals[i % 3];
    fs::copy_file(folder.path() / "old.ngram", model, fs::copy_options::overwrite_existing);
    const Build build(text, model, temporary);
    REQUIRE(build.started());
    // Up to the very end, where the new file replaces the old one.
    std::this_thread::sleep_for(duration * (i % 4 == 0 ? 0.9 + 0.15 * rng.uniform() : rng.uniform()));
    build.kill(signal);
    const int status = build.wait();
    INFO("signal " << signal << ", status " << status);
    CHECK((WIFSIGNALED(status) ? WTERMSIG(status) == signal : WEXITSTATUS(status) == 0));
    killed += WIFSIGNALED(status);
    const std::string found = read_bytes(model);
    CHECK((found == old_bytes || found == new_bytes));
    if (!WIFSIGNALED(status)) {
      CHECK(found == new_bytes);
      duration *= 0.9;  // a machine that is less busy than it was at first
    }
    models::NgramModel::open(model).verify();
  }
  CHECK(killed > 5);
  const Build last(text, model, temporary);
  REQUIRE(last.started());
  CHECK(last.wait() == 0);
  CHECK(read_bytes(model) == new_bytes);
  CHECK(names_in(temporary).empty());
  CHECK(names_in(places) == std::set<std::string>{"m.ngram"});
}

TEST_CASE("a build whose disk is full says so and leaves nothing", "[cli][ngram][kill]") {
  const Folder folder;
  folder.write("text.txt", random_text(1, 4000));
  folder.write("m.ngram", "what was there");
  fs::create_directory(folder.path() / "temporary");
  const auto refused = [&](const std::string& arguments, const std::vector<std::string>& texts) {
    INFO(arguments);
    const Result result = limited(folder, 100, arguments);
    CHECK(result.code == 1);
    CHECK(std::count(result.error.begin(), result.error.end(), '\n') == 1);
    for (const std::string& piece : texts) CHECK_THAT(result.error, Catch::Contains(piece));
  };
  refused("ngram build text.txt --order 5 --memory 2M --temporary temporary --out m.ngram",
          {"temporary file in temporary cannot be written", "free some space"});
  CHECK(names_in(folder.path() / "temporary").empty());
  for (const char* out : {"m.ngram", "m.ngram --layout compact", "new.arpa", "new.arpa.gz"}) {
    const std::string file = std::string(out).substr(0, std::string(out).find(' '));
    refused(std::string("ngram build text.txt --order 5 --out ") + out, {file, "cannot be written"});
  }
  CHECK(read_bytes(folder.path() / "m.ngram") == "what was there");
  CHECK(names_in(folder.path()) == std::set<std::string>{"m.ngram", "temporary", "text.txt"});
}
