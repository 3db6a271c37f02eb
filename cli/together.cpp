#include "cli/together.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <new>
#include <optional>
#include <string_view>
#include <thread>

#include "cli/interrupt.hpp"
#include "cli/usage.hpp"
#include "tensor/kernels/bf16.hpp"
#include "tensor/kernels/instruction_set.hpp"
#include "tensor/support/error.hpp"
#include "tensor/support/launcher.hpp"
#include "tensor/support/version.hpp"
#ifdef GRADUS_MPI
#include "distributed/run_ranks.hpp"
#include "distributed/team.hpp"
#endif

namespace gradus::cli {

namespace {

#ifdef GRADUS_MPI

/// The commands that several processes can share. That of `train` looks after itself.
bool has_form_for_several(std::string_view command) {
  constexpr std::array<std::string_view, 5> names{"train", "build", "eval", "score", "generate"};
  return std::find(names.begin(), names.end(), command) != names.end();
}

/// The first process says a line, and no one ends before.
void say_first(const distributed::Communicator& all, const std::string& line) {
  if (all.rank() == 0) fmt::print(stderr, "{}\n", line);
  std::fflush(stderr);
  all.barrier();
}

/// What the user should know of the processes from the start.
void warn_of_unwatched(const distributed::Communicator& all) {
  if (all.rank() == 0 && !all.watched())
    warn("a process could not reach rank 0 by TCP, so one that ends will not be noticed by the others");
}

/// Work of several processes, and why it failed. What a lost one leaves undone is undone by the others, which
/// the launcher would end at once: the signal that it sends is noted in place of ending them.
std::optional<distributed::Failure> result_of(distributed::Communicator& all, const std::string& identity,
                                              FunctionRef<void(const std::shared_ptr<models::Team>&)> work) {
  const Interrupts interrupts;
  warn_of_unwatched(all);
  if (all.rank() == 0) all.set_notice([](const std::string& text) { warn("{}", text); });
  try {
    const auto team = std::make_shared<distributed::ProcessTeam>(all, &Interrupts::exit_code);
    const auto failure = distributed::work_together(
        *team, identity, [&](models::Team&) { work(team); },
        [](const std::exception_ptr& exception) {
          const Ending ending = ending_by(exception);
          return distributed::Failure{ending.code, ending.message};
        });
    if (failure) say_first(all, Ending{failure->code, failure->message}.line());
    return failure;
  } catch (const distributed::RankLost& lost) {
    if ((all.rank() == all.saver() && !all.explained()) || all.rank() == lost.rank())
      fmt::print(stderr, "gradus: {}, so the work has ended\n", lost.what());
    all.leave(1);
  }
}

/// Of an error that all have, rank 0 tells; of another one who has it. One of the others waits a moment to
/// see which it is.
[[noreturn]] void end_with(const distributed::Communicator& all, const std::exception_ptr& exception) {
  for (int i = 0; i < 100 && all.rank() != 0 && all.lost() < 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  Ending ending = ending_by(exception);
  if (all.rank() != 0) ending.message = all.name(all.rank()) + ": " + ending.message;
  const bool takes_over = all.lost() >= 0 && all.rank() == all.saver() && !all.explained();
  if (all.lost() < 0 || takes_over) fmt::print(stderr, "{}\n", ending.line());
  all.leave(ending.code);
}

/// Returns the exit code that all end with. None ends while another one still works or saves.
int train_in(distributed::RunRanks& ranks, FunctionRef<void(models::RunRanks*)> work) {
  const distributed::Communicator& all = ranks.communicator();
  warn_of_unwatched(all);
  int code = 0;
  try {
    try {
      work(&ranks);
    } catch (const ExitCode& exit) {
      code = exit.code;
    }
    all.barrier();
  } catch (const RankLost& lost) {
    if (all.rank() == all.saver() && !all.explained()) fmt::print(stderr, "gradus: {}\n", lost.what());
    all.leave(1);
  } catch (...) {
    end_with(all, std::current_exception());
  }
  return code;
}

#endif

}  // namespace

void run_together(const CLI::App& command, FunctionRef<void(const std::shared_ptr<models::Team>&)> work) {
#ifdef GRADUS_MPI
  if (launched().by_launcher) {
    std::optional<distributed::Failure> failure;
    bool shared = false;
    {
      auto all = distributed::Communicator::world();
      shared = !all.alone();
      const std::string identity = fmt::format(
          "gradus {} {}\ninstructions {} {}\n{}", version, command.get_name(), kernels::instruction_set(),
          fmt::join(kernels::available_bf16(), " "), command.config_to_str(true));
      if (shared) failure = result_of(all, identity, work);
    }  // MPI ends here, in order
    if (failure) throw ExitCode{failure->code};
    if (shared) return;
  }
#endif
  static_cast<void>(command);
  work(std::make_shared<models::Team>());
}

void train_together(FunctionRef<void(models::RunRanks*)> work) {
#ifdef GRADUS_MPI
  if (launched().by_launcher) {
    int code = 0;
    bool shared = false;
    {
      distributed::RunRanks ranks(distributed::Communicator::world());
      shared = !ranks.alone();
      if (shared) code = train_in(ranks, work);
    }  // MPI ends here, in order
    if (code != 0) throw ExitCode{code};
    if (shared) return;
  }
#endif
  work(nullptr);
}

void require_one_process(const std::string& command) {
  if (!launched().by_launcher) return;
#ifdef GRADUS_MPI
  if (has_form_for_several(command)) return;
  {
    const auto all = distributed::Communicator::world();
    if (all.alone()) return;
    say_first(all, fmt::format("gradus: {} runs in one process, and {} were started; start it without mpirun",
                               command, all.size()));
  }
#else
  if (launched().size == 1) return;
  if (!is_said_by_first()) {
    fmt::print(
        stderr,
        "gradus: several processes were started, and this program was built without MPI, so each would "
        "do all the work of {}; start it without mpirun, or build it where CMake finds MPI\n",
        command);
  }
#endif
  throw ExitCode{2};
}

bool is_said_by_first() {
  if (launched().rank <= 0) return false;
  std::this_thread::sleep_for(std::chrono::seconds(1));
  return true;
}

std::string Ending::line() const {
  return code == 2 ? message + "\nRun with --help for more information." : "gradus: " + message;
}

Ending ending_by(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const CLI::Error& error) {
    return {2, error.what()};
  } catch (const std::bad_alloc&) {
    return {1, "not enough memory for this text and model; try a smaller one"};
  } catch (const std::exception& error) {
    return {1, error.what()};
  }
}

}  // namespace gradus::cli
