#pragma once

#include <CLI/CLI.hpp>
#include <exception>
#include <memory>
#include <string>

#include "models/run/ranks.hpp"
#include "models/team.hpp"
#include "tensor/support/function_ref.hpp"

/// Commands in several processes that a launcher started, as in `mpirun -n 4 gradus ngram build ...`.
namespace gradus::cli {

/// Calls work(team) in each process, or in this one where no launcher started it beside others. Where it
/// throws in one of them, all end: the first says why, and ExitCode is thrown. The processes refuse each
/// other where the program or an option of the command is not the same.
void run_together(const CLI::App& command, FunctionRef<void(const std::shared_ptr<models::Team>&)> work);

/// Calls work(ranks) with the processes that share a training run, or with null where this one is alone. An
/// error of one of them, which need not be where the others wait for it, ends all: it is printed once, and
/// the program ends here.
void train_together(FunctionRef<void(models::RunRanks*)> work);

/// Ends a command that has no form for several processes, or that a program without MPI runs, where a
/// launcher started several: the first one says so, and all end as wrong usage.
void require_one_process(const std::string& command);

/// Whether the first of several processes says what all would say, such as that an option is not known. It is
/// given a second for it, as a launcher ends the others when one ends in error.
bool is_said_by_first();

/// Why an exception ends the program, and its exit code.
struct Ending {
  int code;
  std::string message;
  /// What is printed.
  std::string line() const;
};
Ending ending_by(const std::exception_ptr& exception);

}  // namespace gradus::cli
