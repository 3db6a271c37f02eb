#include "tests/optim/killed_run.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <utility>

#include "tensor/ops.hpp"
#include "tensor/safetensors.hpp"
#include "tensor/support/parallel.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/sanitizers.hpp"

// A process that is to be killed is this program again, which is told by its environment what to train. (One
// that is merely forked could not use threads.) It says by a byte that it has saved for the first time.

namespace gradus::test {

namespace {

namespace fs = std::filesystem;
using optim::RunState;

const char* const run_test = "a run that trains until it is killed";
constexpr std::int64_t most_steps = 100'000;  // should nobody kill it
constexpr const char *case_name = "GRADUS_KILLED_CASE", *file_name = "GRADUS_KILLED_FILE",
                     *thread_count = "GRADUS_KILLED_THREADS", *save_every = "GRADUS_KILLED_EVERY";
constexpr char saved = '.';
// Sanitizers make processes slow to begin.
#if defined(GRADUS_ADDRESS_SANITIZER) || defined(GRADUS_THREAD_SANITIZER)
constexpr int most_kills = 2;
#else
constexpr int most_kills = 3;
#endif

/// In memory where there is such a folder: on a disk each saving waits for it.
class Folder {
 public:
  Folder() { fs::create_directories(path_); }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const fs::path& path() const { return path_; }
  std::ptrdiff_t files() const { return std::distance(fs::directory_iterator(path_), {}); }

 private:
  fs::path path_ = (fs::exists("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path()) /
                   ("gradus-test-killed-" + std::to_string(getpid()));
};

/// A run with the number of its steps.
struct Counted {
  std::unique_ptr<KilledRun> run;
  std::int64_t steps = 0;

  explicit Counted(const KilledCase& of) : run(of.make()) {}
  void go_on(std::int64_t until) {
    for (; steps < until; ++steps) run->step();
  }
  void save(const fs::path& file) const {
    RunState state;
    run->put(state);
    state.put("steps", steps);
    state.save(file);
  }
  void load(const fs::path& file) {
    const RunState state = RunState::load(file);
    run->take(state);
    steps = state.get<std::int64_t>("steps");
  }
};

/// What differs in two files: names of tensors and numbers.
std::string difference_of(const fs::path& a, const fs::path& b) {
  const Safetensors one = load_safetensors(a), other = load_safetensors(b);
  std::string out;
  const auto compare = [&](const auto& first, const auto& second, const auto& same) {
    for (const auto& [name, value] : first) {
      const auto found = second.find(name);
      if (found == second.end() || !same(value, found->second)) out += name + " ";
    }
    for (const auto& [name, value] : second)
      if (!first.contains(name)) out += name + " ";
  };
  compare(one.tensors, other.tensors, [](const Tensor& x, const Tensor& y) { return identical(x, y); });
  compare(one.metadata, other.metadata, std::equal_to<>());
  return out;
}

/// This program, training a case on its own.
class Child {
 public:
  Child(const std::string& name, const fs::path& file, int threads, std::int64_t every) {
    std::vector<std::string> texts{case_name + ("=" + name), file_name + ("=" + file.string()),
                                   thread_count + ("=" + std::to_string(threads)),
                                   save_every + ("=" + std::to_string(every))};
    std::vector<char*> environment;
    for (char** entry = environ; *entry != nullptr; ++entry) environment.push_back(*entry);
    for (std::string& text : texts) environment.push_back(text.data());
    environment.push_back(nullptr);
    std::string program = fs::read_symlink("/proc/self/exe").string(), test = run_test;
    std::array<char*, 3> arguments{program.data(), test.data(), nullptr};
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    const int error =
        ::posix_spawn(&id_, program.c_str(), &actions, nullptr, arguments.data(), environment.data());
    posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    output_ = ends[0];
    REQUIRE(error == 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (id_ > 0) end();
    ::close(output_);
  }

  void wait_until_saved() const {
    char byte = 0;
    if (::read(output_, &byte, 1) != 1 || byte != saved) fail(byte);
  }
  void kill() {
    if (const int status = end(); !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) fail(' ');
  }

 private:
  int end() {
    ::kill(id_, SIGKILL);
    int status = 0;
    ::waitpid(std::exchange(id_, -1), &status, 0);
    return status;
  }
  /// With what it printed before it ended by itself.
  void fail(char first) const {
    std::string text(1, first);
    std::array<char, 1024> part{};
    for (ssize_t count = 0; (count = ::read(output_, part.data(), part.size())) > 0;)
      text.append(part.data(), static_cast<std::size_t>(count));
    FAIL("it ended before it was killed: " << text);
  }

  pid_t id_ = -1;
  int output_ = -1;
};

std::vector<KilledCase> all_cases() {
  std::vector<KilledCase> out = killed_training();
  for (KilledCase& one : killed_layers()) out.push_back(std::move(one));
  return out;
}

}  // namespace

void check_killed(const KilledCase& one) {
  INFO(one.name);
  const Folder folder;
  const auto file = folder.path() / "run", of_whole = folder.path() / "whole";
  const int threads_before = threads();
  Rng drawn(std::hash<std::string>()(one.name));
  set_threads(2);
  Counted whole(one);
  for (int kills = 0; kills < most_kills; ++kills) {
    const std::int64_t before = whole.steps;
    Child child(one.name, file, 1 + kills % 2, 1 + static_cast<std::int64_t>(drawn.below(4)));
    // The second one at any moment, be it before its first step.
    if (kills != 1) child.wait_until_saved();
    ::usleep(static_cast<useconds_t>(drawn.below(kills == 1 ? 9'000 : 2'000)));
    child.kill();
    const auto steps = RunState::load(file).get<std::int64_t>("steps");
    INFO("killed " << kills + 1 << " times, the last time after step " << steps);
    CHECK(steps >= before + (kills == 1 ? 0 : 1));
    whole.go_on(steps);
    whole.save(of_whole);
    CHECK(difference_of(file, of_whole) == "");
  }
  // What a file does not hold shows in the steps that follow.
  set_threads(1);
  Counted resumed(one);
  resumed.load(file);
  resumed.go_on(resumed.steps + 12);
  resumed.save(file);
  set_threads(2);
  whole.go_on(resumed.steps);
  whole.save(of_whole);
  set_threads(threads_before);
  CHECK(difference_of(file, of_whole) == "");
  CHECK(folder.files() == 2);  // nothing that killed processes began to write
}

}  // namespace gradus::test

TEST_CASE("a run that trains until it is killed", "[.]") {
  using namespace gradus::test;
  const char* const name = std::getenv(case_name);
  if (name == nullptr) return;  // the tests start it
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const std::filesystem::path file = std::getenv(file_name);
  const std::int64_t every = std::atoll(std::getenv(save_every));
  gradus::set_threads(std::atoi(std::getenv(thread_count)));
  for (const KilledCase& one : all_cases()) {
    if (one.name != name) continue;
    Counted run(one);
    if (std::filesystem::exists(file)) run.load(file);
    for (bool first = true; run.steps < most_steps;) {
      run.go_on(run.steps + every);
      run.save(file);
      if (std::exchange(first, false)) REQUIRE(::write(STDOUT_FILENO, &saved, 1) == 1);
    }
  }
  FAIL("nobody killed " << name);
}
