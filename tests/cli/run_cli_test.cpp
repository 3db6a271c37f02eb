#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "models/checkpoint.hpp"
#include "models/run/config.hpp"
#include "tensor/random.hpp"
#include "tensor/safetensors.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/command.hpp"
#include "tests/support/paths.hpp"
#include "text/synthetic.hpp"

// Runs of `gradus train` that are killed, interrupted, damaged and gone on with.

using namespace gradus;
using Catch::Contains;
using gradus::test::Folder;
using gradus::test::gradus_command;
using gradus::test::json;
using gradus::test::misused;
using gradus::test::output;
using gradus::test::read_bytes;
using gradus::test::refused;
using gradus::test::Result;

namespace {

namespace fs = std::filesystem;

/// Starts `gradus` in the folder; its output goes to files there.
pid_t start(const Folder& folder, const std::vector<std::string>& arguments,
            rlim_t largest_file = RLIM_INFINITY) {
  std::fflush(nullptr);  // what is not written yet would be written twice
  const pid_t child = ::fork();
  if (child != 0) return child;
  if (::chdir(folder.path().c_str()) != 0) ::_exit(127);
  if (std::freopen("out.log", "a", stdout) == nullptr || std::freopen("error.log", "a", stderr) == nullptr)
    ::_exit(127);
  const rlimit limit{largest_file, largest_file};
  ::setrlimit(RLIMIT_FSIZE, &limit);
  std::vector<std::string> all{gradus::test::bin_dir() + "/gradus"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::vector<char*> raw;
  for (std::string& one : all) raw.push_back(one.data());
  raw.push_back(nullptr);
  ::execv(raw[0], raw.data());
  ::_exit(127);
}
/// The exit code, or minus the signal that ended it.
int wait_for(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/// A text of characters and a run on it that saves often.
const std::vector<std::string> run_options{"--kind",    "lstm",
                                           "--unit",    "character",
                                           "--width",   "24",
                                           "--epochs",  "3",
                                           "--dropout", "0.2",
                                           "--set",     "training.save_every=3",
                                           "--set",     "training.evaluate_every=10"};
std::vector<std::string> new_run(const std::string& out) {
  std::vector<std::string> all{"train", "text.txt", "--out", out};
  all.insert(all.end(), run_options.begin(), run_options.end());
  return all;
}

/// All that a finished run ends with: its last checkpoint, and its model.
std::pair<Safetensors, std::string> ending(const fs::path& run) {
  fs::path last;
  for (const auto& entry : fs::directory_iterator(run / "checkpoints")) {
    if (entry.path().extension() == ".safetensors" && entry.path() > last) last = entry.path();
  }
  return {load_safetensors(last), read_bytes(run / "model.safetensors")};
}
bool same(const std::pair<Safetensors, std::string>& a, const std::pair<Safetensors, std::string>& b) {
  if (a.second != b.second || a.first.tensors.size() != b.first.tensors.size()) return false;
  for (const auto& [name, value] : a.first.tensors) {
    if (!identical(value, b.first.tensors.at(name))) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("a run that is killed again and again ends with the bits of one that was not", "[cli][run]") {
  const Folder folder;
  folder.write("text.txt", synthetic_corpus(1, 6000).text);
  const pid_t whole = start(folder, new_run("whole"));
  REQUIRE(wait_for(whole) == 0);
  const auto wanted = ending(folder.path() / "whole");
  // GRADUS_KILLS: how often, for a longer trial.
  const char* const asked = std::getenv("GRADUS_KILLS");
  const int kills = asked != nullptr ? std::atoi(asked) : 6;
  Rng rng(static_cast<std::uint64_t>(kills));
  int killed = 0, runs = 0;
  while (killed < kills) {
    const std::string name = "run" + std::to_string(runs++);
    for (bool begun = false; killed < kills; begun = true) {
      std::vector<std::string> arguments{"train", "--resume", name, "--threads",
                                         std::to_string(1 + killed % 3)};
      if (!begun || !fs::exists(folder.path() / name / "config.toml")) arguments = new_run(name);
      const pid_t child = start(folder, arguments);
      ::usleep(static_cast<useconds_t>(20'000 + rng.below(500'000)));
      ::kill(child, SIGKILL);
      const int code = wait_for(child);
      if (code == 0) break;  // it was faster
      REQUIRE(code == -SIGKILL);
      ++killed;
    }
    // What is left is done without being killed.
    const bool resumes = fs::exists(folder.path() / name / "config.toml");
    REQUIRE(wait_for(start(
                folder, resumes ? std::vector<std::string>{"train", "--resume", name} : new_run(name))) == 0);
    CHECK(same(ending(folder.path() / name), wanted));
  }
  CHECK(read_bytes(folder.path() / "error.log").empty());
}

TEST_CASE("an interrupt finishes the update, saves, and says how to go on", "[cli][run]") {
  const Folder folder;
  folder.write("text.txt", synthetic_corpus(1, 6000).text);
  const auto longer_run = [](const std::string& out) {
    std::vector<std::string> all = new_run(out);
    *(std::ranges::find(all, "--epochs") + 1) = "12";
    all.insert(all.end(), {"--set", "training.save_every=1000000"});
    return all;
  };
  REQUIRE(wait_for(start(folder, longer_run("whole"))) == 0);
  int interrupted = 0;
  for (const int signal : {SIGINT, SIGTERM, SIGINT, SIGTERM}) {
    const std::string name = "run" + std::to_string(interrupted) + "-" + std::to_string(signal);
    const pid_t child = start(folder, longer_run(name));
    while (!fs::exists(folder.path() / name / "metrics.jsonl") ||
           fs::file_size(folder.path() / name / "metrics.jsonl") == 0)
      ::usleep(1000);
    ::kill(child, signal);
    const int code = wait_for(child);
    if (code == 0) continue;  // it was done before the signal came, on a machine that gave it no time
    CHECK(code == 128 + signal);
    ++interrupted;
    CHECK_THAT(
        read_bytes(folder.path() / "error.log"),
        Contains("gradus: stopped after update ") && Contains("go on by: gradus train --resume " + name));
    CHECK(json(folder, "train --resume " + name).at("interrupted") == false);
    CHECK(same(ending(folder.path() / name), ending(folder.path() / "whole")));
    if (interrupted == 2) break;
  }
  CHECK(interrupted == 2);
}

TEST_CASE("a checkpoint that cannot be written is said, and the run goes on or can be gone on with",
          "[cli][run]") {
  const Folder folder;
  folder.write("text.txt", synthetic_corpus(1, 6000).text);
  REQUIRE(wait_for(start(folder, new_run("whole"))) == 0);
  // A limit of the size of files, which the weights alone do not reach and a whole checkpoint does.
  const auto model = fs::file_size(folder.path() / "whole" / "model.safetensors");
  CHECK(wait_for(start(folder, new_run("run"), model + 20'000)) == 1);
  const std::string error = read_bytes(folder.path() / "error.log");
  CHECK_THAT(error,
             Contains("warning: update 3: the checkpoint was not saved") && Contains("training goes on"));
  CHECK_THAT(error, Contains("the last state of the run could not be saved") && Contains("--resume run"));
  CHECK(wait_for(start(folder, {"train", "--resume", "run"})) == 0);
  CHECK(same(ending(folder.path() / "run"), ending(folder.path() / "whole")));
}

TEST_CASE("a run that diverges names the culprit and leaves its checkpoints", "[cli][run]") {
  const Folder folder;
  folder.write("text.txt", synthetic_corpus(1, 6000).text);
  std::vector<std::string> arguments = new_run("run");
  arguments.insert(arguments.end(), {"--lr", "1e30", "--set", "schedule.name=constant"});
  CHECK(wait_for(start(folder, arguments)) == 1);
  CHECK_THAT(read_bytes(folder.path() / "error.log"), Contains("training step") &&
                                                          Contains("--resume with a lower rate") &&
                                                          Contains("--set optimizer.lr="));
  CHECK(fs::exists(folder.path() / "run" / "checkpoints" / "step-0000000000.safetensors"));
  // Where it went wrong at once, it is as if it had begun with the lower rate.
  output(folder, "train --resume run --set optimizer.lr=0.003");
  CHECK(json(folder, "eval --model run text.txt").at("perplexity") < 40);
}

TEST_CASE("settings come from a file, from --set and from flags, the later ones win", "[cli][run]") {
  const Folder folder;
  folder.write("text.txt", synthetic_corpus(1, 3000).text);
  folder.write("my.toml",
               "[data]\ntext = \"text.txt\"\n[model]\nkind = \"gru\"\nwidth = 8\nlayers = "
               "2\n[training]\nupdates = 4\n");
  output(folder, "train --config my.toml --set model.width=10 --set model.embedding=10 --width 12 --out run");
  models::RunConfig config;
  models::merge_toml_file(config, folder.path() / "run" / "config.toml");
  CHECK(config.model.kind == "gru");
  CHECK(config.model.width == 12);
  CHECK(config.model.embedding == 10);
  CHECK(config.model.layers == 2);
  CHECK(config.data.text == fs::weakly_canonical(folder.path() / "text.txt").string());
  // What was written back gives the same run.
  output(folder, "train --config run/config.toml --out again");
  CHECK(read_bytes(folder.path() / "again" / "model.safetensors") ==
        read_bytes(folder.path() / "run" / "model.safetensors"));
  CHECK(output(folder, "train --kind gpt --print-config").find("kind = \"gpt\"") != std::string::npos);
  folder.write("epochs.toml", "[training]\nepochs = 3\n");
  CHECK(json(folder, "train text.txt --kind rnn --width 8 --config epochs.toml --updates 2 --out few")
            .at("updates") == 2);
  misused(folder, "train text.txt --kind rnn --epochs 1 --updates 2 --out x", "give one");
  refused(folder, "train --config none.toml --out x", {"none.toml"});
  misused(folder, "train text.txt --set model.widht=3 --out x", "did you mean 'width'?");
  misused(folder, "train text.txt --set model.width=wide --out x", "a whole number");
  misused(folder, "train --out x", "give a text to train on");
  misused(folder, "train text.txt", "--out");
  misused(folder, "train --resume run --out x", "--out");
  refused(folder, "train text.txt --out run", {"there is a run in this folder already", "--resume run"});
  refused(folder, "train --resume none", {"there is no run in it"});
}

TEST_CASE("a committed recipe gives the figure that is known of it", "[cli][run]") {
  const Folder folder;
  folder.write("text.txt", synthetic_corpus(1, 20000).text);
  const std::string recipes = gradus::test::source_dir() + "/recipes/";
  const auto done = json(folder, "train text.txt --config '" + recipes + "smoke.toml' --out run");
  // Between instruction sets the last bits differ.
  CHECK(done.at("validation_perplexity") == Approx(50.149).epsilon(5e-3));
  // All of them are configurations.
  int count = 0;
  for (const auto& entry : fs::directory_iterator(recipes)) {
    INFO(entry.path());
    models::RunConfig config;
    CHECK_NOTHROW(models::merge_toml_file(config, entry.path()));
    ++count;
  }
  CHECK(count >= 5);
}

TEST_CASE("a trained model is gone on from: with its tokens, frozen parts, or adapters", "[cli][run]") {
  const Folder folder;
  folder.write("text.txt", synthetic_corpus(1, 3000).text);
  folder.write("later.txt", synthetic_corpus(2, 3000).text + "zebra zebra\n");
  output(folder,
         "train text.txt --kind gpt --width 16 --heads 2 --layers 1 --context 16 --updates 30 --out first");
  const auto before = json(folder, "eval --model first later.txt");
  output(folder, "train later.txt --from first --updates 30 --lr 1e-3 --out second");
  CHECK(models::load_model(folder.path() / "second").vocabulary ==
        models::load_model(folder.path() / "first").vocabulary);
  CHECK(json(folder, "eval --model second later.txt").at("perplexity") < before.at("perplexity"));
  const auto weights = [&](const std::string& run) {
    return load_safetensors(folder.path() / run / "model.safetensors");
  };
  output(folder, "train later.txt --from first --updates 5 --freeze 'wte.*,wpe.*' --out frozen");
  const Safetensors first = weights("first"), frozen = weights("frozen");
  CHECK(identical(first.tensors.at("wte.weight"), frozen.tensors.at("wte.weight")));
  CHECK_FALSE(identical(first.tensors.at("h.0.mlp.c_fc.weight"), frozen.tensors.at("h.0.mlp.c_fc.weight")));
  // One that was stopped before its first checkpoint begins with the model again.
  fs::remove_all(folder.path() / "frozen" / "checkpoints");
  fs::create_directory(folder.path() / "frozen" / "checkpoints");
  output(folder, "train --resume frozen");
  CHECK(read_bytes(folder.path() / "frozen" / "model.safetensors").size() > 0);
  for (const auto& [name, value] : weights("frozen").tensors)
    CHECK(identical(value, frozen.tensors.at(name)));
  // Adapters alone are trained, and merged in what is kept; a run of them is resumed too.
  output(folder, "train later.txt --from first --updates 5 --lora-rank 2 --out adapted");
  const Safetensors adapted = weights("adapted");
  CHECK(adapted.tensors.size() == first.tensors.size());
  CHECK(identical(first.tensors.at("h.0.ln_1.weight"), adapted.tensors.at("h.0.ln_1.weight")));
  CHECK_FALSE(identical(first.tensors.at("h.0.mlp.c_fc.weight"), adapted.tensors.at("h.0.mlp.c_fc.weight")));
  output(folder, "train --resume adapted --updates 8");
  CHECK_FALSE(identical(weights("adapted").tensors.at("h.0.mlp.c_fc.weight"),
                        adapted.tensors.at("h.0.mlp.c_fc.weight")));
  refused(folder, "train later.txt --from first --width 8 --out x", {"model.width is 8", "first has 16"});
  refused(folder, "train later.txt --from none --out x", {"none"});
  output(folder, "train text.txt --kind ngram --out counts");
  refused(folder, "train later.txt --from counts --out x", {"counts", "n-gram model"});
}

TEST_CASE("train --find-lr suggests a rate and keeps nothing, --extend adds words", "[cli][run]") {
  const Folder folder;
  folder.write("text.txt", synthetic_corpus(1, 2000).text);
  const std::size_t before = folder.files();
  const auto found = json(folder, "train text.txt --kind gru --width 8 --find-lr");
  CHECK(found.at("points").size() > 10);
  CHECK(found.at("suggested") >= found.at("steepest"));
  CHECK(found.at("suggested") <= found.at("lowest"));
  CHECK_THAT(output(folder, "train text.txt --kind gru --width 8 --find-lr"),
             Contains("a rate to begin with"));
  CHECK(folder.files() == before);
  misused(folder, "train text.txt --kind gru --find-lr --out run", "--find-lr keeps nothing");
  misused(folder, "train text.txt --kind ngram --find-lr", "of networks");
  output(folder, "train text.txt --kind gru --width 8 --updates 2 --out one");
  misused(folder, "train --resume one --find-lr", "begins anew");
  std::string other;
  for (int i = 0; i < 60; ++i) other += "the zebra sees the king .\n";
  folder.write("other.txt", other);
  output(folder, "train other.txt --from one --extend --updates 2 --out two");
  CHECK_THAT(read_bytes(folder.path() / "two" / "vocabulary.txt"), Contains("\tzebra\n"));
  CHECK_THAT(read_bytes(folder.path() / "one" / "vocabulary.txt"), !Contains("\tzebra\n"));
  CHECK(gradus_command(folder, "train other.txt --kind gru --extend --out three").code != 0);
}
